"""Data sets, batches of them that can be resumed bit for bit, and the tasks they set."""

from functools import partial
from inspect import signature
from pathlib import Path

from .arrays import arrays
from .batches import Batches
from .datasets import DataSet, MissingData, Source
from .digits import noisy_digits, plain_digits
from .images import cifar, imagenet
from .multi30k import multi30k
from .synthetic import KINDS, synthetic
from .tasks import CLASSIFICATION, Task
from .voc import voc

__all__ = ["CLASSIFICATION", "NAMES", "Batches", "DataSet", "MissingData", "Source", "Task", "arrays", "load", "options"]

_IN_FILES = {"cifar10": partial(cifar, "cifar10"), "cifar100": partial(cifar, "cifar100"), "imagenet": imagenet,
             "voc": voc, "multi30k": multi30k}
_WITHOUT_FILES = {"digits": plain_digits, "digits-noisy": noisy_digits,
                  **{f"synthetic-{kind}": partial(synthetic, kind) for kind in KINDS}}

NAMES: tuple[str, ...] = ("digits", "digits-noisy", *_IN_FILES, *(f"synthetic-{kind}" for kind in KINDS))


def load(name: str, *, root: Path | str = Path("data"), **options) -> DataSet:
    """The data set ``name``, one of NAMES, whose files, if it has any, are in the folder ``root``.

    ``options`` are those of the function behind the name: plain_digits, noisy_digits, cifar, imagenet, voc,
    multi30k, synthetic. Nothing is downloaded: where files or packages are missing, MissingData says
    which.
    """
    if name in _IN_FILES:
        return _IN_FILES[name](root=Path(root), **options)
    if name in _WITHOUT_FILES:
        return _WITHOUT_FILES[name](**options)
    raise ValueError(f"name must be one of {', '.join(NAMES)}, not {name!r}")


def options(name: str) -> dict[str, type[int] | type[float]]:
    """The options of ``load(name)`` that are numbers, with their types."""
    parameters = dict(signature({**_IN_FILES, **_WITHOUT_FILES}[name]).parameters)
    if name.startswith("synthetic-"):  # which hands its other options on
        parameters |= signature(KINDS[name.removeprefix("synthetic-")]).parameters
    return {option: each.annotation for option, each in parameters.items() if each.annotation in (int, float)}
