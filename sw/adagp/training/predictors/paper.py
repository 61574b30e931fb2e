"""The paper's predictor (section 3.6): tensor reorganisation and one small network for all layers."""

import torch
from torch import nn
from torch.nn import functional

from ..layers import Layer
from .images import MeanImages
from .predictor import Prediction, Predictor


class PaperNetwork(nn.Module):
    """(samples, 1, height, width) → (samples, ``outputs``): adaptive average pooling to ``size`` ×
    ``size``, 3×3 convolution to ``channels``, ReLU, 2×2 max pooling, one linear layer.

    The linear layer begins as zero, so that an untrained predictor predicts no gradient rather than
    a random one, which would be far larger than true gradients are.
    """

    def __init__(self, *, size: int, channels: int, outputs: int):
        super().__init__()
        self.size = size
        self.conv = nn.Conv2d(1, channels, 3, padding=1)
        self.linear = nn.Linear((size // 2) ** 2 * channels, outputs)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """What the linear layer sees."""
        pooled = functional.adaptive_avg_pool2d(images, self.size)
        return functional.max_pool2d(torch.relu(self.conv(pooled)), 2).flatten(1)

    def rows(self, features: torch.Tensor, outputs: int) -> torch.Tensor:
        """The first ``outputs`` values; the others are masked, and not computed."""
        return functional.linear(features, self.linear.weight[:outputs], self.linear.bias[:outputs])

    def forward(self, images: torch.Tensor, outputs: int) -> torch.Tensor:
        return self.rows(self.features(images), outputs)

    def descend(self, features: torch.Tensor, gradient: torch.Tensor) -> None:
        """Leaves the gradients of all parameters, from ``features`` with their graph and the gradient of
        :meth:`rows`. By hand, since autograd would make a whole gradient from that of each part."""
        outputs = gradient.shape[1]
        for parameter in (self.linear.weight, self.linear.bias):
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            parameter.grad[outputs:].zero_()
        torch.mm(gradient.T, features.detach(), out=self.linear.weight.grad[:outputs])
        torch.sum(gradient, 0, out=self.linear.bias.grad[:outputs])
        self.conv.zero_grad()
        features.backward(gradient @ self.linear.weight.detach()[:outputs])


class PaperPredictor(Predictor):
    """Predicts a layer's weight gradient from the mean of its output over the batch, each output channel
    a sample. Biases are not predicted. Trained on the mean squared error, a step of Adam per layer
    and batch of Phase BP, from the last layer to the first.

    ``size`` (even) is the pooled height and width; with the defaults the linear layer has 256 inputs,
    as the paper's table sizes suggest. ``lr`` is Adam's. It learns, and its quality is measured, from at
    most ``samples`` output channels of a layer and batch, evenly spaced from a random first one;
    from all if that is 0, as in the paper. In a layer of 512 channels that is most of its cost.

    A state holds the order of a weight in memory: that of a ``channels_last`` model is none for one that is not.
    """

    def __init__(self, *, size: int = 8, channels: int = 16, samples: int = 0, lr: float = 1e-4):
        for name, value, rule, valid in (
                ("size", size, "an even integer of at least 2", isinstance(size, int) and size >= 2 and size % 2 == 0),
                ("channels", channels, "an integer of at least 1", isinstance(channels, int) and channels >= 1),
                ("samples", samples, "an integer of at least 0", isinstance(samples, int) and samples >= 0)):
            if not valid:
                raise ValueError(f"PaperPredictor.{name} must be {rule}, not {value!r}")
        self.size, self.channels, self.samples, self._lr = size, channels, samples, lr

    def prepare(self, layers, parameters):
        device = layers[0].weight.device
        self.network = PaperNetwork(size=self.size, channels=self.channels,
                                    outputs=max(layer.weights_per_output for layer in layers)).to(device)
        for parameter in self.network.parameters():
            self.replicas.first(parameter.data)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=self._lr, fused=True)
        self._images = MeanImages(self.replicas)
        self._random = torch.Generator().manual_seed(0)  # the same in all replicas, and not that of the model's dropout

    def observe(self, layer, inputs, output, *, learning):
        self._images.add(layer, output)

    def learn(self, gradients):
        predictions = {}
        for layer, gradient in reversed(gradients.items()):
            chosen = self._chosen(layer)
            true = layer.rows(gradient)[chosen].float()
            with torch.enable_grad():
                features = self.network.features(self._images.take(layer)[chosen])
            rows = self.network.rows(features.detach(), layer.weights_per_output)
            predictions[layer] = Prediction(rows, true)
            self.network.descend(features, (rows - true).mul_(2 / rows.numel()))  # of the mean squared error
            self.optimizer.step()
        return predictions

    def _chosen(self, layer: Layer) -> slice:
        """Output channels to learn from."""
        if not 0 < self.samples < layer.outputs:
            return slice(None)
        step = -(-layer.outputs // self.samples)
        return slice(int(torch.randint(step, (), generator=self._random)), None, step)

    def predict(self, layer):
        rows = self.network(self._images.take(layer), layer.weights_per_output)
        return (layer.from_rows(rows).to(layer.weight.dtype), *[None] * (layer.bias is not None))

    def forget(self):
        self._images.clear()

    def state_dict(self):
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict(),
                "random": self._random.get_state()}

    def load_state_dict(self, state):
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self._random.set_state(state["random"])
