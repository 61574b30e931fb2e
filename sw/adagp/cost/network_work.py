"""A network as the works of its layers."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from adagp.models.shapes import LayerShape
from adagp.spec.isa import Pass

from .array_size import ArraySize
from .dataflows import Dataflow, cycles
from .predictor_work import Predictor
from .products import Work, lower, stack

PASSES = Pass.FORWARD, Pass.INPUT_GRADIENT, Pass.WEIGHT_GRADIENT


@dataclass(frozen=True)
class LayerWorks:
    """Works of all layers; ``owners`` has the layer's index for each of them."""

    works: Work
    owners: np.ndarray
    layers: int

    @classmethod
    def of(cls, by_layer: Iterable[Sequence[Work]]) -> "LayerWorks":
        by_layer = list(by_layer)
        owners = np.repeat(np.arange(len(by_layer)), [len(works) for works in by_layer])
        return cls(stack([work for works in by_layer for work in works]), owners, len(by_layer))

    def cycles(self, dataflow: Dataflow, size: ArraySize) -> np.ndarray:
        """Of each layer."""
        totals = np.zeros(self.layers, dtype=np.int64)
        np.add.at(totals, self.owners, cycles(dataflow, self.works, size))
        return totals


@dataclass(frozen=True)
class NetworkWork:
    """A network lowered to works: what does not depend on hardware and dataflow."""

    shapes: tuple[LayerShape, ...]
    predictor: Predictor
    passes: dict[Pass, LayerWorks]
    predicting: LayerWorks
    training: LayerWorks

    @classmethod
    def of(cls, layers: Sequence[LayerShape], predictor: Predictor = Predictor(), sees_input: Collection[int] = (0,)
           ) -> "NetworkWork":
        """``sees_input`` are the indices of the layers that see the network's input."""
        if not layers:
            raise ValueError("layers must be at least one layer, not none")
        lowered = [lower(layer, sees_input=index in sees_input) for index, layer in enumerate(layers)]
        return cls(tuple(layers), predictor,
                   {each: LayerWorks.of(passes.get(each, ()) for passes in lowered) for each in PASSES},
                   LayerWorks.of(map(predictor.predicting, layers)), LayerWorks.of(map(predictor.training, layers)))
