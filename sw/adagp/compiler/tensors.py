"""Tensors in external memory: where they lie, and how PyTorch sees them."""

from dataclasses import dataclass, replace
from enum import IntEnum
from math import prod

import numpy as np
import torch

from adagp.spec.isa import Format

ALIGNMENT = 64


BASES = 8
"""Base registers of the machine."""


class Base(IntEnum):
    """Base registers: state stays, data and labels advance from batch to batch."""

    STATE = 0
    DATA = 1
    LABELS = 2


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A dense array of ``shape`` in external memory, or ``local`` in the predictor memory, last
    dimension contiguous.

    Activations are (images, height, width, channels), convolution weights (output channels, kernel
    height, kernel width, input channels): PyTorch's ``channels_last`` order. Address of the first
    byte: base register ``base`` plus ``offset``; ``offset`` alone in the predictor memory.
    """

    name: str
    shape: tuple[int, ...]
    format: Format
    base: Base
    offset: int
    local: bool = False

    @property
    def elements(self) -> int:
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.elements * self.format.bytes

    def strides(self) -> tuple[int, ...]:
        """Bytes from one index to the next, per dimension."""
        return tuple(prod(self.shape[i + 1:]) * self.format.bytes for i in range(len(self.shape)))

    def view(self, *shape: int) -> "Tensor":
        """The same memory under another shape."""
        if prod(shape) != self.elements:
            raise ValueError(f"view of {self.name} must have {self.elements} elements, not {prod(shape)}")
        return replace(self, shape=shape)

    def rows(self, count: int) -> "Tensor":
        """The first ``count`` indices of the first dimension."""
        return replace(self, shape=(count, *self.shape[1:]))

    def read(self, memory: np.ndarray, address: int = 0) -> torch.Tensor:
        """A copy as float32 (or bfloat16) of ``shape``; ``address`` is the value of the base register."""
        start = address + self.offset
        raw = torch.from_numpy(memory[start:start + self.bytes].copy())
        return raw.view(torch.float32 if self.format is Format.FLOAT32 else torch.bfloat16).reshape(self.shape)

    def write(self, memory: np.ndarray, values: torch.Tensor, address: int = 0) -> None:
        """Writes ``values`` of ``shape``, converted to the format."""
        if tuple(values.shape) != self.shape:
            raise ValueError(f"{self.name} must have shape {self.shape}, not {tuple(values.shape)}")
        kind = torch.float32 if self.format is Format.FLOAT32 else torch.bfloat16
        data = values.detach().to(kind).contiguous().reshape(-1).view(torch.uint8).numpy()
        start = address + self.offset
        if start + self.bytes > memory.size:
            raise ValueError(f"{self.name} ends at byte {start + self.bytes}, past the memory's {memory.size}")
        memory[start:start + self.bytes] = data


class Layout:
    """Places tensors one after the other behind the STATE base register, or ``local`` in the predictor
    memory."""

    def __init__(self, *, local: bool = False):
        self.local = local
        self.size = 0
        self.tensors: dict[str, Tensor] = {}

    def place(self, name: str, shape: tuple[int, ...], format: Format) -> Tensor:
        if name in self.tensors:
            raise ValueError(f"tensor {name!r} is placed twice")
        tensor = Tensor(name=name, shape=tuple(shape), format=format, base=Base.STATE, offset=self.size,
                        local=self.local)
        self.size += -(-tensor.bytes // ALIGNMENT) * ALIGNMENT
        self.tensors[name] = tensor
        return tensor

    def share(self, name: str, tensor: Tensor) -> Tensor:
        """A second name for ``tensor``."""
        self.tensors[name] = tensor
        return tensor
