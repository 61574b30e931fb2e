"""The networks that ADA-GP is measured on, in their usual forms for ImageNet and for CIFAR."""

from torch import nn

from . import densenet, digits, inception, mobilenet, resnet, transformer, vgg, yolo
from .shapes import LayerShape, layer_shapes, multiply_accumulates, parameters

__all__ = ["NAMES", "LayerShape", "build", "layer_shapes", "multiply_accumulates", "parameters"]

FAMILIES = (vgg, resnet, densenet, mobilenet, inception, transformer, yolo, digits)
FORMS = {name: forms for family in FAMILIES for name, forms in family.NETWORKS.items()}
"""Of each network, the forms that it has and what makes them; the first is that of its paper."""

NAMES = tuple(FORMS)


def build(name: str, *, classes: int = 1000, form: str | None = None, channels: int = 3, **options) -> nn.Module:
    """The network ``name`` with fresh weights, for images of ``channels``.

    ``form`` is "imagenet" or "cifar" for classification, "translation", "detection" or "digits"; None is the first that
    the network has. ``classes`` of translation are the words. ``options`` are the constructor's own, such as
    ``dropout``. Raises ValueError for what is not there or below 1.
    """
    if name not in FORMS:
        raise ValueError(f"name must be one of {', '.join(NAMES)}, not {name!r}")
    forms = FORMS[name]
    if form is None:
        form = next(iter(forms))
    if form not in forms:
        raise ValueError(f"form of {name} must be {' or '.join(forms)}, not {form!r}")
    for parameter, value in (("classes", classes), ("channels", channels)):
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{parameter} must be an integer of at least 1, not {value!r}")
    return forms[form](classes=classes, channels=channels, **options)
