"""From an ordinary ``torch.nn.Module`` to the chain of layers that the compiler maps."""

import operator
from dataclasses import dataclass, replace

import torch
from torch import fx, nn
from torch.nn import functional

from .program import CompileError


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """A Conv2d, or a Linear as a 1×1 convolution of one pixel, with the ReLU that follows it.

    ``image`` is (height, width, channels) of the input, ``flattened`` the (channels, height, width)
    whose flattening a Linear reads, if any: its weight's columns are reordered to channels last.
    Each of ``groups`` groups makes its share of the output channels from its share of the input's;
    neighbouring taps of the kernel are ``dilation`` pixels apart.
    """

    name: str
    image: tuple[int, int, int]
    channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    bias: bool = True
    relu: bool = False
    flattened: tuple[int, int, int] | None = None

    @property
    def output(self) -> tuple[int, int, int]:
        height, width, _ = self.image
        size = [(n + 2 * p - r) // s + 1
                for n, p, r, s in zip((height, width), self.padding, self.reach, self.stride)]
        return size[0], size[1], self.channels

    @property
    def reach(self) -> tuple[int, int]:
        """Pixels from the kernel's first tap to its last, both included, down and across."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation))

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        return self.channels, *self.kernel, self.image[2] // self.groups

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
class MaxPool:
    """A MaxPool2d; padded positions never win."""

    name: str
    image: tuple[int, int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]

    @property
    def output(self) -> tuple[int, int, int]:
        height, width, channels = self.image
        size = [(n + 2 * p - k) // s + 1
                for n, p, k, s in zip((height, width), self.padding, self.kernel, self.stride)]
        return size[0], size[1], channels


Layer = Convolution | MaxPool


def capture(model: nn.Module, input_shape: tuple[int, ...]) -> list[Layer]:
    """The layers of ``model`` for inputs of (channels, height, width) or (features,).

    Raises :class:`CompileError` with the layer's name and the reason for what cannot be mapped.
    """
    try:
        graph = fx.symbolic_trace(model)
    except Exception as error:  # torch.fx raises many kinds for untraceable Python
        raise CompileError(f"{type(model).__name__}: torch.fx cannot trace it: {error}") from error
    shapes = _Shapes(graph)
    try:
        shapes.run(torch.zeros(2, *input_shape))
    except RuntimeError as error:
        raise CompileError(f"{type(model).__name__}: does not accept input of shape {input_shape}: "
                           f"{str(error).splitlines()[0]}") from error
    return _Chain(graph, shapes.shapes, input_shape).layers()


class _Shapes(fx.Interpreter):
    """Runs the graph on two samples to learn every node's shape without the batch."""

    def __init__(self, graph: fx.GraphModule):
        super().__init__(graph)
        self.shapes: dict[str, tuple[int, ...]] = {}

    def run_node(self, node: fx.Node):
        with torch.no_grad():
            result = super().run_node(node)
        if isinstance(result, torch.Tensor) and node.op != "get_attr":
            self.shapes[node.name] = tuple(result.shape[1:])
        return result


_RELU = {torch.relu, functional.relu, "relu"}
_POOL = {functional.max_pool2d, torch.max_pool2d}
_FLATTEN = {torch.flatten, "flatten", "view", "reshape"}
_OUTSIDE = {"size", getattr, operator.getitem}


