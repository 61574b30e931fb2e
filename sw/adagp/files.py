"""Outputs that are whole or not there: written beside their place and renamed."""

import os
from collections.abc import Callable
from pathlib import Path


def replace_file(path: Path, write: Callable[[Path], None]) -> None:
    """Calls ``write`` with a path of the same suffix and moves the result to ``path``.

    Whatever ends the process or the machine, ``path`` is the former file or the new one, whole and on
    the disk. If ``write`` raises, the former file stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        write(partial)
        _to_disk(partial)
        os.replace(partial, path)
        _to_disk(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
