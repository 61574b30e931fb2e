"""Affine address walks: the loops of an instruction over a memory, as array views where possible."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Walk:
    """Addresses ``base + Σ index·stride`` modulo ``size``, all in elements of the memory.

    ``counts`` and ``strides`` are from the outermost to the innermost loop, which is also the
    order of the axes that :meth:`read` returns and :meth:`write` takes.
    """

    size: int
    base: int
    counts: tuple[int, ...]
    strides: tuple[int, ...]

    @cached_property
    def _spans(self) -> list[int]:
        return [(count - 1) * stride for count, stride in zip(self.counts, self.strides)]

    @cached_property
    def first(self) -> int:
        """Lowest address without wrapping; of the copy of the walk whose base is in the memory."""
        return self.base % self.size + sum(min(span, 0) for span in self._spans)

    @cached_property
    def last(self) -> int:
        return self.base % self.size + sum(max(span, 0) for span in self._spans)

    @cached_property
    def straight(self) -> bool:
        """No address wraps, so a strided view shows them all."""
        return self.first >= 0 and self.last < self.size

    @cached_property
    def distinct(self) -> bool:
        """No address occurs twice."""
        reach = 0
        for stride, count in sorted((abs(stride), count) for stride, count in zip(self.strides, self.counts) if count > 1):
            if stride <= reach:
                break
            reach += (count - 1) * stride
        else:
            if self.straight:
                return True
        addresses = self.addresses()
        return np.unique(addresses).size == addresses.size

    def addresses(self) -> np.ndarray:
        """int64 addresses with one axis per loop."""
        total = np.int64(self.base)
        for axis, (count, stride) in enumerate(zip(self.counts, self.strides)):
            shape = [1] * len(self.counts)
            shape[axis] = count
            total = total + (np.arange(count, dtype=np.int64) * stride).reshape(shape)
        return total % self.size

    def view(self, memory: np.ndarray) -> np.ndarray:
        """A strided view; only for a straight walk. Axes of ``memory`` after the first follow."""
        item = memory.strides[0]
        return np.ndarray(self.counts + memory.shape[1:], memory.dtype, memory, self.base % self.size * item,
                          tuple(stride * item for stride in self.strides) + memory.strides[1:])

    def read(self, memory: np.ndarray) -> np.ndarray:
        return self.view(memory) if self.straight else memory[self.addresses()]

    def write(self, memory: np.ndarray, values: np.ndarray) -> None:
        """Stores ``values``; of several for one address the last stays."""
        if self.straight and self.distinct:
            self.view(memory)[...] = values
        else:
            addresses = self.addresses()
            shape = addresses.shape + memory.shape[1:]
            memory[addresses.ravel()] = np.broadcast_to(values, shape).reshape(-1, *memory.shape[1:])
