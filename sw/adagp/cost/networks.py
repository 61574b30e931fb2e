"""What a batch of a whole network costs, by design and phase (paper section 6.3)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from adagp.models.shapes import LayerShape
from adagp.spec.config import Design
from adagp.spec.isa import Pass
from adagp.spec.schedule import Phase

from .dataflows import Dataflow
from .hardware import PAPER, Hardware
from .network_work import PASSES, NetworkWork
from .predictor_work import Predictor
from .schedules import Shares
from .traffic import OPERAND_BYTES, SUM_BYTES, Traffic, accesses, external


@dataclass(frozen=True, kw_only=True)
class LayerCost:
    """Cycles of one layer for a batch.

    ``predict`` and ``train`` are the predictor's forward and backward pass on the main array, ``predict_beside`` and
    ``train_beside`` on its own. ``load_predict`` and ``load_train`` are what design LOW needs the bus for meanwhile.
    """

    name: str
    cycles: dict[Pass, int]
    predict: int
    train: int
    predict_beside: int
    train_beside: int
    load_predict: int
    load_train: int

    @property
    def forward(self) -> int:
        return self.cycles[Pass.FORWARD]

    @property
    def backward(self) -> int:
        return self.cycles[Pass.INPUT_GRADIENT] + self.cycles[Pass.WEIGHT_GRADIENT]

    @property
    def b(self) -> float:
        """Backward over forward."""
        return self.backward / self.forward

    @property
    def alpha(self) -> float:
        """The predictor's forward pass over the layer's."""
        return self.predict / self.forward


class NetworkCost:
    """Cycles and bytes of a batch of a network on a hardware with a dataflow.

    Layers follow each other, none begins before the one before it has ended. The phases of the designs:

    =========  ==================================================================  ==========================================
    design     forward pass of a layer                                             its backward pass, in warm-up and Phase BP
    =========  ==================================================================  ==========================================
    BASELINE   forward                                                             both gradients
    EFFICIENT  forward + predict                                                   both gradients + train
    LOW        the same + what it loads and stores                                 the same + what it loads and stores
    MAX        the longer of forward and the former layer's predict; last its own  the longer of both gradients and train
    =========  ==================================================================  ==========================================

    The predictor of MAX runs on its own array; the last layer's predict follows its forward there. In every phase
    with a predictor, it predicts; in warm-up and Phase BP it also trains, in Phase GP nothing else happens. What the
    vector unit does, and the optimiser, is not counted.

    On LOW, the predictor's weights are loaded for every use, and what it computes is stored: predicting,
    the predicted gradients; training, which reads those again, its new weights. Weights are operands, predicted
    gradients sums. The outputs of the layer itself are stored by all designs, while the array works.
    """

    def __init__(self, work: NetworkWork, hardware: Hardware, dataflow: Dataflow):
        self.work, self.hardware, self.dataflow = work, hardware, dataflow
        main, beside = hardware.array, hardware.predictor_array
        self._cycles = {each: works.cycles(dataflow, main) for each, works in work.passes.items()}
        self._predict, self._train = (works.cycles(dataflow, main) for works in (work.predicting, work.training))
        self._predict_beside, self._train_beside = (
            works.cycles(dataflow, beside) for works in (work.predicting, work.training))

    @classmethod
    def of(cls, layers: Sequence[LayerShape], hardware: Hardware = PAPER,
           dataflow: Dataflow = Dataflow.WEIGHT_STATIONARY, predictor: Predictor = Predictor(),
           sees_input: Collection[int] = (0,)) -> "NetworkCost":
        """``layers`` as adagp.models.layer_shapes lists them for a batch; see :meth:`NetworkWork.of`."""
        return cls(NetworkWork.of(layers, predictor, sees_input), hardware, dataflow)

    def on(self, hardware: Hardware) -> "NetworkCost":
        """The same on another hardware."""
        return NetworkCost(self.work, hardware, self.dataflow)

    @cached_property
    def layers(self) -> tuple[LayerCost, ...]:
        loads = self._low_loads
        return tuple(LayerCost(
            name=shape.name, cycles={each: int(own[index]) for each, own in self._cycles.items()},
            predict=int(self._predict[index]), train=int(self._train[index]),
            predict_beside=int(self._predict_beside[index]), train_beside=int(self._train_beside[index]),
            load_predict=int(loads[0][index]), load_train=int(loads[1][index]))
            for index, shape in enumerate(self.work.shapes))

    @property
    def b(self) -> float:
        """Backward over forward, of the whole network."""
        return float(self._backward.sum() / self._forward.sum())

    @property
    def alpha(self) -> float:
        """The predictor's forward pass over the network's, on the main array."""
        return float(self._predict.sum() / self._forward.sum())

    def layer_cycles(self, design: Design, phase: Phase) -> np.ndarray:
        """Of each layer in a batch of warm-up, Phase BP or Phase GP; those of warm-up and Phase BP are equal."""
        _require(design, phase)
        forward = self._forward_cycles(design)
        return forward if phase is Phase.GP else forward + self._backward_cycles(design)

    def batch_cycles(self, design: Design, phase: Phase) -> int:
        """Of all layers."""
        return int(self.layer_cycles(design, phase).sum())

    def mean_cycles(self, design: Design, shares: Shares) -> float:
        """Of a batch, on average over a schedule. The baseline does back-propagation whatever the schedule."""
        if design is Design.BASELINE:
            return float(self.batch_cycles(design, Phase.BP))
        return float(shares.mean(lambda phase: self.batch_cycles(design, phase)))

    def speedup(self, design: Design, shares: Shares) -> float:
        """Of training on ``design`` over the baseline with the same array and dataflow."""
        return self.mean_cycles(Design.BASELINE, shares) / self.mean_cycles(design, shares)

    @property
    def _forward(self) -> np.ndarray:
        return self._cycles[Pass.FORWARD]

    @property
    def _backward(self) -> np.ndarray:
        return self._cycles[Pass.INPUT_GRADIENT] + self._cycles[Pass.WEIGHT_GRADIENT]

    def _forward_cycles(self, design: Design) -> np.ndarray:
        match design:
            case Design.BASELINE:
                return self._forward
            case Design.EFFICIENT:
                return self._forward + self._predict
            case Design.LOW:
                return self._forward + self._predict + self._low_loads[0]
        before = np.concatenate(([0], self._predict_beside[:-1]))
        cycles = np.maximum(self._forward, before)
        cycles[-1] += self._predict_beside[-1]
        return cycles

    def _backward_cycles(self, design: Design) -> np.ndarray:
        match design:
            case Design.BASELINE:
                return self._backward
            case Design.EFFICIENT:
                return self._backward + self._train
            case Design.LOW:
                return self._backward + self._train + self._low_loads[1]
        return np.maximum(self._backward, self._train_beside)

    @cached_property
    def _low_loads(self) -> tuple[np.ndarray, np.ndarray]:
        """Cycles of the bus by layer, predicting and training."""
        bus = self.hardware.bus_bytes
        return tuple(np.array([-(-(traffic.external_reads + traffic.external_writes) // bus)
                               for traffic in map(moved, self.work.shapes)], dtype=np.int64)
                     for moved in (self._low_predicting, self._low_training))

    def _low_predicting(self, layer: LayerShape) -> Traffic:
        predictor = self.work.predictor
        return Traffic(external_reads=predictor.weights(layer) * OPERAND_BYTES,
                       external_writes=predictor.predictions(layer) * SUM_BYTES)

    def _low_training(self, layer: LayerShape) -> Traffic:
        predictor = self.work.predictor
        weights = predictor.weights(layer) * OPERAND_BYTES
        return Traffic(external_reads=weights + predictor.predictions(layer) * SUM_BYTES, external_writes=weights)

    def traffic(self, design: Design, phase: Phase) -> Traffic:
        """Of a batch of warm-up, Phase BP or Phase GP.

        Weight gradients leave as sums, all other results as operands. On EFFICIENT and MAX nothing of the
        predictor goes to or comes from external memory.
        """
        _require(design, phase)
        passes = PASSES[:1] if phase is Phase.GP else PASSES
        total = sum((self._pass_traffic(each) for each in passes), Traffic())
        if design is Design.BASELINE:
            return total
        array = self.hardware.predictor_array if design.has_predictor_array else self.hardware.array
        trains = phase is not Phase.GP
        for works in (self.work.predicting, self.work.training)[:1 + trains]:
            total += accesses(self.dataflow, works.works, array).total()
        for layer in self.work.shapes:
            total += self.work.predictor.averaging(layer)
            if design is Design.LOW:
                total += self._low_predicting(layer)
                if trains:
                    total += self._low_training(layer)
        return total

    def mean_traffic(self, design: Design, shares: Shares) -> Traffic:
        """Of a batch, on average over a schedule."""
        if design is Design.BASELINE:
            return self.traffic(design, Phase.BP)
        return shares.mean(lambda phase: self.traffic(design, phase))

    def _pass_traffic(self, each: Pass) -> Traffic:
        works, hardware = self.work.passes[each].works, self.hardware
        result = SUM_BYTES if each is Pass.WEIGHT_GRADIENT else OPERAND_BYTES
        return (accesses(self.dataflow, works, hardware.array).total()
                + external(self.dataflow, works, hardware.array, buffer_bytes=hardware.buffer_bytes,
                           result_bytes=result).total())


def _require(design: Design, phase: Phase) -> None:
    phases = (Phase.WARMUP, Phase.BP) if design is Design.BASELINE else (Phase.WARMUP, Phase.BP, Phase.GP)
    if phase not in phases:
        raise ValueError(f"phase on design {Design(design).name} must be {', '.join(each.name for each in phases)}, "
                         f"not {phase!r}")
