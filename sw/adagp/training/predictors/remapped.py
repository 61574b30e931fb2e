"""A predictor of fixed size whose output is repeated to fill any layer (tensor re-mapping)."""

import torch
from torch import nn
from torch.nn import functional

from ..layers import Layer
from .images import MeanImages
from .predictor import Prediction, Predictor


class RemappedNetwork(nn.Module):
    """(samples, 1, height, width) → (``outputs``,): adaptive max pooling to ``size`` × ``size``, four 3×3
    convolutions to ``channels`` with batch normalisation and ReLU, one linear layer, and the mean
    over the samples."""

    def __init__(self, *, size: int, channels: int, outputs: int):
        super().__init__()
        blocks = [nn.AdaptiveMaxPool2d(size)]
        for inputs in (1, channels, channels, channels):
            blocks += [nn.Conv2d(inputs, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()]
        self.body = nn.Sequential(*blocks, nn.Flatten(), nn.Linear(channels * size * size, outputs))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.body(images).mean(0)


def remap(values: torch.Tensor, count: int) -> torch.Tensor:
    """``count`` values: as many whole repetitions of ``values`` as fit, the rest its last value; fewer
    than one repetition are its first ones."""
    repetitions, rest = divmod(count, len(values))
    if not repetitions:
        return values[:count]
    return torch.cat([values.repeat(repetitions), values[-1:].expand(rest)])


class RemappedPredictor(Predictor):
    """Predicts ``outputs`` gradients whatever the layer, and repeats them to its size.

    The images are those of the paper's predictor: the mean of a layer's output over the batch, each
    output channel a sample. Biases are not predicted. Trained on the sum over the layers of the mean
    squared errors, a step of Adam with learning rate ``lr`` per batch of Phase BP.
    """

    def __init__(self, *, size: int = 4, channels: int = 64, outputs: int = 10000, lr: float = 1e-4):
        for name, value in (("size", size), ("channels", channels), ("outputs", outputs)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"RemappedPredictor.{name} must be an integer of at least 1, not {value!r}")
        self._sizes, self._lr = {"size": size, "channels": channels, "outputs": outputs}, lr

    def prepare(self, layers, parameters):
        self.network = RemappedNetwork(**self._sizes).to(layers[0].weight.device)
        for parameter in self.network.parameters():
            self.replicas.first(parameter.data)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=self._lr, fused=True)
        self._images = MeanImages(self.replicas)

    def observe(self, layer, inputs, output, *, learning):
        self._images.add(layer, output)

    def learn(self, gradients):
        predicted = {}
        self.network.train()
        self.optimizer.zero_grad()
        for layer, gradient in gradients.items():
            with torch.enable_grad():
                values = self._predicted(layer)
                functional.mse_loss(values, gradient.float()).backward()
            predicted[layer] = Prediction(values.detach(), gradient)
        self.optimizer.step()
        return predicted

    def predict(self, layer):
        self.network.eval()
        return (self._predicted(layer).to(layer.weight.dtype), *[None] * (layer.bias is not None))

    def forget(self):
        self._images.clear()

    def state_dict(self):
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state):
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _predicted(self, layer: Layer) -> torch.Tensor:
        """The prediction in the weight's shape; forgets what was observed."""
        return remap(self.network(self._images.take(layer)), layer.weight.numel()).view_as(layer.weight)