class _Chain:
    def __init__(self, graph: fx.GraphModule, shapes, input_shape):
        self.graph, self.shapes, self.input_shape = graph, shapes, input_shape

    def layers(self) -> list[Layer]:
        layers: list[Layer] = []
        previous, flattened = None, None
        for node in self.graph.graph.nodes:
            if node.op == "placeholder":
                if previous is not None:
                    raise CompileError(f"{node.name}: the model must have one input")
                previous = node
                continue
            if node.op == "output":
                if node.args[0] is not previous:
                    raise CompileError("output: the model must return the tensor of its last layer")
                break
            if node.target in _OUTSIDE:
                continue  # shape arithmetic around view and reshape; folded into known shapes
            if not node.args or node.args[0] is not previous:
                raise CompileError(f"{self._name(node)}: only chains of layers are mapped, and this layer's "
                                   f"input is not the layer before it")
            flattened = self._append(layers, node, previous, flattened)
            previous = node
        if not layers or not isinstance(layers[-1], Convolution) or layers[-1].relu or layers[-1].output[:2] != (1, 1):
            raise CompileError("output: the last layer must be a Linear that gives the logits")
        return layers

    def _append(self, layers, node, previous, flattened):
        module = self.graph.get_submodule(node.target) if node.op == "call_module" else None
        name, shape = self._name(node), self.shapes[previous.name]
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            layers.append(self._convolution(name, module, shape, flattened))
            return None
        if isinstance(module, nn.ReLU) or node.target in _RELU:
            self._relu(layers, name)
        elif isinstance(module, nn.MaxPool2d) or node.target in _POOL:
            layers.append(self._pool(name, module, node, shape))
        elif isinstance(module, nn.Flatten) or node.target in _FLATTEN:
            result = self.shapes[node.name]
            if result != (torch.Size(shape).numel(),):
                raise CompileError(f"{name}: must flatten {shape} to one dimension, not to {result}")
            return shape if len(shape) == 3 else flattened
        elif not isinstance(module, nn.Identity):
            kind = type(module).__name__ if module is not None else getattr(node.target, "__name__", node.target)
            raise CompileError(f"{name}: {kind} is not mapped; mapped are Conv2d, Linear, ReLU, MaxPool2d and Flatten")
        return flattened

    @staticmethod
    def _name(node: fx.Node) -> str:
        return str(node.target) if node.op == "call_module" else node.name

    @staticmethod
    def _convolution(name, module, shape, flattened) -> Convolution:
        if isinstance(module, nn.Linear):
            if len(shape) != 1:
                raise CompileError(f"{name}: Linear needs flattened input, not {shape}")
            return Convolution(name=name, image=(1, 1, shape[0]), channels=module.out_features,
                               bias=module.bias is not None, flattened=flattened)
        if module.padding_mode != "zeros":
            raise CompileError(f"{name}: Conv2d.padding_mode must be 'zeros', not {module.padding_mode!r}")
        padding = module.padding
        if isinstance(padding, str):
            around = [d * (k - 1) for k, d in zip(module.kernel_size, module.dilation)]
            if padding == "same" and any(n % 2 for n in around):
                raise CompileError(f"{name}: Conv2d.padding 'same' needs as many zeros on both sides, "
                                   f"not those of kernel {module.kernel_size} with dilation {module.dilation}")
            padding = tuple(n // 2 for n in around) if padding == "same" else (0, 0)
        channels, height, width = shape
        return Convolution(name=name, image=(height, width, channels), channels=module.out_channels,
                           kernel=module.kernel_size, stride=module.stride, padding=padding,
                           dilation=module.dilation, groups=module.groups, bias=module.bias is not None)

    @staticmethod
    def _relu(layers: list[Layer], name: str) -> None:
        """Fuses into the convolution before; past max pooling too, with which it commutes exactly."""
        position = len(layers) - 1
        while position >= 0 and isinstance(layers[position], MaxPool):
            position -= 1
        if position < 0:
            raise CompileError(f"{name}: ReLU must follow a Conv2d or Linear layer")
        layers[position] = replace(layers[position], relu=True)

    @staticmethod
    def _pool(name, module, node, shape) -> MaxPool:
        names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
        if module is not None:
            given = {key: getattr(module, key) for key in names}
        else:
            given = dict(zip(names, node.args[1:])) | {key: node.kwargs[key] for key in names if key in node.kwargs}
        if given.get("ceil_mode", False) or _pair(given.get("dilation", 1)) != (1, 1):
            raise CompileError(f"{name}: MaxPool2d needs ceil_mode False and dilation 1")
        kernel = _pair(given["kernel_size"])
        channels, height, width = shape
        return MaxPool(name=name, image=(height, width, channels), kernel=kernel,
                       stride=_pair(given.get("stride") or kernel), padding=_pair(given.get("padding", 0)))


def _pair(value) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)
