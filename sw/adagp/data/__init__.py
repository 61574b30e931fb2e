"""Data sets, batches of them that can be resumed bit for bit, and the tasks they set."""

from collections.abc import Callable
from pathlib import Path

from . import digits
from .arrays import arrays
from .batches import Batches
from .datasets import DataSet, MissingData, Source
from .tasks import CLASSIFICATION, Task

__all__ = ["CLASSIFICATION", "NAMES", "Batches", "DataSet", "MissingData", "Source", "Task", "arrays", "load"]

_IN_MEMORY: dict[str, Callable[..., DataSet]] = {"digits": digits.plain, "digits-noisy": digits.noisy}
NAMES: tuple[str, ...] = tuple(_IN_MEMORY)


def load(name: str, *, root: Path | str = Path("data"), **options) -> DataSet:
    """The data set ``name``, one of NAMES, whose files, if it has any, are in the folder ``root``.

    ``options`` are those of the function that the data set comes from. Nothing is downloaded: where
    files or packages are missing, MissingData says which.
    """
    if name in _IN_MEMORY:
        return _IN_MEMORY[name](**options)
    raise ValueError(f"name must be one of {', '.join(NAMES)}, not {name!r}")
