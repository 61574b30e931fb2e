"""What is known elsewhere of a network, and how to compare with it."""

import hashlib

import torch
from torch import nn

from adagp.models import build, multiply_accumulates, parameters


def names_digest(model: nn.Module) -> str:
    """Of names and shapes of everything in the state dictionary, in its order."""
    lines = [f"{name} {tuple(tensor.shape)}" for name, tensor in model.state_dict().items()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def require_published(name: str, count: int, gmac: float, digest: str, *, extent: int = 224, **options) -> None:
    """The network ``name`` has so many parameters, multiply-accumulates (in thousand millions, for one image of
    ``extent`` × ``extent``) and these names."""
    with torch.device("meta"):
        model = build(name, **options)
    assert parameters(model) == count
    assert round(multiply_accumulates(model, torch.empty(1, 3, extent, extent, device="meta")) / 1e9, 3) == gmac
    assert names_digest(model) == digest


def fixed_logits(model: nn.Module, size: int) -> list[float]:
    """Four logits, in evaluation mode, of one random image of size×size and random parameters, which depend on
    nothing but their order and shapes. ``model`` may be on device "meta"."""
    model = model.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.dim() > 1:
                tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5, generator=generator)
            elif name.endswith(("weight", "running_var")):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif tensor.is_floating_point():
                tensor.normal_(0, 0.1, generator=generator)
        return model.eval()(torch.randn(1, 3, size, size, generator=generator))[0, :4].tolist()
