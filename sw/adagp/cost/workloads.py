"""The networks and data sets of the paper's evaluation, as lists of layers."""

from dataclasses import dataclass, replace
from functools import lru_cache

import torch

from adagp.models import build, layer_shapes
from adagp.models.shapes import LayerShape

CLASSIFIERS = ("resnet50", "resnet101", "resnet152", "inceptionv4", "inceptionv3", "vgg13", "vgg16", "vgg19",
               "densenet121", "densenet161", "densenet169", "densenet201", "mobilenetv2")
"""In the order of the paper's figures."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What a data set's samples are: images of ``extent`` × ``extent`` pixels, or with form "translation" pairs
    of sentences of ``extent`` tokens. ``form`` is the networks' in adagp.models; Inception takes images of
    ``inception_extent``."""

    networks: tuple[str, ...]
    form: str
    classes: int
    extent: int
    inception_extent: int | None = None

    def extent_of(self, network: str) -> int:
        return self.inception_extent if self.inception_extent and network.startswith("inception") else self.extent

    @property
    def sees_input(self) -> tuple[int, ...]:
        """Indices of the layers that see the network's input: the first of networks on images, none of those
        that embed words."""
        return () if self.form == "translation" else (0,)


DATASETS = {
    "cifar10": Workload(networks=CLASSIFIERS, form="cifar", classes=10, extent=32),
    "cifar100": Workload(networks=CLASSIFIERS, form="cifar", classes=100, extent=32),
    "imagenet": Workload(networks=CLASSIFIERS, form="imagenet", classes=1000, extent=224, inception_extent=299),
    # English words that occur twice; the longest of 128 captions has about 32 words
    "multi30k": Workload(networks=("transformer",), form="translation", classes=5893, extent=32),
    "voc": Workload(networks=("yolov3",), form="detection", classes=20, extent=416),
}
"""Those of the paper. The ``cifar`` forms of Inception keep the extent in their first layers, since its own
forms need 75 pixels."""


def workload(dataset: str) -> Workload:
    """The data set of that name; ValueError."""
    if dataset not in DATASETS:
        raise ValueError(f"dataset must be one of {', '.join(DATASETS)}, not {dataset!r}")
    return DATASETS[dataset]


def layers(dataset: str, network: str, batch: int = 128) -> list[LayerShape]:
    """The layers of a network for a batch of a data set; ValueError for what is not there, or a batch below 1."""
    of = workload(dataset)
    if network not in of.networks:
        raise ValueError(f"network on {dataset} must be one of {', '.join(of.networks)}, not {network!r}")
    if not isinstance(batch, int) or isinstance(batch, bool) or batch < 1:
        raise ValueError(f"batch must be an integer of at least 1, not {batch!r}")
    if network in CLASSIFIERS:
        *body, classifier = _traced(network, of.form, of.extent_of(network), _ANY_CLASSES)
        traced = (*body, _of_classes(classifier, of.classes))
    else:
        traced = _traced(network, of.form, of.extent, of.classes)
    return [_of_batch(layer, batch) for layer in traced]


_ANY_CLASSES = 10


@lru_cache(maxsize=None)
def _traced(network: str, form: str, extent: int, classes: int) -> tuple[LayerShape, ...]:
    """For one sample; nothing is calculated or allocated."""
    with torch.device("meta"):
        model = build(network, form=form, classes=classes)
        if form == "translation":
            inputs = [torch.ones(1, extent, dtype=torch.long)] * 2
        else:
            inputs = [torch.empty(1, 3, extent, extent)]
    return tuple(layer_shapes(model, *inputs))


def _of_classes(classifier: LayerShape, classes: int) -> LayerShape:
    """The last linear layer of a classification network, with another number of outputs."""
    return replace(classifier, weight=(classes, *classifier.weight[1:]), output=(*classifier.output[:-1], classes))


def _of_batch(layer: LayerShape, batch: int) -> LayerShape:
    """A layer that was traced with one sample, for ``batch`` of them: the first dimension holds samples, or sequences'
    tokens or heads side by side. The weight of a product of activations is of the samples as well."""
    weight = (layer.weight[0] * batch, *layer.weight[1:]) if layer.kind == "product" else layer.weight
    return replace(layer, weight=weight, input=(layer.input[0] * batch, *layer.input[1:]),
                   output=(layer.output[0] * batch, *layer.output[1:]))
