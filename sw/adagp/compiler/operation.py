"""What every operation of a network has in common, and what it gets to work with.

A network is a graph of operations. Each kind is a frozen dataclass, in :mod:`.network` or
beside its instructions, and has a module with two functions, ``forward(e, operation, work)`` and ``backward(e, operation, work)``,
which emit instructions; :data:`.phases.MODULES` joins them. Whoever writes one thinks of this
operation alone: which tensors are shared, gated or accumulated is in :class:`Work`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Protocol

import torch

from adagp.spec.isa import Format

from .optimizer import SGD
from .quality import Quality
from .tensors import Tensor

INPUT = "input"
"""The name under which operations refer to the sample."""


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
        if not self.most > 0 or float(torch.tensor(self.most).bfloat16()) != self.most:
            raise ValueError(f"Activation.most must be positive and exact in bfloat16, not {self.most!r}")
        if self.slope and self.most < inf:
            raise ValueError(f"Activation.slope must be 0 where most is finite, not {self.slope!r}")


class Operation(Protocol):
    """A node of the network. Activations are (images, height, width, channels); a sequence of
    tokens is one row of pixels, (images, 1, tokens, features).

    What is defined here is the case of one kind of input, ``image``, and nothing to train or keep.
    An operation with a field ``activation`` has that of the activation behind it, which is fused
    into it: its output is the activated one, and its gradient that before the activation.
    """

    name: str
    inputs: tuple[str, ...]
    """Names of the operations whose outputs it reads; ``INPUT`` is the sample."""
    image: tuple[int, int, int]

    @property
    def output(self) -> tuple[int, int, int]:
        """(height, width, channels) of the output of one image."""
        return self.image

    @property
    def input_shapes(self) -> tuple[tuple[int, int, int], ...]:
        """(height, width, channels) as which it reads each of ``inputs``."""
        return (self.image,) * len(self.inputs)

    @property
    def input_format(self) -> Format:
        """Format of the sample, if it reads that: FLOAT32 for numbers that an operand cannot hold."""
        return Format.OPERAND

    @property
    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        """Shapes of what is trained, float32, by the names that PyTorch gives it in the module."""
        return {}

    @property
    def buffers(self) -> Mapping[str, tuple[int, ...]]:
        """Shapes of what the forward pass carries from batch to batch (running statistics), float32."""
        return {}

    def saved(self, images: int) -> Mapping[str, tuple[tuple[int, ...], Format]]:
        """Shapes and formats of what the forward pass keeps for the backward pass of the same batch."""
        return {}

    def to_memory(self, name: str, values: torch.Tensor) -> torch.Tensor:
        """PyTorch's parameter or buffer ``name`` in the shape and order that the machine keeps."""
        return values.reshape((self.parameters | self.buffers)[name])

    def from_memory(self, name: str, values: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
        """The inverse of :meth:`to_memory`, for a parameter that has ``shape`` in PyTorch."""
        return values.reshape(shape)


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where an operation's backward pass leaves the gradient of one of its inputs.

    ``tensor`` has the shape of that input. What is stored there is the operation's own share, plus
    ``addend``, if there is one (what the operations before left; it may be ``tensor`` itself), and
    the sum times the derivative of ``activation``, if there is one, at the activation's output
    ``activations``. :class:`.finish.StoreGradient` does all of it.
    """

    tensor: Tensor
    addend: Tensor | None = None
    activations: Tensor | None = None
    activation: Activation | None = None


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a layer shares with the predictor of its weight gradient.

    The backward pass reads the ``prediction`` (output channels, weights of one), measures its
    ``quality`` and leaves the gradient of its mean squared ``error``, if those are wanted.
    """

    prediction: Tensor | None = None
    error: Tensor | None = None
    quality: Quality | None = None


@dataclass(frozen=True, kw_only=True)
class Work:
    """The tensors of one operation in one program.

    ``inputs`` and ``targets`` have the shapes ``(images, *operation.input_shapes[i])``, ``output``
    and ``gradient`` ``(images, *operation.output)``. ``gradient`` is that of the output before the
    operation's own activation, ``targets`` are those of the inputs: None where no gradient is
    wanted. Both are empty in a forward program. ``parameters`` (with their ``momenta``),
    ``buffers`` and ``saved`` are what the operation asked for under these names. ``optimizer``
    updates the parameters. ``training`` tells batch statistics from running ones. Only layers
    whose gradients are predicted have a ``prediction``.
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
    prediction: Prediction | None = None
