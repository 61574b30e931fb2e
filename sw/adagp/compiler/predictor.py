"""The paper's gradient predictor (section 3.6) as a program for the machine."""

from dataclasses import dataclass
from math import prod

import torch
from torch import nn
from torch.nn import functional

from adagp.spec.isa import Format, Pass

from . import convolution, finish, pooling
from .emitter import Emitter
from .images import Images
from .network import Convolution, MaxPool
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

    def forward(self, pooled: torch.Tensor, outputs: int | None = None) -> torch.Tensor:
        """The first ``outputs`` gradients; the rest is skipped."""
        x = functional.max_pool2d(torch.relu(self.conv(pooled)), 2)
        x = x.permute(0, 2, 3, 1).flatten(1)
        return functional.linear(x, self.linear.weight[:outputs], self.linear.bias[:outputs])


class PredictorProgram:
    """Emits the predictor's work for one layer at a time.

    ``largest`` is the most output channels of a predicted layer, ``outputs`` the most weights of
    one output channel.
    """

    def __init__(self, config: PredictorConfig, optimizer: finish.Adam, layout: Layout, largest: int, outputs: int):
        self.config, self.optimizer = config, optimizer
        size, channels, kernel = config.size, config.channels, config.kernel
        self.conv = Convolution(name="predictor.conv", image=(size, size, 1), channels=channels,
                                kernel=(kernel, kernel), padding=(kernel // 2, kernel // 2), relu=True)
        self.pool = MaxPool(name="predictor.pool", image=(size, size, channels), kernel=(2, 2), stride=(2, 2),
                            padding=(0, 0))
        parameters = {"conv.weight": self.conv.weight_shape, "conv.bias": (channels,),
                      "linear.weight": (outputs, 1, 1, config.features), "linear.bias": (outputs,)}
        self.parameters = {name: layout.place(f"predictor.{name}", shape, Format.FLOAT32)
                           for name, shape in parameters.items()}
        self.moments = {name: [layout.place(f"predictor.{name}.{moment}", shape, Format.FLOAT32)
                               for moment in ("exp_avg", "exp_avg_sq")] for name, shape in parameters.items()}
        self.powers = layout.place("predictor.beta_powers", (2,), Format.FLOAT32)
        self.steps = layout.place("predictor.steps", (2,), Format.FLOAT32)
        activations = {"hidden": size * size * channels, "features": config.features,
                       "hidden.grad": size * size * channels, "features.grad": config.features, "error": outputs}
        self.buffers = {name: layout.place(f"predictor.{name}", (largest, elements), Format.OPERAND)
                        for name, elements in activations.items()}
        self.buffers["prediction"] = layout.place("predictor.prediction", (largest, outputs), Format.FLOAT32)

    def place_pooled(self, layout: Layout, layer: Convolution) -> Tensor:
        """Where the forward pass leaves the pooled mean of ``layer``."""
        return layout.place(f"{layer.name}.pooled", (self.config.size, self.config.size, layer.channels),
                            Format.OPERAND)

    def _buffer(self, name: str, samples: int, *shape: int) -> Tensor:
        buffer = self.buffers[name]
        return Tensor(name=buffer.name, shape=(samples, *shape), format=buffer.format, base=buffer.base,
                      offset=buffer.offset)

    def matrices(self, layer: Convolution) -> tuple[Tensor, Tensor]:
        """(prediction, error) of ``layer`` as (output channels, weights of one) matrices."""
        outputs = _weights(layer)
        return (self._buffer("prediction", layer.channels, outputs), self._buffer("error", layer.channels, outputs))

    def _linear(self, layer: Convolution) -> Convolution:
        return Convolution(name=f"predictor.linear for {layer.name}", image=(1, 1, self.config.features),
                           channels=_weights(layer))

    def predict(self, e: Emitter, layer: Convolution, pooled: Tensor, consume_for,
                most_rows: int | None = None) -> None:
        """The gradient of ``layer``'s weights from its pooled outputs, given in tiles to
        ``consume_for()``, with at most ``most_rows`` rows each."""
        size, channels, samples = self.config.size, self.config.channels, layer.channels
        hidden = self._buffer("hidden", samples, size, size, channels)
        features = self._buffer("features", samples, size // 2, size // 2, channels)
        e.scratch.begin(self.conv.name)
        matrix = hidden.view(samples * size * size, channels)
        convolution.forward(e, self.conv, Images(tensor=pooled, inner=True), self.parameters["conv.weight"],
                            self.parameters["conv.bias"],
                            finish.StoreActivations(e, matrix, relu=True), Pass.PREDICTOR)
        e.scratch.begin(self.pool.name)
        pooling.forward(e, self.pool, hidden, features)
        linear = self._linear(layer)
        e.scratch.begin(linear.name)
        convolution.forward(e, linear, Images(tensor=features.view(samples, 1, 1, self.config.features)),
                            self.parameters["linear.weight"].rows(linear.channels), self.parameters["linear.bias"],
                            consume_for(), Pass.PREDICTOR, most_rows=most_rows)

    def train(self, e: Emitter, layer: Convolution, pooled: Tensor) -> None:
        """One Adam step on the error that the weight gradient of ``layer`` left in :meth:`matrices`."""
        size, channels, samples = self.config.size, self.config.channels, layer.channels
        linear = self._linear(layer)
        error = self.matrices(layer)[1].view(samples, 1, 1, linear.channels)
        hidden, hidden_gradient = (self._buffer(name, samples, size, size, channels)
                                   for name in ("hidden", "hidden.grad"))
        features, features_gradient = (self._buffer(name, samples, size // 2, size // 2, channels)
                                       for name in ("features", "features.grad"))
        finish.adam_step(e, self.optimizer, self.powers, self.steps)
        e.scratch.begin(linear.name)
        matrix = features_gradient.view(samples, self.config.features)
        convolution.input_gradient(e, linear, error, self.parameters["linear.weight"].rows(linear.channels),
                                   finish.StoreGradient(e, matrix, None, 0), Pass.PREDICTOR)
        e.scratch.begin(self.pool.name)
        pooling.backward(e, self.pool, hidden, features, features_gradient, hidden_gradient, gated=True)
        self._update(e, "linear", linear, Images(tensor=features.view(samples, 1, 1, self.config.features)), error)
        self._update(e, "conv", self.conv, Images(tensor=pooled, inner=True), hidden_gradient)

    def _update(self, e: Emitter, name: str, layer: Convolution, x: Images, dy: Tensor) -> None:
        e.scratch.begin(layer.name)
        rows = min(layer.channels, (e.scratch.bank_words - 8) // 8)
        updates = []
        for parameter in (f"{name}.weight", f"{name}.bias"):
            tensors = [tensor.rows(layer.channels) for tensor in (self.parameters[parameter], *self.moments[parameter])]
            matrices = [tensor.view(layer.channels, tensor.elements // layer.channels) for tensor in tensors]
            updates.append(finish.AdamUpdate(e, self.optimizer, *matrices, self.steps, rows))
        convolution.weight_gradient(e, layer, x, dy, *updates, tag=Pass.PREDICTOR, most_rows=rows)


def _weights(layer: Convolution) -> int:
    """Weights of one output channel."""
    return prod(layer.weight_shape[1:])
