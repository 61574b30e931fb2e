"""Checkpoints: whole on the disk or not there, and read without running what is in them."""

import time
import zipfile
from pathlib import Path

import torch

from adagp.files import replace_file

FORMAT = "adagp training checkpoint 1"


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message, a single line, says why."""


def save(path: Path, description: dict, state: dict) -> None:
    """Replaces ``path``. ``description`` says which run it is; both consist of tensors, numbers, strings,
    lists, tuples and dicts."""
    replace_file(path, lambda partial: torch.save(
        {"format": FORMAT, "description": description, "state": state}, partial))


def load(path: Path) -> tuple[dict, dict]:
    """Description and state that ``path`` holds, tensors on the CPU; CheckpointError. Every byte is
    checked, and nothing but data is unpickled."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged:
            raise CheckpointError(f"{path} is damaged: {damaged} does not match its checksum")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (CheckpointError, OSError):
        raise
    except zipfile.BadZipFile as error:
        raise CheckpointError(f"{path} is no checkpoint, or was cut short") from error
    except Exception as error:  # whatever a reader makes of foreign bytes
        raise CheckpointError(f"{path} is no checkpoint of a training run: {first_line(error)}") from error
    if not isinstance(content, dict) or "format" not in content:
        raise CheckpointError(f"{path} is no checkpoint of a training run")
    if content["format"] != FORMAT:
        raise CheckpointError(f"{path} has the format {content['format']!r}, not {FORMAT!r}")
    return content["description"], content["state"]


def first_line(error: Exception) -> str:
    """Its text, cut after the first line; of an error without text its name."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def require_same(path: Path, stored: dict, wanted: dict) -> None:
    """CheckpointError names the first entry in which the descriptions differ."""
    for name in dict.fromkeys([*wanted, *stored]):
        if stored.get(name) != wanted.get(name):
            raise CheckpointError(f"{path} does not fit: its {name} is {stored.get(name)}, not {wanted.get(name)}")


def require_shapes(stored: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    """CheckpointError names the first parameter or buffer that only one of them has, or of another shape."""
    for name in dict.fromkeys([*wanted, *stored]):
        if name not in stored or name not in wanted:
            raise CheckpointError(f"{name} is only in the {'model' if name in wanted else 'checkpoint'}")
        if stored[name].shape != wanted[name].shape:
            raise CheckpointError(f"{name} has the shape {tuple(stored[name].shape)} in the checkpoint, "
                                  f"{tuple(wanted[name].shape)} in the model")


class Checkpoints:
    """Writes the checkpoint of a run to ``path`` again and again: one is due every ``batches`` batches or
    ``seconds`` seconds, whatever comes first, None meaning never."""

    def __init__(self, path: Path, description: dict, *, batches: int | None = None, seconds: float | None = None):
        for name, value in (("batches", batches), ("seconds", seconds)):
            if value is not None and not value > 0:
                raise ValueError(f"Checkpoints.{name} must be above 0, not {value!r}")
        self.path, self._description = path, description
        self._batches, self._seconds = batches, seconds
        self._since, self._saved = 0, time.monotonic()

    def due(self) -> bool:
        """To be asked after every batch."""
        self._since += 1
        return (self._batches is not None and self._since >= self._batches
                or self._seconds is not None and time.monotonic() - self._saved >= self._seconds)

    def save(self, state: dict) -> None:
        save(self.path, self._description, state)
        self._since, self._saved = 0, time.monotonic()
