"""Training with approximated weight gradients (Wang and Nelaturu 2019, "Accelerated CNN Training Through Gradient
Approximation")."""

from collections.abc import Callable, Iterable

import torch
from torch import nn
from torch.autograd.function import once_differentiable

from .approximation_schedule import ApproximationSchedule, Method
from .top1 import Convolution, top1_weight_gradient


class Approximation:
    """Computes the weight gradients of a model's convolutions as a schedule says, in any ordinary training loop::

        approximation = Approximation(model, EVERY_FOURTH_LAYER.using(Method.TOP1))
        for inputs, labels in loader:
            criterion(model(inputs), labels).backward()
            optimizer.step()
            optimizer.zero_grad()

    Only weight gradients change: those of inputs, biases and other layers are exact, and a layer with
    Method.FULL does what it does without. The dense product of an approximated gradient is not computed.
    Gradients are added to ``.grad`` as always. Methods:

    - ZERO adds zeros, so an optimizer's momentum and weight decay go on (``.grad`` is not None).
    - RANDOM adds normal numbers of deviation 1/(images in the batch), anew for each batch. They know nothing
      of a loss that is scaled, unless ``scaler`` is the ``GradScaler`` that does it.
    - TOP1: see :func:`top1_weight_gradient`. A loss that is a mean over the batch brings the paper's factor
      1/batch along.

    Layers are the model's Conv1d, Conv2d and Conv3d in the order of its modules, projections of shortcuts
    included, counted from 0; ``exclude`` names modules whose convolutions are not among them. A batch is
    one call of ``model`` in training mode with gradients enabled, so with gradient accumulation each part is
    one; other calls change nothing and do not count. Gradients of gradients raise RuntimeError.
    """

    def __init__(self, model: nn.Module, schedule: ApproximationSchedule, *, exclude: Iterable[str] = (),
                 generator: torch.Generator | None = None, scaler: torch.amp.GradScaler | None = None):
        self.schedule = schedule
        self.layers = convolutions(model, exclude)
        schedule.require_layers(len(self.layers))
        self.batches = 0
        """How many there were, the one that was begun last included."""
        self._generator, self._scaler = generator, scaler
        self._methods: dict[nn.Module, Method] = {}
        self._frozen: dict[nn.Module, list[nn.Parameter]] = {}
        self._hooks = [model.register_forward_pre_hook(self._begin_batch)]
        for layer in self.layers.values():
            self._hooks += [layer.register_forward_pre_hook(self._freeze),
                            layer.register_forward_hook(self._attach, prepend=True, with_kwargs=True, always_call=True)]

    def close(self) -> None:
        """Removes the hooks; from then on all gradients are exact."""
        for hook in self._hooks:
            hook.remove()
        self._thaw_all()

    def state_dict(self) -> dict:
        """Numbers and tensors: the place in the schedule, and in the random numbers of ``generator``."""
        return {"batches": self.batches} | ({"generator": self._generator.get_state()} if self._generator else {})

    def load_state_dict(self, state: dict) -> None:
        self.batches = state["batches"]
        if self._generator:
            self._generator.set_state(state["generator"])

    def _begin_batch(self, model: nn.Module, arguments: tuple) -> None:
        self._thaw_all()
        self._methods = {}
        if model.training and torch.is_grad_enabled():
            self._methods = {layer: self.schedule.method(index, self.batches)
                             for index, layer in enumerate(self.layers.values())}
            self.batches += 1

    def _freeze(self, layer: Convolution, arguments: tuple) -> None:
        """While the layer runs, its parameters need no gradients, so autograd does not plan their product. The
        bias goes with the weight: PyTorch computes both together, so its gradient alone costs as much."""
        if self._methods.get(layer, Method.FULL) is not Method.FULL and torch.is_grad_enabled() and layer.weight.requires_grad:
            self._frozen[layer] = [each for each in layer.parameters(recurse=False) if each.requires_grad]
            for parameter in self._frozen[layer]:
                parameter.requires_grad_(False)

    def _thaw(self, layer: nn.Module) -> bool:
        parameters = self._frozen.pop(layer, [])
        for parameter in parameters:
            parameter.requires_grad_(True)
        return bool(parameters)

    def _thaw_all(self) -> None:
        """What an interrupt in the midst of a layer left behind; of exceptions alone the layer's hook hears."""
        for layer in list(self._frozen):
            self._thaw(layer)

    def _attach(self, layer: Convolution, arguments: tuple, named: dict, output: torch.Tensor | None):
        """Puts the approximated gradient in the place of the product. ``output`` is None if the layer raised."""
        if not self._thaw(layer) or output is None:
            return None
        method = self._methods[layer]
        inputs = (arguments[0] if arguments else named["input"]).detach() if method is Method.TOP1 else None

        def weight_gradient(inputs: torch.Tensor | None, gradient: torch.Tensor) -> torch.Tensor:
            if method is Method.ZERO:
                return torch.zeros_like(layer.weight)
            if method is Method.RANDOM:
                return self._random(layer, images=len(gradient) if gradient.dim() == layer.weight.dim() else 1)
            return top1_weight_gradient(layer, inputs, gradient)

        return _Parameters.apply(output, layer.weight, layer.bias, inputs, weight_gradient)

    def _random(self, layer: Convolution, images: int) -> torch.Tensor:
        scale = self._scaler.get_scale() if self._scaler else 1.0
        return torch.empty_like(layer.weight).normal_(std=scale / images, generator=self._generator)


class _Parameters(torch.autograd.Function):
    """Brings a convolution's parameters, of which autograd knows nothing, back into the graph behind it."""

    @staticmethod
    def forward(ctx, output: torch.Tensor, weight: nn.Parameter, bias: nn.Parameter | None,
                inputs: torch.Tensor | None, weight_gradient: Callable) -> torch.Tensor:
        ctx.mark_dirty(output)  # the same tensor, not a view of it, so that an activation may work in place
        ctx.save_for_backward(inputs)
        ctx.weight_gradient = weight_gradient
        ctx.channels = 1 - weight.dim()
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: torch.Tensor):
        weight = bias = None
        if ctx.needs_input_grad[1]:
            weight = ctx.weight_gradient(*ctx.saved_tensors, gradient)
        if ctx.needs_input_grad[2]:
            others = [dim for dim in range(-gradient.dim(), 0) if dim != ctx.channels]
            bias = gradient.sum(others)
        return gradient, weight, bias, None, None


_FORWARDS = nn.Conv1d.forward, nn.Conv2d.forward, nn.Conv3d.forward


def convolutions(model: nn.Module, exclude: Iterable[str] = ()) -> dict[str, Convolution]:
    """The convolutions of ``model`` by name, but those in modules named in ``exclude``."""
    modules, left_out = dict(model.named_modules()), set()
    for name in exclude:
        if name not in modules:
            raise ValueError(f"exclude must name modules of the model, not {name!r}")
        left_out |= set(modules[name].modules())
    layers = {name: module for name, module in modules.items() if isinstance(module, Convolution) and module not in left_out}
    if not layers:
        raise ValueError("model must have a Conv1d, Conv2d or Conv3d that is not excluded, not none")
    for name, layer in layers.items():
        if "weight" not in layer._parameters or getattr(layer.forward, "__func__", None) not in _FORWARDS:
            raise ValueError("exclude must name the convolutions that compute their weight from other parameters or have a "
                             f"forward() of their own, such as {name!r}")
    return layers
