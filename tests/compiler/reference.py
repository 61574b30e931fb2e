"""PyTorch in float32 doing what a compiled program does, by autograd, with outputs rounded to operands."""

import copy

import torch
from torch.nn import functional

from adagp.compiler import Adam, Predictor, SGD
from adagp.compiler.network import Add, Concatenate, Convolution, MaxPool, Upsample, activation_of
from adagp.compiler.operation import INPUT

from .oracle import rounded


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
        logits = self._forward(data)
        losses = functional.cross_entropy(logits, labels, reduction="none")
        losses.mean().backward()
        self.tensors["loss"] = losses.detach()
        for name, before in self._before.items():
            if before.requires_grad:
                self.tensors[f"{name}.output.grad"] = before.grad
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
        outputs = {INPUT: rounded(data)}
        with torch.no_grad():
            for layer in self.training.layers:
                y, before = self._layer(layer, outputs, self.weights, self.biases)
                outputs[layer.name] = self.tensors[f"{layer.name}.output"] = y
                if isinstance(layer, Convolution):
                    predicted = self._predicted(layer, self._pool(layer, y))
                    self._momentum_step(f"{layer.name}.weight", self.weights[layer.name],
                                        predicted.reshape(layer.weight_shape))

    def _forward(self, data) -> torch.Tensor:
        """The logits; keeps the outputs, and what was there before the activations."""
        self._leaves = {name: weight.clone().requires_grad_() for name, weight in self.weights.items()}
        self._bias_leaves = {name: bias.clone().requires_grad_() for name, bias in self.biases.items()}
        self._before, self._present, self._predictions, outputs = {}, {}, {}, {INPUT: rounded(data)}
        for layer in self.training.layers:
            y, before = self._layer(layer, outputs, self._leaves, self._bias_leaves)
            if before.requires_grad:
                before.retain_grad()
            outputs[layer.name], self._before[layer.name] = y, before
            if self.predictor and isinstance(layer, Convolution):
                pooled = self.tensors[f"{layer.name}.pooled"] = self._pool(layer, y.detach())
                present = copy.deepcopy(self.predictor)  # its weights will change before its gradient is taken
                self._present[layer.name] = present.conv, present.features(pooled.permute(2, 0, 1)[:, None])
                self._predictions[layer.name] = self._predicted(layer, pooled).detach()
            self.tensors[f"{layer.name}.output"] = y.detach()
        return y.flatten(1)

    def _layer(self, layer, outputs, weights, biases):
        """(output, output before the activation), channels last."""
        inputs = [outputs[name].reshape(-1, *shape).permute(0, 3, 1, 2)
                  for name, shape in zip(layer.inputs, layer.input_shapes)]
        if isinstance(layer, MaxPool):
            y = functional.max_pool2d(inputs[0], layer.kernel, layer.stride, layer.padding)
        elif isinstance(layer, Add):
            y = sum(inputs) if len(inputs) > 1 else inputs[0].clone()
        elif isinstance(layer, Concatenate):
            y = torch.cat(inputs, dim=1)
        elif isinstance(layer, Upsample):
            y = functional.interpolate(inputs[0], scale_factor=tuple(map(float, layer.factor)))
        else:
            y = functional.conv2d(inputs[0], rounded(weights[layer.name].permute(0, 3, 1, 2)),
                                  biases.get(layer.name), layer.stride, layer.padding, layer.dilation, layer.groups)
        y = y.permute(0, 2, 3, 1)
        if activation := activation_of(layer):
            return rounded(functional.leaky_relu(y, activation.slope).clamp_max(activation.most)), y
        return rounded(y), y

    def _pool(self, layer, y):
        """(size, size, channels), as the image holds it."""
        size = self.training.predictor.size
        mean = y.mean(0).permute(2, 0, 1)
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
        (conv, features), predicted = self._present[layer.name], self._predictions[layer.name]
        error = 2 / predicted.numel() * (predicted - gradient.reshape(predicted.shape))
        linear, used = self.predictor.linear, error.shape[1]
        gradients = torch.autograd.grad(features, list(conv.parameters()), error @ linear.weight[:used].detach())
        for parameter, gradient in zip(self.predictor.conv.parameters(), gradients):
            parameter.grad = gradient
        linear.weight.grad, linear.bias.grad = torch.zeros_like(linear.weight), torch.zeros_like(linear.bias)
        linear.weight.grad[:used], linear.bias.grad[:used] = error.T @ features.detach(), error.sum(0)
        for name, parameter in self.predictor.named_parameters():
            self._adam(name, parameter, slice(0, used) if name.startswith("linear") else slice(None))

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
