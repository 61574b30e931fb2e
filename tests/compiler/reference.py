"""Plain float32 PyTorch doing what a compiled program does, by autograd."""

import copy

import torch
from torch.nn import functional

from adagp.compiler import Adam, Predictor, SGD
from adagp.compiler.network import Convolution, MaxPool


class Reference:
    """Trains a copy of the model and of the predictor, and keeps every tensor of the last step
    under the name that the compiled training gives it, in the layout of the image."""

    def __init__(self, training, model, predictor: Predictor | None, optimizer: SGD, adam: Adam):
        self.training, self.predictor, self.optimizer, self.adam = training, predictor, optimizer, adam
        self.weights, self.biases = {}, {}
        for layer in training.convolutions:
            module = model.get_submodule(layer.name)
            self.weights[layer.name] = layer.weight_to_memory(module.weight.detach().clone()).contiguous()
            if layer.bias:
                self.biases[layer.name] = module.bias.detach().clone()
        self.momentum = {}
        self.moments, self.steps = {}, 0
        self.tensors: dict[str, torch.Tensor] = {}

    def backpropagate(self, data, labels) -> None:
        """A batch of warm-up or Phase BP. ``data`` is (batch, height, width, channels)."""
        outputs = self._forward(data, requires_grad=True)
        logits = outputs[-1].flatten(1)
        losses = functional.cross_entropy(logits, labels, reduction="none")
        losses.mean().backward()
        self.tensors["loss"] = losses.detach()
        for layer, output in zip(self.training.layers, outputs):
            gradient = self._pre_activation_gradient(layer, output)
            self.tensors[f"{layer.name}.output.grad"] = gradient
        self.steps += 1
        for layer in reversed(self.training.convolutions):
            gradient = self._leaves[layer.name].grad
            self._momentum_step(f"{layer.name}.weight", self.weights[layer.name], gradient)
            if layer.bias:
                self._momentum_step(f"{layer.name}.bias", self.biases[layer.name], self._bias_leaves[layer.name].grad)
            if self.predictor:
                self._train_predictor(layer, gradient)

    def predict(self, data) -> None:
        """A batch of Phase GP."""
        with torch.no_grad():
            x = data
            for layer in self.training.layers:
                x, before = self._layer(layer, x, self.weights, self.biases)
                self.tensors[f"{layer.name}.output"] = x
                if isinstance(layer, Convolution):
                    predicted = self._predicted(layer, self._pool(layer, before))
                    self._momentum_step(f"{layer.name}.weight", self.weights[layer.name],
                                        predicted.reshape(layer.weight_shape))

    def _forward(self, data, requires_grad):
        self._leaves = {name: weight.clone().requires_grad_() for name, weight in self.weights.items()}
        self._bias_leaves = {name: bias.clone().requires_grad_() for name, bias in self.biases.items()}
        self._before, self._features, self._predictions, self._conv, outputs, x = {}, {}, {}, {}, [], data
        for layer in self.training.layers:
            x, before = self._layer(layer, x, self._leaves, self._bias_leaves)
            for tensor in (x, before):
                if tensor.requires_grad:
                    tensor.retain_grad()
            self._before[layer.name] = before
            if self.predictor and isinstance(layer, Convolution):
                pooled = self.tensors[f"{layer.name}.pooled"] = self._pool(layer, before.detach())
                present = copy.deepcopy(self.predictor)  # its weights will change before its gradient is taken
                self._conv[layer.name] = present.conv
                self._features[layer.name] = present.features(pooled.permute(2, 0, 1)[:, None])
                self._predictions[layer.name] = self._predicted(layer, pooled).detach()
            self.tensors[f"{layer.name}.output"] = x.detach()
            outputs.append(x)
        return outputs

    def _layer(self, layer, x, weights, biases):
        """(output, output before the ReLU), channels last."""
        x = x.reshape(-1, *layer.image).permute(0, 3, 1, 2)
        if isinstance(layer, MaxPool):
            y = functional.max_pool2d(x, layer.kernel, layer.stride, layer.padding).permute(0, 2, 3, 1)
            return y, y
        y = functional.conv2d(x, weights[layer.name].permute(0, 3, 1, 2), biases.get(layer.name),
                              layer.stride, layer.padding).permute(0, 2, 3, 1)
        return (torch.relu(y) if layer.relu else y), y

    def _pre_activation_gradient(self, layer, output):
        before = self._before[layer.name]
        return (before.grad if before.grad is not None else torch.zeros_like(before)).detach()

    def _pool(self, layer, before):
        """(size, size, channels), as the image holds it."""
        size = self.training.predictor.size
        mean = before.mean(0).permute(2, 0, 1)
        return functional.adaptive_avg_pool2d(mean, size).permute(1, 2, 0)

    def _predicted(self, layer, pooled):
        """(output channels, weights of one)."""
        return self.predictor(pooled.permute(2, 0, 1)[:, None], layer.weight_to_memory(
            self._weight_like(layer)).flatten(1).shape[1])

    def _weight_like(self, layer):
        return self.weights[layer.name].permute(0, 3, 1, 2)

    def _momentum_step(self, name, parameter, gradient) -> None:
        momentum = self.momentum.get(name, torch.zeros_like(parameter)) * self.optimizer.momentum + gradient
        self.momentum[name] = momentum
        parameter -= self.optimizer.lr * momentum
        self.tensors[name], self.tensors[f"{name}.momentum"] = parameter.clone(), momentum.clone()

    def _train_predictor(self, layer, gradient) -> None:
        """The prediction is that of the forward pass; the linear layer may have been trained since."""
        features, predicted = self._features[layer.name], self._predictions[layer.name]
        error = 2 / predicted.numel() * (predicted - gradient.reshape(predicted.shape))
        linear, used = self.predictor.linear, error.shape[1]
        self.predictor.zero_grad()
        copied = self._conv[layer.name]
        gradients = torch.autograd.grad(features, list(copied.parameters()), error @ linear.weight[:used].detach())
        for parameter, gradient in zip(self.predictor.conv.parameters(), gradients):
            parameter.grad = gradient
        linear.weight.grad, linear.bias.grad = torch.zeros_like(linear.weight), torch.zeros_like(linear.bias)
        linear.weight.grad[:used], linear.bias.grad[:used] = error.T @ features.detach(), error.sum(0)
        for name, parameter in self.predictor.named_parameters():
            rows = slice(0, used) if name.startswith("linear") else slice(None)
            self._adam(name, parameter, rows)

    def _adam(self, name, parameter, rows) -> None:
        first, second = self.moments.setdefault(name, (torch.zeros_like(parameter), torch.zeros_like(parameter)))
        gradient, adam = parameter.grad, self.adam
        with torch.no_grad():
            first[rows] = adam.beta1 * first[rows] + (1 - adam.beta1) * gradient[rows]
            second[rows] = adam.beta2 * second[rows] + (1 - adam.beta2) * gradient[rows] ** 2
            hat1 = first[rows] / (1 - adam.beta1 ** self.steps)
            hat2 = second[rows] / (1 - adam.beta2 ** self.steps)
            parameter[rows] -= adam.lr * hat1 / (hat2 + adam.eps ** 2).sqrt()
        for suffix, tensor in (("", parameter.detach()), (".exp_avg", first), (".exp_avg_sq", second)):
            if tensor.dim() == 4:
                tensor = tensor.permute(0, 2, 3, 1)
            sums = {"": 1, ".exp_avg": 1 - adam.beta1, ".exp_avg_sq": 1 - adam.beta2}  # the machine keeps sums
            self.tensors[f"predictor.{name}{suffix}"] = tensor / sums[suffix]
