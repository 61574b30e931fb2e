"""What a rule of capture sees of the model: values in place of tensors, and the call to be mapped."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import signature
from math import prod

import torch
from torch import nn

from .network import Part, Shape
from .operation import Operation
from .program import CompileError


@dataclass(frozen=True, eq=False)
class Value:
    """Activations while a model is captured.

    ``name`` is the operation that gives them, ``produced`` the shape of its output. ``index`` has
    the shape of PyTorch's tensor for two samples and holds, for each element, its number in that
    output in the machine's order; so whatever only rearranges is carried out on ``index``.
    """

    name: str
    produced: Shape
    index: torch.Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """PyTorch's shape of one sample."""
        return tuple(self.index.shape[1:])

    def lies_as(self, index: torch.Tensor) -> bool:
        return self.index.shape == index.shape and torch.equal(self.index, index)


def channels_first(shape: Shape) -> torch.Tensor:
    """The index of a (samples, channels, height, width) tensor; ``shape`` is (height, width, channels)."""
    return channels_last(*shape).permute(0, 3, 1, 2)


def channels_last(*shape: int) -> torch.Tensor:
    """The index of a (samples, ..., channels) tensor."""
    return torch.arange(2 * prod(shape)).reshape(2, *shape)


@dataclass(kw_only=True)
class Call:
    """One call of a module, function or method.

    ``name`` is the module's path, or that of the function's node; it is unique. ``values`` are the
    activations among the ``arguments`` and ``options``, ``shape`` is that of the result for two
    samples, if it is a tensor and no part of a module, ``state`` the model's parameters and buffers. A rule that works in place sets ``in_place``.
    """

    name: str
    module: nn.Module | None
    arguments: tuple
    options: dict
    values: list[Value]
    shape: tuple[int, ...] | None
    state: Mapping[str, torch.Tensor]
    append: Callable[[Operation, Mapping[str, str | Part]], None]
    expand: Callable[..., Value | tuple]
    in_place: bool = False

    def bound(self) -> dict:
        """The module's arguments by the names that its ``forward`` gives them."""
        bound = signature(type(self.module).forward).bind(self.module, *self.arguments, **self.options)
        bound.apply_defaults()
        return bound.arguments

    def apply(self, name: str, target, *arguments, **options) -> Value | tuple:
        """The result of a part of this module: of a module or function ``target``, called ``name``."""
        return self.expand(f"{self.name}.{name}", target, arguments, options)

    def settings(self, **defaults) -> dict:
        """The module's attributes of these names, or the arguments after the first of a function
        that has these parameters in this order."""
        if self.module is not None:
            return {name: getattr(self.module, name, default) for name, default in defaults.items()}
        given = dict(zip(defaults, self.arguments[1:]))
        return defaults | given | {name: self.options[name] for name in defaults if name in self.options}

    def part_of_model(self, values: torch.Tensor) -> tuple[Part, bool]:
        """Where the model has ``values``, which must be a parameter or buffer or consecutive elements
        of one, and whether it is trained."""
        for path, whole in self.state.items():
            if whole.untyped_storage().data_ptr() == values.untyped_storage().data_ptr() and values.is_contiguous():
                first = values.storage_offset() - whole.storage_offset()
                return Part(path, first, tuple(values.shape)), whole.requires_grad
        return self.refuse("what is not computed from the sample must be a parameter or buffer, or consecutive "
                           "elements of one")

    def refuse(self, reason: str):
        raise CompileError(f"{self.name}: {reason}")

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(value.name for value in self.values)

    def image(self, number: int = 0) -> Shape:
        """The shape of input ``number``, which must be (channels, height, width) in PyTorch."""
        value = self.values[number]
        if len(value.shape) == 3:
            channels, height, width = value.shape
            if value.lies_as(channels_first((height, width, channels))):
                return height, width, channels
        return self.refuse(f"needs an image (channels, height, width), not {self._given(value)}")

    def rows(self, number: int = 0) -> Shape:
        """The shape of input ``number``, which must be (features), (tokens, features) or (height,
        width, features) in PyTorch; the first two are (1, tokens, features)."""
        value = self.values[number]
        if 1 <= len(value.shape) <= 3 and value.lies_as(channels_last(*value.shape)):
            return *(1,) * (3 - len(value.shape)), *value.shape
        return self.refuse(f"needs (features), (tokens, features) or (height, width, features), "
                           f"not {self._given(value)}")

    def flattened(self, number: int = 0) -> tuple[int, int, int] | None:
        """The (channels, height, width) whose flattening input ``number`` is, if it is one."""
        value = self.values[number]
        height, width, channels = value.produced
        whole = value.lies_as(channels_first(value.produced).flatten(1))
        return (channels, height, width) if whole else None

    def add(self, operation: Operation, index: torch.Tensor | None = None,
            paths: Mapping[str, str | Part] | None = None) -> Value:
        """Appends ``operation`` to the network; its output lies as ``index``, by default as an image.

        ``paths`` says where the model has parameters and buffers that are not at
        ``{operation.name}.{name}``, by their names.
        """
        self.append(operation, paths or {})
        return Value(operation.name, operation.output, channels_first(operation.output) if index is None else index)

    def add_rows(self, operation: Operation, number: int = 0, paths: Mapping[str, str | Part] | None = None) -> Value:
        """As :meth:`add`, for an output with the dimensions of input ``number``, features last."""
        return self.add(operation, channels_last(*self.values[number].shape[:-1], operation.output[2]), paths)

    def _given(self, value: Value) -> str:
        return f"{value.shape} out of the {value.produced} (height, width, channels) of {value.name}"
