"""The programs of the phases: which work an operation does when.

The main work of a layer, the same as without a predictor, and the work of the predictor for it are
apart, so that they can run in different places and orders.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import torch

from adagp.spec.isa import FIELDS, Opcode

from . import (attention, average_pooling, batch_norm, class_tokens, concatenation, convolution, convolution_layer,
               elementwise, embedding, finish, gelu, layer_norm, loss, pooling, positions, softmax, token_slice,
               upsampling)
from .attention import Attention
from .average_pooling import AveragePool
from .batch_norm import BatchNorm
from .class_tokens import ClassTokens
from .embedding import Embedding
from .emitter import Emitter
from .gelu import Gelu
from .layer_norm import LayerNorm
from .network import Add, Concatenate, Convolution, MaxPool, Upsample
from .operation import Operation, Prediction, Work
from .placement import Placement
from .positions import Positions
from .quality import Quality
from .softmax import Softmax
from .tensors import Tensor
from .token_slice import TokenSlice

LAYERS = 1 << FIELDS[Opcode.ARRAY]["layer"]
"""Layers that have counters of their own; the last one's are also those of all later operations."""

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
    Positions: positions,
    ClassTokens: class_tokens,
    TokenSlice: token_slice,
}
"""What emits the instructions of each kind of operation: ``forward`` and ``backward``."""


class GradientPredictor(Protocol):
    """Emits the work of a predictor of weight gradients. ``error`` is the gradient of the logits."""

    timely: bool
    """Whether it predicts as soon as a layer's output is there, or only when the error is known."""

    def matrices(self, layer: Convolution) -> tuple[Tensor, Tensor | None]:
        """Where the prediction is kept, and where the gradient of its squared error is wanted."""

    def predict(self, e: Emitter, layer: Convolution, work: Work, error: Tensor,
                consume_for: Callable[[], convolution.Consume], most_rows: int | None = None) -> None:
        """The gradient of the layer's weights, in tiles to ``consume_for()``."""

    def begin(self, e: Emitter, error: Tensor) -> None:
        """Before the layers of a batch are learnt."""

    def learn(self, e: Emitter, layer: Convolution, work: Work, error: Tensor) -> None:
        """After the layer's true gradients are there."""

    def constants(self) -> dict[str, torch.Tensor]:
        """What an image has to hold beside parameters and zeros."""


class Phases:
    """Emits the phases of the network in ``placement``, with a ``predictor`` or without; ``quality``
    measures it, if there is one.

    ``main`` is the emitter of the model's own work, ``side`` that of the predictor's; they are the
    same where both run on one array.
    """

    def __init__(self, placement: Placement, predictor: GradientPredictor | None, quality: Quality | None):
        self.placement, self.predictor, self.quality = placement, predictor, quality
        self.operations = placement.network.operations

    def evaluation(self, main: Emitter, side: Emitter) -> None:
        for operation in self.operations:
            self._forward(main, operation, training=False)

    def predicted(self, main: Emitter, side: Emitter) -> None:
        """Phase GP: each layer is updated as soon as its gradient can be predicted."""
        self._forward_with(main, side, self._update)
        if not self.predictor.timely:
            self._loss(main)
            for operation in filter(self._is_predicted, reversed(self.operations)):
                self._update(side, operation)

    def backpropagation(self, main: Emitter, side: Emitter) -> None:
        """Warm-up and Phase BP: the true gradients follow the predicted ones, which learn from them."""
        self._forward_with(main, side, self._predict)
        self._loss(main)
        if self.predictor:
            with side.builder.purpose(layer="predictor", work="train predictor"):
                self.predictor.begin(side, self.placement.logits_gradient)
        for operation in filter(self.placement.needs_backward, reversed(self.operations)):
            predicted = self._is_predicted(operation)
            if predicted and self.quality and not self.predictor.timely:
                self._predict(side, operation)
            self._backward(main, operation)
            if predicted:
                with self._working(side, operation, "train predictor"):
                    self.predictor.learn(side, operation, self.placement.backward_work(operation),
                                         self.placement.logits_gradient)
        if self.quality:
            self.quality.report(main)

    @contextmanager
    def _working(self, e: Emitter, operation: Operation, work: str) -> Iterator[None]:
        """What is emitted inside is there for ``work`` of ``operation``, and is booked on its counters."""
        e.layer = min(self.operations.index(operation), LAYERS - 1)
        with e.builder.purpose(layer=operation.name, work=work):
            yield

    # Main work

    def _forward_with(self, main: Emitter, side: Emitter, use: Callable[[Emitter, Convolution], None]) -> None:
        """All operations; ``use`` of each prediction that is possible then."""
        for operation in self.operations:
            self._forward(main, operation)
            if self._is_predicted(operation) and self.predictor.timely:
                use(side, operation)

    def _forward(self, e: Emitter, operation: Operation, training: bool = True) -> None:
        e.scratch.begin(operation.name)
        with self._working(e, operation, "forward"):
            MODULES[type(operation)].forward(e, operation, self.placement.forward_work(
                operation, training=training))

    def _loss(self, e: Emitter) -> None:
        place = self.placement
        e.scratch.begin("cross entropy")
        with e.builder.purpose(layer="cross entropy", work="loss"):
            loss.cross_entropy(e, place.logits, place.labels, place.loss, place.logits_gradient)

    def _backward(self, e: Emitter, operation: Operation) -> None:
        options = {}
        if self._is_predicted(operation) and (self.quality or self.predictor.timely):
            prediction, error = self.predictor.matrices(operation)
            options["prediction"] = Prediction(prediction=prediction, error=error, quality=self.quality)
        e.scratch.begin(operation.name)
        with self._working(e, operation, "input gradient"):
            MODULES[type(operation)].backward(e, operation, self.placement.backward_work(operation, **options))

    # Work of the predictor for a layer

    def _is_predicted(self, operation: Operation) -> bool:
        return self.predictor is not None and isinstance(operation, Convolution)

    def _predict(self, e: Emitter, layer: Convolution) -> None:
        """Leaves the prediction for comparison with the true gradient."""
        prediction, _ = self.predictor.matrices(layer)
        with self._working(e, layer, "predict"):
            self.predictor.predict(e, layer, self.placement.backward_work(layer), self.placement.logits_gradient,
                                   lambda: finish.StorePrediction(e, prediction))

    def _update(self, e: Emitter, layer: Convolution) -> None:
        """Updates the weights with the predicted gradient."""
        rows = min(layer.channels, (e.scratch.bank_words - 8) // 2)
        work = self.placement.backward_work(layer)
        matrix = layer.channels, work.parameters["weight"].elements // layer.channels
        with self._working(e, layer, "predict"):
            self.predictor.predict(e, layer, work, self.placement.logits_gradient,
                                   lambda: finish.parameter_update(e, work, "weight", matrix, rows, slots=2), rows)
