"""Golden training steps against float32 autograd: every tensor of a step, all passes, the predictor."""

import copy

import pytest
import torch

from adagp.compiler import SGD, Adam, Predictor, compile_training
from adagp.golden import GoldenMachine
from adagp.spec.config import AcceleratorConfig, Design
from adagp.spec.schedule import Schedule

from adagp_tb.random_networks import random_network

from .oracle import relative_error
from .reference import Reference

#: ‖machine − autograd‖ / ‖autograd‖ of one training step. Gradients are rounded to 8 significant
#: bits (2⁻⁹ relative) wherever they enter the array or memory, and have been through all layers. A square
#: is off by twice as much as what is squared.
BOUNDS = {"output": 0.01, "loss": 0.01, "pooled": 0.01, "grad": 0.015, "momentum": 0.03, "exp_avg": 0.06,
          "exp_avg_sq": 0.12}
PARAMETER_BOUND = 0.03
"""Same, for the change of a parameter of the model by momentum SGD."""
ADAM_BOUND = 0.5
"""Same, for the change of a parameter of the predictor: Adam's step is lr·sign(gradient) at first,
whatever the gradient's size, so one gradient near zero that rounds to the other sign shows in full."""


def bound_of(name: str) -> float:
    own = ADAM_BOUND if name.startswith("predictor") else PARAMETER_BOUND
    return next((bound for suffix, bound in BOUNDS.items() if name.endswith(suffix)), own)


def pixels_of(samples: torch.Tensor) -> torch.Tensor:
    """(samples, height, width, channels) of images, of tokens as one row, of features as one pixel."""
    if samples.dim() == 4:
        return samples.permute(0, 2, 3, 1)
    return samples[:, None] if samples.dim() == 3 else samples[:, None, None]


def errors_of_a_step(seed: int, design: Design, phases: str) -> dict[str, float]:
    """Relative error of every tensor after each batch of ``phases`` ('b' or 'g')."""
    network = random_network(seed, plain=True)
    config = AcceleratorConfig(rows=5, columns=6, design=design, stream_elements=16384,
                               stationary_elements=16384, vector_words=2048, predictor_rows=3, predictor_columns=4,
                               predictor_elements=1 << 17, predictor_stream_elements=8192,
                               predictor_stationary_elements=8192)
    optimizer, adam = SGD(lr=0.05), Adam(lr=1e-3)
    training = compile_training(network.model, config, batch=network.batch, input_shape=network.input_shape,
                                optimizer=optimizer, predictor=network.predictor, predictor_optimizer=adam)
    data, labels = network.samples(len(phases), seed)
    predictor = Predictor(network.predictor, training.tensors["predictor.linear.weight"].shape[0]
                          ) if design is not Design.BASELINE else None
    if predictor:  # a trained one does not begin with zeros
        torch.nn.init.normal_(predictor.linear.weight, std=0.1)
        torch.nn.init.normal_(predictor.linear.bias, std=0.1)
    machine = GoldenMachine(config, training.image_bytes(len(phases)), check=True)
    training.image(machine.memory, network.model, data, labels, predictor)
    training.configure(machine, len(phases), Schedule(warmup=phases.count("b"), gp=1, bp=0))
    machine.write("BATCHES", 1)
    reference = Reference(training, network.model, copy.deepcopy(predictor), optimizer, adam)
    errors: dict[str, float] = {}
    for number, phase in enumerate(phases):
        before = {name: tensor.read(machine.memory) for name, tensor in training.tensors.items()
                  if tensor.base == 0}
        machine.run()
        some = slice(number * network.batch, (number + 1) * network.batch)
        pixels = pixels_of(data[some])
        reference.tensors.clear()
        if phase == "b":
            reference.backpropagate(pixels, labels[some])
        else:
            reference.predict(pixels)
        for name, want in reference.tensors.items():
            got = training.tensors[name].read(machine.memory)
            if name.endswith(("weight", "bias")):  # compare what the step changed
                start = before[name].reshape(want.shape)
                got, want = got.reshape(want.shape) - start, want - start
            errors[name] = max(errors.get(name, 0.0), relative_error(got, want))
    return errors


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("design", list(Design))
def test_backpropagation_step_is_within_bounds_of_autograd(seed, design):
    for name, error in errors_of_a_step(seed, design, "b").items():
        assert error <= bound_of(name), f"seed {seed}: {name} is off by {error:.4f}, more than {bound_of(name)}"


@pytest.mark.parametrize("seed", range(12))
def test_predicted_step_is_within_bounds(seed):
    for name, error in errors_of_a_step(seed, Design.LOW, "bg").items():
        assert error <= bound_of(name), f"seed {seed}: {name} is off by {error:.4f}, more than {bound_of(name)}"
