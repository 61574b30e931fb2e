"""The paper's gradient predictor (section 3.6) as a program for the machine."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional

from adagp.spec.isa import Format, Pass

from . import convolution, finish, pooling
from .emitter import Emitter, Run, Tile
from .images import Images
from .network import Convolution, MaxPool
from .operation import Activation, Target, Work
from .optimizer import Adam
from .pooled_mean import pooled_mean
from .residence import Residence
from .tensors import Layout, Tensor


@dataclass(frozen=True, kw_only=True)
class PredictorConfig:
    """Sizes that the paper leaves open.

    A layer's output activations, averaged over the batch, are pooled to ``size`` × ``size``; each
    output channel is a sample of a convolution to ``channels`` channels with a ``kernel`` ×
    ``kernel`` kernel, ReLU, 2 × 2 max pooling, and one linear layer as wide as the largest layer of
    the model needs. The default has 256 features, as the paper's table sizes suggest.
    """

    size: int = 8
    channels: int = 16
    kernel: int = 3

    def __post_init__(self):
        for name, rule, valid in (("size", "an even integer of at least 2", lambda v: v >= 2 and v % 2 == 0),
                                  ("channels", "an integer of at least 1", lambda v: v >= 1),
                                  ("kernel", "an odd integer of at least 1", lambda v: v >= 1 and v % 2 == 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or not valid(value):
                raise ValueError(f"PredictorConfig.{name} must be {rule}, not {value!r}")

    @property
    def features(self) -> int:
        return (self.size // 2) ** 2 * self.channels


class Predictor(nn.Module):
    """The predictor in PyTorch: (samples, 1, size, size) → (samples, outputs).

    Outputs are the gradients of one output channel's weights in (kernel height, kernel width, input
    channel) order. The columns of ``linear`` are in (height, width, channel) order. It begins as
    zero, so that an untrained predictor predicts no gradient rather than a random one, which would
    be far larger than true gradients are.
    """

    def __init__(self, config: PredictorConfig, outputs: int):
        super().__init__()
        self.conv = nn.Conv2d(1, config.channels, config.kernel, padding=config.kernel // 2)
        self.linear = nn.Linear(config.features, outputs)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def features(self, pooled: torch.Tensor) -> torch.Tensor:
        """What the linear layer sees: (samples, features)."""
        x = functional.max_pool2d(torch.relu(self.conv(pooled)), 2)
        return x.permute(0, 2, 3, 1).flatten(1)

    def forward(self, pooled: torch.Tensor, outputs: int | None = None) -> torch.Tensor:
        """The first ``outputs`` gradients; the rest is skipped."""
        return functional.linear(self.features(pooled), self.linear.weight[:outputs], self.linear.bias[:outputs])


class PredictorProgram:
    """Emits the predictor's work for one of ``layers`` at a time.

    Parameters and optimiser state live in ``resident``: a layout of external memory or of the
    predictor memory. ``layout`` takes what a batch leaves behind.
    """

    timely: ClassVar[bool] = True
    """It predicts as soon as the layer's outputs are there."""

    def __init__(self, config: PredictorConfig, optimizer: Adam, layout: Layout, resident: Layout | Residence,
                 layers: list[Convolution]):
        self.config, self.optimizer = config, optimizer
        largest, outputs = max(layer.channels for layer in layers), max(map(_weights, layers))
        size, channels, kernel = config.size, config.channels, config.kernel
        self.conv = Convolution(name="predictor.conv", image=(size, size, 1), channels=channels,
                                kernel=(kernel, kernel), padding=(kernel // 2, kernel // 2), activation=Activation())
        self.pool = MaxPool(name="predictor.pool", image=(size, size, channels), kernel=(2, 2), stride=(2, 2),
                            padding=(0, 0))
        # the small parameters lie side by side, likewise their moments and gradients: one Adam step for all
        small = {"conv.weight": self.conv.weight_shape, "conv.bias": (channels,), "linear.bias": (outputs,)}
        self._small = []
        for suffix in ("", ".exp_avg", ".exp_avg_sq"):
            self._small.append({name: resident.place(f"predictor.{name}{suffix}", shape, Format.FLOAT32)
                                for name, shape in small.items()})
        self._small_gradients = {name: layout.place(f"predictor.{name}.grad", shape, Format.FLOAT32)
                                 for name, shape in small.items()}
        self._linear_weight = [
            resident.place(f"predictor.linear.weight{suffix}", (outputs, 1, 1, config.features), Format.FLOAT32)
            for suffix in ("", ".exp_avg", ".exp_avg_sq")]
        self.parameters = self._small[0] | {"linear.weight": self._linear_weight[0]}
        self.powers = resident.place("predictor.beta_powers", (2,), Format.FLOAT32)
        self.steps = resident.place("predictor.steps", (2,), Format.FLOAT32)
        gradients = {"hidden.grad": size * size * channels, "features.grad": config.features}
        self.buffers = {name: layout.place(f"predictor.{name}", (largest, elements), Format.OPERAND)
                        for name, elements in gradients.items()}
        self._activations = {layer.name: self._place(layout, layer) for layer in layers}

    def _place(self, layout: Layout, layer: Convolution) -> dict[str, Tensor]:
        size, channels, samples = self.config.size, self.config.channels, layer.channels
        shapes = {"pooled": (size, size, samples), "hidden": (samples, size, size, channels),
                  "features": (samples, size // 2, size // 2, channels),
                  "error": (samples, _weights(layer))}  # of each layer: one may be learnt from while the next is made
        placed = {name: layout.place(f"{layer.name}.{name}", shape, Format.OPERAND) for name, shape in shapes.items()}
        prediction = layout.place(f"{layer.name}.prediction", (samples, _weights(layer)), Format.FLOAT32)
        return placed | {"prediction": prediction}

    def constants(self) -> dict[str, torch.Tensor]:
        """What an image has to hold beside the parameters and zeros."""
        return {self.powers.name: torch.ones(2)}

    def _buffer(self, name: str, samples: int, *shape: int) -> Tensor:
        buffer = self.buffers[name]
        return replace(buffer, shape=(samples, *shape))

    def matrices(self, layer: Convolution) -> tuple[Tensor, Tensor]:
        """(prediction, error) of ``layer`` as (output channels, weights of one) matrices."""
        activations = self._activations[layer.name]
        return activations["prediction"], activations["error"]

    def _linear(self, layer: Convolution) -> Convolution:
        return Convolution(name=f"predictor.linear for {layer.name}", image=(1, 1, self.config.features),
                           channels=_weights(layer))

    def predict(self, e: Emitter, layer: Convolution, work: Work, error: Tensor, consume_for,
                most_rows: int | None = None) -> None:
        """The gradient of ``layer``'s weights from the output of its ``work``, given in tiles to
        ``consume_for()``, with at most ``most_rows`` rows each. It looks at no ``error``."""
        size, channels, samples = self.config.size, self.config.channels, layer.channels
        pooled, hidden, features = (self._activations[layer.name][name] for name in ("pooled", "hidden", "features"))
        pooled_mean(e, layer.name, work.output, pooled)
        e.scratch.begin(self.conv.name)
        matrix = hidden.view(samples * size * size, channels)
        convolution.forward(e, self.conv, Images(tensor=pooled, inner=True), self.parameters["conv.weight"],
                            self.parameters["conv.bias"], finish.StoreActivations(e, matrix, self.conv.activation),
                            Pass.PREDICTOR)
        e.scratch.begin(self.pool.name)
        pooling.forward(e, self.pool, Work(inputs=(hidden,), output=features))
        linear = self._linear(layer)
        e.scratch.begin(linear.name)
        convolution.forward(e, linear, Images(tensor=features.view(samples, 1, 1, self.config.features)),
                            self.parameters["linear.weight"].rows(linear.channels), self.parameters["linear.bias"],
                            consume_for(), Pass.PREDICTOR, most_rows=most_rows)

    def begin(self, e: Emitter, error: Tensor) -> None:
        """Begins a step of Adam: one a batch, in which every layer trains."""
        finish.adam_step(e, self.optimizer, self.powers, self.steps)

    def learn(self, e: Emitter, layer: Convolution, work: Work, error: Tensor) -> None:
        """Trains on what the weight gradient of ``layer`` left in :meth:`matrices`."""
        size, channels, samples = self.config.size, self.config.channels, layer.channels
        linear = self._linear(layer)
        error = self.matrices(layer)[1].view(samples, 1, 1, linear.channels)
        pooled, hidden, features = (self._activations[layer.name][name] for name in ("pooled", "hidden", "features"))
        hidden_gradient = self._buffer("hidden.grad", samples, size, size, channels)
        features_gradient = self._buffer("features.grad", samples, size // 2, size // 2, channels)
        e.scratch.begin(linear.name)
        matrix = features_gradient.view(samples, self.config.features)
        convolution.input_gradient(e, linear, error, self.parameters["linear.weight"].rows(linear.channels),
                                   finish.StoreGradient(e, Target(tensor=matrix), 0), Pass.PREDICTOR)
        e.scratch.begin(self.pool.name)
        target = Target(tensor=hidden_gradient, activations=hidden, activation=self.conv.activation)
        pooling.backward(e, self.pool, Work(inputs=(hidden,), output=features, gradient=features_gradient,
                                            targets=(target,)))
        self._update_linear(e, linear, features.view(samples, 1, 1, self.config.features), error)
        e.scratch.begin(self.conv.name)
        convolution.weight_gradient(e, self.conv, Images(tensor=pooled, inner=True), hidden_gradient,
                                    self._store("conv.weight", e, channels), self._store("conv.bias", e, channels),
                                    tag=Pass.PREDICTOR)
        self._update_small(e, linear.channels)

    def _update_linear(self, e: Emitter, linear: Convolution, x: Tensor, error: Tensor) -> None:
        e.scratch.begin(linear.name)
        rows = min(linear.channels, (e.scratch.bank_words - 8) // 4)
        matrices = [tensor.rows(linear.channels).view(linear.channels, self.config.features)
                    for tensor in self._linear_weight]
        update = finish.AdamUpdate(e, self.optimizer, *matrices, self.steps, rows)
        convolution.weight_gradient(e, linear, Images(tensor=x), error, update,
                                    self._store("linear.bias", e, linear.channels), tag=Pass.PREDICTOR, most_rows=rows)

    def _store(self, name: str, e: Emitter, rows: int) -> Callable[[Tile, None], None]:
        """Leaves the first ``rows`` rows of a small parameter's gradient for :meth:`_update_small`."""
        tensor = self._small_gradients[name].rows(rows)
        matrix = tensor.view(rows, tensor.elements // rows)
        return lambda tile, bias_word: e.store_tile(matrix, tile)

    def _update_small(self, e: Emitter, outputs: int) -> None:
        """Adam for the convolution and for the first ``outputs`` biases of the linear layer."""
        e.scratch.begin("predictor's small parameters")
        lanes, room = e.config.vector_lanes, (e.scratch.bank_words - 8) // 4
        gradients, *flat = (self._flat(tensors, outputs) for tensors in (self._small_gradients, *self._small))
        word = e.scratch.vector(room, 0)
        update = finish.AdamUpdate(e, self.optimizer, *flat, self.steps, room)
        for first in range(0, gradients.elements, room * lanes):
            elements = min(room * lanes, gradients.elements - first)
            run = Run(word=word, first=first, elements=elements, rows=-(-elements // lanes))
            e.load_tile(gradients, run, word)
            update(run, None)

    @staticmethod
    def _flat(tensors: dict[str, Tensor], outputs: int) -> Tensor:
        """All of them, with what lies between, as one dimension."""
        first, last = tensors["conv.weight"], tensors["linear.bias"]
        elements = (last.offset - first.offset) // last.format.bytes + outputs
        return replace(first, shape=(elements,))


def _weights(layer: Convolution) -> int:
    """Weights of one output channel."""
    return prod(layer.weight_shape[1:])
