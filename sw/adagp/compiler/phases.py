"""The programs of the phases: which work an operation does when.

The main work of a layer, the same as without a predictor, and the work of the predictor for it are
apart, so that they can run in different places and orders.
"""

from . import (attention, average_pooling, batch_norm, concatenation, convolution_layer, elementwise, embedding,
               finish, gelu, layer_norm, loss, pooling, softmax, upsampling)
from .attention import Attention
from .average_pooling import AveragePool
from .batch_norm import BatchNorm
from .embedding import Embedding
from .emitter import Emitter
from .gelu import Gelu
from .layer_norm import LayerNorm
from .network import Add, Concatenate, Convolution, MaxPool, Upsample
from .operation import Operation, Prediction
from .placement import Placement
from .predictor import PredictorProgram
from .softmax import Softmax

MODULES = {
    Convolution: convolution_layer,
    MaxPool: pooling,
    Add: elementwise,
    Concatenate: concatenation,
    Upsample: upsampling,
    AveragePool: average_pooling,
    BatchNorm: batch_norm,
    LayerNorm: layer_norm,
    Softmax: softmax,
    Gelu: gelu,
    Attention: attention,
    Embedding: embedding,
}
"""What emits the instructions of each kind of operation: ``forward`` and ``backward``."""


class Phases:
    """Emits the phases of the network in ``placement``, with a ``predictor`` or without."""

    def __init__(self, placement: Placement, predictor: PredictorProgram | None):
        self.placement, self.predictor = placement, predictor
        self.operations = placement.network.operations

    def evaluation(self, e: Emitter) -> None:
        for operation in self.operations:
            self._forward(e, operation, training=False)

    def predicted(self, e: Emitter) -> None:
        """Phase GP: each layer is updated as soon as its output is there."""
        for operation in self.operations:
            self._forward(e, operation, pool=True)
            if self._is_predicted(operation):
                self._update_from_prediction(e, operation)

    def backpropagation(self, e: Emitter) -> None:
        """Warm-up and Phase BP."""
        place = self.placement
        for operation in self.operations:
            self._forward(e, operation, pool=True)
        e.scratch.begin("cross entropy")
        loss.cross_entropy(e, place.logits, place.labels, place.loss, place.logits_gradient)
        for operation in filter(place.needs_backward, reversed(self.operations)):
            if self._is_predicted(operation):
                self._predict(e, operation)
            self._backward(e, operation)
            if self._is_predicted(operation):
                self._train_predictor(e, operation)

    # Main work of an operation

    def _forward(self, e: Emitter, operation: Operation, training: bool = True, pool: bool = False) -> None:
        options = {}
        if pool and self._is_predicted(operation):
            options["prediction"] = Prediction(pooled=self.predictor.pooled(operation))
        e.scratch.begin(operation.name)
        MODULES[type(operation)].forward(e, operation, self.placement.forward_work(
            operation, training=training, **options))

    def _backward(self, e: Emitter, operation: Operation) -> None:
        options = {}
        if self._is_predicted(operation):
            prediction, error = self.predictor.matrices(operation)
            options["prediction"] = Prediction(pooled=self.predictor.pooled(operation), prediction=prediction,
                                               error=error)
        e.scratch.begin(operation.name)
        MODULES[type(operation)].backward(e, operation, self.placement.backward_work(operation, **options))

    # Work of the predictor for a layer

    def _is_predicted(self, operation: Operation) -> bool:
        return self.predictor is not None and isinstance(operation, Convolution)

    def _predict(self, e: Emitter, layer: Convolution) -> None:
        """Leaves the prediction for comparison with the true gradient."""
        prediction, _ = self.predictor.matrices(layer)
        self.predictor.predict(e, layer, self.predictor.pooled(layer), lambda: finish.StorePrediction(e, prediction))

    def _train_predictor(self, e: Emitter, layer: Convolution) -> None:
        self.predictor.train(e, layer, self.predictor.pooled(layer))

    def _update_from_prediction(self, e: Emitter, layer: Convolution) -> None:
        rows = min(layer.channels, (e.scratch.bank_words - 8) // 2)
        work = self.placement.backward_work(layer)
        matrix = layer.channels, work.parameters["weight"].elements // layer.channels
        self.predictor.predict(e, layer, self.predictor.pooled(layer),
                               lambda: finish.parameter_update(e, work, "weight", matrix, rows, slots=2), rows)
