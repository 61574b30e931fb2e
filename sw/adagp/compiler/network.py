"""The operations of a network that the compiler maps, and the graph that they form."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

import torch

from .operation import INPUT, Activation, Operation

Shape = tuple[int, int, int]
"""(height, width, channels) of the activations of one image."""


@dataclass(frozen=True, kw_only=True)
class Convolution(Operation):
    """A Conv2d, or a Linear as a 1×1 convolution of its rows: of one pixel, or of all tokens.

    ``image`` is (height, width, channels) of the input, ``flattened`` the (channels, height, width)
    whose flattening a Linear reads, if any: its weight's columns are reordered to channels last.
    """

    name: str
    inputs: tuple[str, ...] = (INPUT,)
    image: Shape
    channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    bias: bool = True
    activation: Activation | None = None
    flattened: tuple[int, int, int] | None = None

    @property
    def output(self) -> Shape:
        return *_windows(self, self.reach), self.channels

    @property
    def reach(self) -> tuple[int, int]:
        """Pixels from the kernel's first tap to its last, both included, down and across."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation))

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        return self.channels, *self.kernel, self.image[2] // self.groups

    @property
    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        return {"weight": self.weight_shape} | ({"bias": (self.channels,)} if self.bias else {})

    def to_memory(self, name: str, values: torch.Tensor) -> torch.Tensor:
        return self.weight_to_memory(values) if name == "weight" else values

    def from_memory(self, name: str, values: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
        return self.weight_from_memory(values, len(shape) == 2) if name == "weight" else values

    def weight_to_memory(self, weight: torch.Tensor) -> torch.Tensor:
        """PyTorch's parameter as an array of :attr:`weight_shape`."""
        if weight.dim() == 2:
            weight = weight.reshape(self.channels, *(self.flattened or (self.image[2], 1, 1)))
            return weight.permute(0, 2, 3, 1).reshape(self.weight_shape)
        return weight.permute(0, 2, 3, 1)

    def weight_from_memory(self, weight: torch.Tensor, linear: bool) -> torch.Tensor:
        """The inverse of :meth:`weight_to_memory`."""
        if linear:
            channels, height, width = self.flattened or (self.image[2], 1, 1)
            return weight.reshape(-1, height, width, channels).permute(0, 3, 1, 2).reshape(self.channels, -1)
        return weight.permute(0, 3, 1, 2)


@dataclass(frozen=True, kw_only=True)
class MaxPool(Operation):
    """A MaxPool2d; padded positions never win."""

    name: str
    inputs: tuple[str, ...] = (INPUT,)
    image: Shape
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]

    @property
    def output(self) -> Shape:
        return *_windows(self, self.kernel), self.image[2]


@dataclass(frozen=True, kw_only=True)
class Add(Operation):
    """The sum of its inputs, element by element; of one input, for an activation on its own.

    Its gradient is that of each of its inputs.
    """

    name: str
    inputs: tuple[str, ...]
    image: Shape
    activation: Activation | None = None


@dataclass(frozen=True, kw_only=True)
class Concatenate(Operation):
    """The channels of all inputs (of ``images``) behind one another, pixel by pixel."""

    name: str
    inputs: tuple[str, ...]
    images: tuple[Shape, ...]

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return self.images

    @property
    def output(self) -> Shape:
        return *self.images[0][:2], sum(channels for _, _, channels in self.images)


@dataclass(frozen=True, kw_only=True)
class Upsample(Operation):
    """Each pixel ``factor`` (down, right) times: nearest neighbour with integer factors."""

    name: str
    inputs: tuple[str, ...]
    image: Shape
    factor: tuple[int, int]

    @property
    def output(self) -> Shape:
        height, width, channels = self.image
        return height * self.factor[0], width * self.factor[1], channels


@dataclass(frozen=True)
class Part:
    """Elements of the model's parameter or buffer ``path``: ``shape``, from number ``first`` on."""

    path: str
    first: int
    shape: tuple[int, ...]

    def of(self, state: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """A view of these elements."""
        return state[self.path].view(-1)[self.first:self.first + prod(self.shape)].view(self.shape)


@dataclass(frozen=True, kw_only=True)
class Network:
    """Operations in topological order, the last of which gives the logits.

    ``sample`` is the shape of ``INPUT``. A parameter or buffer ``{operation}.{name}`` has that very
    path in the model, or else the one, or is the part of another, that ``paths`` gives.
    """

    sample: Shape
    operations: tuple[Operation, ...]
    paths: Mapping[str, str | Part] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Operation:
        return next(operation for operation in self.operations if operation.name == name)

    @property
    def convolutions(self) -> list[Convolution]:
        """The layers whose weight gradients are predicted, linear ones included."""
        return [operation for operation in self.operations if isinstance(operation, Convolution)]

    def readers(self, name: str) -> list[Operation]:
        """The operations that read the output of ``name``, once for each time they do."""
        return [operation for operation in self.operations for source in operation.inputs if source == name]

    def values(self, operation: Operation, name: str, state: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """What the model, whose parameters and buffers are ``state``, has as ``name`` of ``operation``;
        changing it changes the model."""
        path = self.paths.get(f"{operation.name}.{name}", f"{operation.name}.{name}")
        return path.of(state) if isinstance(path, Part) else state[path]


def activation_of(operation: Operation) -> Activation | None:
    """What is fused into ``operation``; None also for those that nothing can be fused into."""
    return getattr(operation, "activation", None)


def _windows(operation: Convolution | MaxPool, reach: tuple[int, int]) -> tuple[int, int]:
    """Positions of a kernel that spans ``reach`` pixels on the image, (down, right)."""
    height, width = ((n + 2 * p - r) // s + 1 for n, p, r, s in zip(
        operation.image[:2], operation.padding, reach, operation.stride))
    return height, width
