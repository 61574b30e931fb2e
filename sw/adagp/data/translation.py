"""Translation of sentences: batches, the task, decoding and BLEU.

A model maps ``(source, target_in)``, word numbers (sentences, words), to logits (sentences, words, target
words). The source is ⟨bos⟩ sentence ⟨eos⟩, ``target_in`` ⟨bos⟩ sentence, the target sentence ⟨eos⟩; shorter
sentences are followed by ⟨pad⟩.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from .tasks import Task

PAD, BOS, EOS, UNK = range(4)
SPECIAL = ("<pad>", "<bos>", "<eos>", "<unk>")


class Vocabulary:
    """Words and their numbers; the first four are SPECIAL."""

    def __init__(self, words: Iterable[str]):
        self.words = (*SPECIAL, *words)
        self.numbers = {word: number for number, word in enumerate(self.words)}
        if len(self.numbers) != len(self.words):
            raise ValueError(f"Vocabulary.words must be different, but "
                             f"{Counter(self.words).most_common(1)[0][0]!r} occurs more than once")

    @classmethod
    def of(cls, sentences: Iterable[list[str]], *, least: int) -> "Vocabulary":
        """The words that occur at least ``least`` times, the most frequent first, equally frequent ones by alphabet."""
        counts = Counter(word for sentence in sentences for word in sentence)
        return cls(word for word, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if count >= least)

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, sentence: Iterable[str]) -> list[int]:
        return [self.numbers.get(word, UNK) for word in sentence]

    def decode(self, numbers: Iterable[int]) -> list[str]:
        return [self.words[number] for number in sentence_of(numbers)]


def sentence_of(numbers: Iterable[int]) -> list[int]:
    """The word numbers before the first ⟨eos⟩, without ⟨bos⟩ and ⟨pad⟩."""
    sentence = []
    for number in numbers:
        if number == EOS:
            break
        if number not in (PAD, BOS):
            sentence.append(int(number))
    return sentence


class PairSource:
    """Pairs of sentences as word numbers without ⟨bos⟩ and ⟨eos⟩, ``pairs[i]`` (source, target).

    A batch is as long as its longest sentence, with ⟨bos⟩ or ⟨eos⟩ at most ``length``, beyond which
    sentences are cut off.
    """

    def __init__(self, pairs: Sequence[tuple[list[int], list[int]]], length: int):
        if length < 3:
            raise ValueError(f"length must be at least 3, not {length!r}")
        self.pairs, self.length = pairs, length

    def __len__(self) -> int:
        return len(self.pairs)

    def batch(self, indices: list[int], generator: torch.Generator
              ) -> tuple[tuple[torch.Tensor, torch.Tensor], torch.Tensor]:
        sources, targets = zip(*(self.pairs[index] for index in indices), strict=True)
        return ((_padded([BOS, *words[:self.length - 2], EOS] for words in sources),
                 _padded([BOS, *words[:self.length - 1]] for words in targets)),
                _padded([*words[:self.length - 1], EOS] for words in targets))


def _padded(sentences: Iterable[list[int]]) -> torch.Tensor:
    return pad_sequence([torch.tensor(sentence) for sentence in sentences], batch_first=True, padding_value=PAD)


def _loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=PAD)


def _correct(logits: torch.Tensor, target: torch.Tensor) -> tuple[float, int]:
    counts = target != PAD
    return float((logits.argmax(-1) == target)[counts].sum()), int(counts.sum())


TRANSLATION = Task(name="translation", metric="token accuracy", loss=_loss, score=_correct)
"""Each word from the right words before it; padding does not count."""


@torch.no_grad()
def greedy_decode(model: nn.Module, source: torch.Tensor, length: int) -> torch.Tensor:
    """The likeliest next word, one after the other, of a ``model`` in evaluation mode.

    ``source`` is (sentences, words) as above; what comes back is (sentences, at most ``length``), without
    ⟨bos⟩, ⟨pad⟩ after ⟨eos⟩.
    """
    words = source.new_full((len(source), 1), BOS)
    ended = torch.zeros(len(source), dtype=torch.bool, device=source.device)
    while words.shape[1] <= length and not ended.all():
        following = model(source, words)[:, -1].argmax(-1).masked_fill(ended, PAD)
        words = torch.cat([words, following[:, None]], 1)
        ended |= following == EOS
    return words[:, 1:]


def bleu(translations: Sequence[Sequence], references: Sequence[Sequence]) -> float:
    """BLEU-4 of a corpus, from 0 to 1, of sentences of words (Papineni et al., 2002), one reference each.

    The geometric mean of the precisions of 1- to 4-grams, whose matches are counted over the corpus, times
    exp(1 − reference length ÷ length) where the translations are shorter. Without smoothing: 0 where no
    4-gram matches.
    """
    if len(translations) != len(references):
        raise ValueError(f"references must be as many as the {len(translations)} translations, not {len(references)}")
    matches, counts = [0] * 4, [0] * 4
    for translation, reference in zip(translations, references, strict=True):
        for n in range(4):
            grams = _grams(translation, n + 1)
            matches[n] += (grams & _grams(reference, n + 1)).total()
            counts[n] += grams.total()
    if not all(matches):
        return 0.0
    shortness = min(0.0, 1 - sum(map(len, references)) / sum(map(len, translations)))
    return math.exp(shortness + sum(math.log(match / count) for match, count in zip(matches, counts, strict=True)) / 4)


def _grams(words: Sequence, n: int) -> Counter:
    return Counter(tuple(words[first:first + n]) for first in range(len(words) - n + 1))


def greedy_bleu(model: nn.Module, batches: Iterable, *, length: int, device: torch.device | str = "cpu") -> float:
    """BLEU-4 of the greedy translations of ``batches`` by a ``model`` on ``device`` in evaluation mode. A word of a
    reference that the vocabulary lacks is never matched."""
    translations, references = [], []
    for (source, _), target in batches:
        translations += map(sentence_of, greedy_decode(model, source.to(device), length).tolist())
        references += ([-1 if word == UNK else word for word in sentence_of(words)] for words in target.tolist())
    return bleu(translations, references)
