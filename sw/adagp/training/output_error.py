"""The error of a model's output: the gradient of the loss with respect to it, whatever it consists of."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.autograd.graph import register_multi_grad_hook
from torch.utils._pytree import tree_leaves, tree_map_only


class OutputError:
    """Of all tensors in tuples, lists and dicts that have a gradient, side by side: (samples, values). Zero
    where the loss does not use them.

    ``differentiable`` says of each tensor whether back-propagation gives it a gradient; a constant has none
    in Phase GP either.
    """

    def __init__(self):
        self.differentiable: list[bool] = []
        self._handle = None
        self._leaves: list[torch.Tensor] = []

    def follow(self, output: Any, receive: Callable[[torch.Tensor], None]) -> Any:
        """The output for the loss. In its backward pass ``receive`` gets the error, before the gradient of any
        layer's output is known. ValueError if it has no samples."""
        self.differentiable = [tensor.requires_grad for tensor in _tensors(output)]
        # copies: their gradients come before those of the layers whose outputs they are, in spite of changes in place
        copied = tree_map_only(torch.Tensor, lambda tensor: tensor.clone() if tensor.requires_grad else tensor, output)
        followed = [tensor for tensor in _tensors(copied) if tensor.requires_grad]
        _require_samples(followed, output)
        zeros = _zeros(followed)
        self._handle = register_multi_grad_hook(followed, lambda gradients: receive(_joined(gradients, zeros)))
        return copied

    def cut(self, output: Any) -> Any:
        """The output for the loss, of a forward pass without graph. ValueError if it has no samples."""
        flags = iter(self.differentiable)

        def leaf(tensor: torch.Tensor) -> torch.Tensor:
            if not next(flags, True) or not tensor.is_floating_point():
                return tensor
            self._leaves.append(tensor.detach().requires_grad_())
            return self._leaves[-1].clone()  # which may be changed in place

        output = tree_map_only(torch.Tensor, leaf, output)
        _require_samples(self._leaves, output)
        return output

    def of(self, loss: torch.Tensor) -> torch.Tensor:
        """The error, of the output that was cut."""
        return _joined(torch.autograd.grad(loss, self._leaves, allow_unused=True), _zeros(self._leaves))

    def clear(self) -> None:
        """Forgets the output, and lets go of its graph."""
        if self._handle is not None:
            self._handle.remove()
        self._handle, self._leaves = None, []


def _tensors(output: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(output) if isinstance(leaf, torch.Tensor)]


def _require_samples(tensors: list[torch.Tensor], output: Any) -> None:
    if not tensors:
        raise ValueError(f"model's output must hold its tensors in tuples, lists or dicts, not {type(output).__name__}")
    if not all(tensor.dim() and len(tensor) == len(tensors[0]) for tensor in tensors):
        raise ValueError("model's outputs must have the samples in dimension 0, not the shapes "
                         + " and ".join(str(tuple(tensor.shape)) for tensor in tensors))


def _zeros(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    """As large as ``tensors``, but without memory."""
    return [tensor.detach().new_zeros(()).expand(tensor.shape) for tensor in tensors]


def _joined(gradients: Sequence[torch.Tensor | None], zeros: list[torch.Tensor]) -> torch.Tensor:
    known = [zero if gradient is None else gradient.detach() for gradient, zero in zip(gradients, zeros)]
    return torch.cat([gradient.reshape(len(gradient), -1) for gradient in known], 1)
