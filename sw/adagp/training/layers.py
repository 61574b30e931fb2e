"""Layers whose weight gradients can be predicted: convolutions of every kind and linear layers."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn
from torch.nn import functional
from torch.nn.parameter import is_lazy

_CONVOLUTIONS = nn.Conv1d, nn.Conv2d, nn.Conv3d
_TRANSPOSED = nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d
SERVED = (*_CONVOLUTIONS, *_TRANSPOSED, nn.Linear)
"""Module types, subclasses included."""


@dataclass(frozen=True, eq=False)
class Layer:
    """One convolution or linear layer of a model.

    Activations have the batch in dimension 0; channels in dimension 1 for convolutions, in the last
    one for linear layers.
    """

    name: str
    module: nn.Module

    @property
    def weight(self) -> nn.Parameter:
        return self.module.weight

    @property
    def bias(self) -> nn.Parameter | None:
        """None also if it is computed, or not trained."""
        return self.module.bias if _trained(self.module.bias) else None

    @property
    def parameters(self) -> tuple[nn.Parameter, ...]:
        """The weight, and the bias if there is one."""
        return (self.weight,) if self.bias is None else (self.weight, self.bias)

    @cached_property
    def linear(self) -> bool:
        return isinstance(self.module, nn.Linear)

    @cached_property
    def _transposed(self) -> bool:
        return isinstance(self.module, _TRANSPOSED)

    @property
    def outputs(self) -> int:
        """Output channels."""
        return self.module.out_features if self.linear else self.module.out_channels

    @property
    def weights_per_output(self) -> int:
        """Weights that an output channel has for itself: in_ch·k·k of the paper, over the groups."""
        return self.weight.numel() // self.outputs

    def rows(self, weight: torch.Tensor) -> torch.Tensor:
        """A tensor of the weight's shape as (outputs, weights_per_output), a row per output channel, in the
        order in which the weight lies in memory (of a ``channels_last`` one the input channels last)."""
        if self._transposed:
            return weight.unflatten(0, (self.module.groups, -1)).transpose(1, 2).reshape(self.outputs, -1)
        if self._channels_last:
            weight = weight.permute(0, 2, 3, 1)
        return weight.reshape(self.outputs, -1)

    def from_rows(self, rows: torch.Tensor) -> torch.Tensor:
        """The inverse of :meth:`rows`."""
        shape = self.weight.shape
        if self._transposed:
            groups, inputs = self.module.groups, shape[0]
            return rows.view(groups, self.outputs // groups, inputs // groups, *shape[2:]).transpose(1, 2).reshape(shape)
        if self._channels_last:
            return rows.view(shape[0], *shape[2:], shape[1]).permute(0, 3, 1, 2)
        return rows.view(shape)

    @property
    def _channels_last(self) -> bool:
        weight = self.weight
        return weight.dim() == 4 and not weight.is_contiguous() and weight.is_contiguous(memory_format=torch.channels_last)

    def images(self, output: torch.Tensor) -> torch.Tensor:
        """The mean over the batch of the layer's output as one image per output channel:
        (outputs, height, width); a sequence has height 1, a volume its depth in the height."""
        output = output.detach()
        mean = combined(torch.full((len(output), 1), 1 / len(output), device=output.device), output)[0]
        if self.linear:
            return mean.reshape(-1, 1, self.outputs).permute(2, 1, 0)
        return mean.reshape(self.outputs, 1, -1) if mean.dim() < 3 else mean.reshape(self.outputs, -1, mean.shape[-1])

    def weight_gradient(self, inputs: torch.Tensor, output_gradient: torch.Tensor) -> torch.Tensor:
        """From the layer's input and the gradient of its output, both with the same number of samples."""
        module = self.module
        if self.linear:
            return output_gradient.reshape(-1, self.outputs).T @ inputs.reshape(-1, module.in_features)
        padding = module.padding
        if isinstance(padding, str) or module.padding_mode != "zeros":
            inputs = functional.pad(inputs, module._reversed_padding_repeated_twice,
                                    "constant" if module.padding_mode == "zeros" else module.padding_mode)
            padding = (0,) * len(module.kernel_size)
        return torch.ops.aten.convolution_backward(
            output_gradient, inputs, self.weight, None, module.stride, padding, module.dilation, self._transposed,
            self._output_padding(inputs, output_gradient), module.groups, [False, True, False])[1]

    def _output_padding(self, inputs: torch.Tensor, output: torch.Tensor) -> list[int]:
        """Of a transposed convolution, whose caller may have asked for a certain output size."""
        module = self.module
        if not self._transposed:
            return [0] * len(module.kernel_size)
        return [size - ((given - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1)
                for size, given, stride, padding, dilation, kernel in zip(
                    output.shape[2:], inputs.shape[2:], module.stride, module.padding, module.dilation, module.kernel_size)]


def combined(weights: torch.Tensor, samples: torch.Tensor) -> torch.Tensor:
    """Weighted sums over the samples: (samples, sums) and (samples, ...) → (sums, ...), in float32. One
    product of matrices, whichever way the samples lie in memory."""
    if samples.dim() == 4 and not samples.is_contiguous() and samples.is_contiguous(memory_format=torch.channels_last):
        return combined(weights, samples.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    return (weights.T @ samples.flatten(1).float()).view(-1, *samples.shape[1:])


def served_layers(model: nn.Module, exclude: tuple[str, ...] = ()) -> list[Layer]:
    """All layers of ``model`` whose weight is a trained parameter, in the order of its modules, but those named in
    ``exclude`` or inside of modules named there. A weight that is computed (by ``weight_norm``, pruning) is none.

    ``ValueError`` if a name is not a module of the model, a layer has no shape yet or shares its weight,
    or nothing is left.
    """
    modules = dict(model.named_modules())
    for name in exclude:
        if name not in modules:
            raise ValueError(f"exclude must name modules of the model, not {name!r}")
    layers = [Layer(name, module) for name, module in modules.items()
              if isinstance(module, SERVED) and _trained(module.weight)
              and not any(name == excluded or name.startswith(f"{excluded}.") for excluded in exclude)]
    if not layers:
        raise ValueError("model must have a convolution or linear layer with a trained weight that is not excluded")
    for layer in layers:
        if is_lazy(layer.weight):
            raise ValueError(f"layer {layer.name!r} must have its shape before AdaGP is made; run the model once")
        for name, module in modules.items():
            if module is not layer.module and any(own is layer.weight for own in module.parameters(recurse=False)):
                raise ValueError(f"layer {layer.name!r} must not share its weight with {name!r}; "
                                 f"exclude={layer.name!r} leaves it to Phase BP")
    return layers


def _trained(parameter: torch.Tensor | None) -> bool:
    return isinstance(parameter, nn.Parameter) and parameter.requires_grad
