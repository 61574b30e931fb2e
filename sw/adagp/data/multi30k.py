"""Multi30k: descriptions of photographs in German and English."""

import re
from pathlib import Path

from .datasets import DataSet, MissingData
from .translation import TRANSLATION, PairSource, Vocabulary

_WORD = re.compile(r"\w+|[^\w\s]")


def words(sentence: str) -> list[str]:
    """The words and the punctuation marks of a sentence in lower case."""
    return _WORD.findall(sentence.lower())


def multi30k(*, root: Path, source: str = "de", target: str = "en", test: str | None = None, least: int = 2,
             length: int = 64) -> DataSet:
    """Sentences from language ``source`` to ``target``, from the files train.⟨language⟩ and ⟨test⟩.⟨language⟩ in
    the folder multi30k of ``root``, a sentence a line.

    ``test`` is by default the first name that begins with "test". A word must occur ``least`` times in
    the training file to be in the vocabulary; ``length`` counts words, see PairSource.
    """
    folder = Path(root) / "multi30k"
    if test is None:
        test = min((path.stem for path in folder.glob(f"test*.{source}")), default="test")
    lines = {(part, language): _lines(folder / f"{part}.{language}") for part in ("train", test)
             for language in (source, target)}
    for part in ("train", test):
        if len(lines[part, source]) != len(lines[part, target]):
            raise ValueError(f"{folder}/{part}.{target} must have as many lines as {part}.{source}, "
                             f"{len(lines[part, source])}, not {len(lines[part, target])}")
    vocabularies = tuple(Vocabulary.of(lines["train", language], least=least) for language in (source, target))
    train, tested = (
        PairSource([tuple(vocabulary.encode(sentence) for vocabulary, sentence in zip(vocabularies, pair, strict=True))
                    for pair in zip(lines[part, source], lines[part, target], strict=True)], length)
        for part in ("train", test))
    return DataSet(name="multi30k", task=TRANSLATION, train=train, test=tested, classes=len(vocabularies[1]),
                   shape=(length,), vocabularies=vocabularies)


def _lines(path: Path) -> list[list[str]]:
    try:
        with path.open(encoding="utf-8") as lines:
            return [words(line) for line in lines]
    except OSError as error:
        raise MissingData(f"multi30k: put {path.name} (unpacked, https://github.com/multi30k/dataset, data/task1/raw) "
                          f"into {path.parent}") from error
