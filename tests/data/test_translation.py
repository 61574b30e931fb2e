"""Sentences: batches, the task, decoding, BLEU."""

import math

import pytest
import torch
from torch import nn

from adagp.data import Batches
from adagp.data.translation import (BOS, EOS, PAD, TRANSLATION, UNK, PairSource, Vocabulary, bleu, greedy_bleu,
                                    greedy_decode, sentence_of)

PAIRS = [([7], [8, 9]), ([4, 5, 6], [5]), ([4] * 9, [6] * 9)]


def test_batches_are_padded():
    ((source, target_in), target), = Batches(PairSource(PAIRS[:2], 64), batch=2, shuffle=False).epoch(0)
    assert source.tolist() == [[BOS, 7, EOS, PAD, PAD], [BOS, 4, 5, 6, EOS]]
    assert target_in.tolist() == [[BOS, 8, 9], [BOS, 5, PAD]]
    assert target.tolist() == [[8, 9, EOS], [5, EOS, PAD]]


def test_long_sentences_are_cut_off():
    ((source, target_in), target), = Batches(PairSource(PAIRS[2:], 5), batch=1).epoch(0)
    assert source.tolist() == [[BOS, 4, 4, 4, EOS]]
    assert target_in.tolist() == [[BOS, 6, 6, 6, 6]] and target.tolist() == [[6, 6, 6, 6, EOS]]


def test_vocabulary_keeps_frequent_words():
    vocabulary = Vocabulary.of([["b", "a", "c"], ["c", "b", "d", "c"]], least=2)
    assert vocabulary.words[4:] == ("c", "b") and len(vocabulary) == 6
    assert vocabulary.encode(["b", "a", "c"]) == [5, UNK, 4]
    assert vocabulary.decode([BOS, 5, UNK, 4, EOS, 5, PAD]) == ["b", "<unk>", "c"]


def test_repeated_word_is_refused():
    with pytest.raises(ValueError, match="^Vocabulary.words must be different, but 'a' occurs more than once$"):
        Vocabulary(["a", "b", "a"])


def test_padding_counts_neither_in_loss_nor_in_accuracy():
    torch.manual_seed(0)
    logits, target = torch.randn(2, 3, 7), torch.tensor([[4, 5, EOS], [6, EOS, PAD]])
    probabilities = logits.softmax(-1)
    words = [(0, 0, 4), (0, 1, 5), (0, 2, EOS), (1, 0, 6), (1, 1, EOS)]
    want = -sum(math.log(probabilities[place]) for place in words) / 5
    assert math.isclose(TRANSLATION.loss(logits, target), want, rel_tol=1e-5)
    logits[0, 0, 4] = logits[1, 1, EOS] = logits[1, 2, PAD] = 9
    right = sum(int(logits[sentence, word].argmax()) == number for sentence, word, number in words)
    assert TRANSLATION.score(logits, target) == (right, 5) and right >= 2


class Copier(nn.Module):
    """Says the source again, word by word."""

    def forward(self, source, target):
        return nn.functional.one_hot(source[:, 1:target.shape[1] + 1], 20).float()


def test_greedy_decoding_ends_each_sentence():
    source = torch.tensor([[BOS, 7, 8, 9, EOS], [BOS, 5, EOS, PAD, PAD]])
    assert greedy_decode(Copier(), source, 9).tolist() == [[7, 8, 9, EOS], [5, EOS, PAD, PAD]]
    assert greedy_decode(Copier(), source, 2).tolist() == [[7, 8], [5, EOS]]
    assert sentence_of([7, 8, EOS, 3]) == [7, 8]


def test_bleu_of_a_corpus_is_that_counted_by_hand():
    translations = ["the cat the cat on the mat".split(), "a b c d".split()]
    references = ["the cat is on the mat".split(), "a b c d".split()]
    want = (9 / 11 * 6 / 9 * 3 / 7 * 1 / 5) ** (1 / 4)  # 11 words for 10: no penalty
    assert math.isclose(bleu(translations, references), want)


def test_short_translations_are_penalised():
    assert math.isclose(bleu(["abcde"], ["abcdefg"]), math.exp(1 - 7 / 5))


def test_bleu_is_zero_without_a_common_4_gram_and_one_for_equal_corpora():
    assert bleu(["abcxabc"], ["abcyabc"]) == 0 == bleu([""], ["abcd"])
    assert bleu(["abcd", "efghi"], ["abcd", "efghi"]) == 1


def test_bleu_needs_a_reference_for_each():
    with pytest.raises(ValueError, match="^references must be as many as the 1 translations, not 2$"):
        bleu(["a"], ["a", "b"])


def test_unknown_words_of_references_are_never_matched():
    def score(words):
        return greedy_bleu(Copier(), Batches(PairSource([(words, words)], 16), batch=1).epoch(0), length=16)

    assert score([4, 5, 6, 7, 8]) == 1
    assert math.isclose(score([4, 5, 6, 7, UNK]), (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** (1 / 4))
