"""What every operation of a network has in common, and what it gets to work with.

A network is a graph of operations. Each kind is a frozen dataclass in :mod:`.network` and has a
module with two functions, ``forward(e, operation, work)`` and ``backward(e, operation, work)``,
which emit instructions. Whoever writes one thinks of this operation alone: which tensors are
shared, gated or accumulated is in :class:`Work`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Protocol

from adagp.spec.isa import Format

from .finish import SGD
from .tensors import Tensor


@dataclass(frozen=True, kw_only=True)
class Activation:
    """A piecewise linear function: x where it is positive, ``slope``·x elsewhere, at most ``most``.

    ReLU is ``Activation()``, leaky ReLU has a slope in [0, 1), ReLU6 has ``most=6``. Its derivative
    follows from its output, so only that is kept: 1 in (0, most), 0 from ``most`` on, else ``slope``.
    """

    slope: float = 0.0
    most: float = inf

    def __post_init__(self):
        if not 0 <= self.slope < 1:
            raise ValueError(f"Activation.slope must be in [0, 1), not {self.slope!r}")
        if not self.most > 0:
            raise ValueError(f"Activation.most must be positive, not {self.most!r}")


class Operation(Protocol):
    """A node of the network. Activations are (images, height, width, channels); a sequence of
    tokens is one row of pixels, (images, 1, tokens, features)."""

    name: str
    inputs: tuple[str, ...]
    """Names of the operations whose outputs it reads; ``INPUT`` is the sample."""

    @property
    def output(self) -> tuple[int, int, int]:
        """(height, width, channels) of the output of one image."""

    @property
    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        """Shapes of what is trained, float32, by the names that PyTorch gives it in the module."""

    @property
    def buffers(self) -> Mapping[str, tuple[int, ...]]:
        """Shapes of what the forward pass carries from batch to batch (running statistics), float32."""

    def saved(self, images: int) -> Mapping[str, tuple[tuple[int, ...], Format]]:
        """Shapes and formats of what the forward pass keeps for the backward pass of the same batch."""


INPUT = "input"
"""The name under which operations refer to the sample."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where an operation's backward pass leaves the gradient of one of its inputs.

    ``tensor`` has the shape of that input. If the input came out of an ``activation``,
    ``activations`` is that input itself, and the gradient is to be multiplied by the derivative
    before it is stored: what is stored is always the gradient before the producer's activation.
    With ``accumulate`` another operation has left its share before, to which this one is added.
    """

    tensor: Tensor
    activations: Tensor | None = None
    activation: Activation | None = None
    accumulate: bool = False


@dataclass(frozen=True, kw_only=True)
class Work:
    """The tensors of one operation in one program.

    ``gradient`` is that of the output (before the operation's own activation), ``targets`` are
    those of the inputs: None where no gradient is wanted. Both are empty in a forward program.
    ``parameters`` (with their ``momenta``), ``buffers`` and ``saved`` are what the operation asked
    for under these names. ``optimizer`` updates the parameters. ``training`` tells batch statistics
    from running ones.
    """

    inputs: tuple[Tensor, ...]
    output: Tensor
    gradient: Tensor | None = None
    targets: tuple[Target | None, ...] = ()
    parameters: Mapping[str, Tensor] = field(default_factory=dict)
    momenta: Mapping[str, Tensor] = field(default_factory=dict)
    buffers: Mapping[str, Tensor] = field(default_factory=dict)
    saved: Mapping[str, Tensor] = field(default_factory=dict)
    optimizer: SGD | None = None
    training: bool = True
