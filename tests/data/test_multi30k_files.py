"""Multi30k from its files."""

import pytest
import torch

from adagp.data import Batches, MissingData, load
from adagp.data.multi30k import words

TRAIN_DE = "Ein Hund läuft.\nEin Hund schläft.\nEin Mann läuft!\n"
TRAIN_EN = "A dog runs.\nA dog sleeps.\nA man runs!\n"


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "multi30k"
    folder.mkdir()
    for name, text in (("train.de", TRAIN_DE), ("train.en", TRAIN_EN), ("test_2016.de", "Ein Mann schläft.\n"),
                       ("test_2016.en", "A man sleeps.\n"), ("val.de", "Hund\n"), ("val.en", "dog\n")):
        (folder / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_words_and_punctuation_are_separated():
    assert words("Zwei Männer (im Freien), T-Shirts.\n") == [
        "zwei", "männer", "(", "im", "freien", ")", ",", "t", "-", "shirts", "."]


def test_vocabularies_are_those_of_frequent_training_words(root):
    data = load("multi30k", root=root)
    german, english = data.vocabularies
    assert german.words[4:] == ("ein", ".", "hund", "läuft") and english.words[4:] == ("a", ".", "dog", "runs")
    assert (data.classes, data.shape, len(data.train), len(data.test)) == (8, (64,), 3, 1)
    ((source, target_in), target), = Batches(data.test, batch=1).epoch(0)
    assert german.decode(source[0].tolist()) == ["ein", "<unk>", "<unk>", "."]
    assert english.decode(target[0].tolist()) == ["a", "<unk>", "<unk>", "."]
    assert torch.equal(target[:, :-1], target_in[:, 1:])


def test_direction_test_file_and_frequency_are_options(root):
    data = load("multi30k", root=root, source="en", target="de", test="val", least=1)
    ((source, _), target), = Batches(data.test, batch=1).epoch(0)
    assert data.vocabularies[0].decode(source[0].tolist()) == ["dog"]
    assert data.vocabularies[1].decode(target[0].tolist()) == ["hund"]


@pytest.mark.parametrize("name", ["train.en", "test_2016.en"])
def test_missing_file_is_named(root, name):
    (root / "multi30k" / name).unlink()
    with pytest.raises(MissingData, match=rf"^multi30k: put {name} \(unpacked, \S+ data/task1/raw\) into {root}/multi30k$"):
        load("multi30k", root=root)


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(MissingData, match=r"^multi30k: put train.de \([^\n]*\) into .*/multi30k$"):
        load("multi30k", root=tmp_path)


def test_files_must_be_parallel(root):
    (root / "multi30k" / "train.en").write_text("A dog.\n")
    with pytest.raises(ValueError, match="/multi30k/train.en must have as many lines as train.de, 3, not 1$"):
        load("multi30k", root=root)
