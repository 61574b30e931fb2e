"""What a forward pass multiplies: layer by layer, and in all."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod

import torch
from torch import nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode


@dataclass(frozen=True, kw_only=True)
class LayerShape:
    r"""One product of a forward pass, asked for by the module at the path ``name``.

    ========================  =========================  ==================================  ==========================
    kind                      input                      weight                              output
    ========================  =========================  ==================================  ==========================
    convolution               (batch, inputs, \*extent)  (outputs, inputs/groups, \*kernel)  (batch, outputs, \*extent)
    transposed convolution    the same                   (inputs, outputs/groups, \*kernel)  the same
    linear                    (rows, inputs)             (outputs, inputs)                   (rows, outputs)
    product (of activations)  (\*batch, rows, inner)     (\*batch, inner, columns)           (\*batch, rows, columns)
    ========================  =========================  ==================================  ==========================

    ``stride``, ``padding`` and ``dilation`` have an entry for each dimension of the kernel; a layer without a
    kernel has none.
    """

    name: str
    kind: str
    input: tuple[int, ...]
    weight: tuple[int, ...]
    output: tuple[int, ...]
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()

    @property
    def multiply_accumulates(self) -> int:
        """Of dense arithmetic: products with the zeros of padding count, additions of a bias do not."""
        if self.kind == "convolution":
            return prod(self.output) * prod(self.weight[1:])
        if self.kind == "transposed convolution":
            return prod(self.input) * prod(self.weight[1:])
        return prod(self.output) * self.input[-1]


def layer_shapes(model: nn.Module, *inputs: torch.Tensor) -> list[LayerShape]:
    """All products of one forward pass in evaluation mode, in their order.

    They are what PyTorch carries out as a convolution or a matrix product, so attention's two products
    are among them and nothing element-wise is. The pass runs on shapes alone (device "meta"), whatever
    device ``model`` and ``inputs`` are on, and leaves both as they are.
    """
    on_meta = {name: tensor.to("meta") for name, tensor in (*model.named_parameters(), *model.named_buffers())}
    record = _Record({_storage(on_meta[name]) for name, _ in model.named_parameters()})
    hooks = [hook for name, module in model.named_modules() for hook in (
        module.register_forward_pre_hook(lambda *_, name=name: record.within.append(name)),
        module.register_forward_hook(lambda *_: record.within.pop() and None, always_call=True))]
    try:
        with _evaluation(model), _plain_attention(), record:
            functional_call(model, on_meta, tuple(tensor.to("meta") for tensor in inputs))
    finally:
        for hook in hooks:
            hook.remove()
    return record.layers


def multiply_accumulates(model: nn.Module, *inputs: torch.Tensor) -> int:
    """Of one forward pass on ``inputs``: those of convolutions, linear layers and the products of
    attention, as listed by :func:`layer_shapes`."""
    return sum(layer.multiply_accumulates for layer in layer_shapes(model, *inputs))


def parameters(model: nn.Module) -> int:
    """How many numbers are trained; what is shared counts once."""
    return sum(parameter.numel() for parameter in model.parameters())


class _Record(TorchDispatchMode):
    """Lists the products that are carried out; ``within`` holds the paths of the modules that run."""

    def __init__(self, weights: set[int]):
        super().__init__()
        self.weights = weights
        self.within: list[str] = []
        self.layers: list[LayerShape] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        aten = torch.ops.aten
        if function.overloadpacket is aten.native_batch_norm:  # most of the time, if PyTorch takes it apart
            return torch.empty_like(args[0]), args[0].new_empty(0), args[0].new_empty(0)
        output = function(*args, **(kwargs or {}))
        match function.overloadpacket:
            case aten.convolution:
                kernel = dict(zip(("stride", "padding", "dilation"), map(tuple, args[3:6])))
                self._add("transposed convolution" if args[6] else "convolution", args[0], args[1].shape, output, **kernel)
            case aten.mm | aten.bmm:
                self._add_product(*args[:2], output)
            case aten.addmm | aten.baddbmm:
                self._add_product(*args[1:3], output)
        return output

    def _add_product(self, first: torch.Tensor, second: torch.Tensor, output: torch.Tensor) -> None:
        if _storage(second) in self.weights:
            self._add("linear", first, second.mT.shape, output)
        else:
            self._add("product", first, second.shape, output)

    def _add(self, kind: str, first: torch.Tensor, second: torch.Size, output: torch.Tensor, **kernel) -> None:
        self.layers.append(LayerShape(name=self.within[-1], kind=kind, input=tuple(first.shape),
                                      weight=tuple(second), output=tuple(output.shape), **kernel))


def _storage(tensor: torch.Tensor) -> int:
    """What a tensor and its views have in common."""
    return tensor.untyped_storage()._cdata


@contextmanager
def _evaluation(model: nn.Module) -> Iterator[None]:
    before = {module: module.training for module in model.modules()}
    try:
        model.eval()
        yield
    finally:
        for module, training in before.items():
            module.training = training


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Attention as matrix products, and no fused transformer layers."""
    before = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
