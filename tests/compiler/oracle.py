"""One training step of any model that the compiler maps, against PyTorch itself.

Independent of the compiler: the model's own ``forward`` in float32 and ``loss.backward()``, with
activations rounded to operands where functions return them. What is compared is found by the names
of parameters and buffers in the model.
"""

import copy
from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from adagp.compiler import SGD, compile_training
from adagp.golden import GoldenMachine
from adagp.spec.config import AcceleratorConfig
from adagp.spec.schedule import Schedule

CONFIG = AcceleratorConfig(rows=5, columns=6, stream_elements=16384, stationary_elements=16384, vector_words=1024)

OUTPUT_BOUND = 0.01
"""‖machine − PyTorch‖ / ‖PyTorch‖ of logits, loss and buffers: operands are rounded to 8 significant
bits (2⁻⁹ relative) wherever they enter the array or memory."""
GRADIENT_BOUND = 0.02
"""Same, for a parameter's gradient, whose rounding errors come from all layers behind it."""


class _OperandActivations(TorchFunctionMode):
    """Rounds what functions return, and the operands of products, to bfloat16; gradients pass as they
    are. Without it, one activation in a few hundred would be near enough to zero to have another sign
    than on the machine: its whole gradient would differ, by right, and hide what differs by mistake."""

    def __torch_function__(self, function, types, arguments=(), options=None):
        if function in (functional.conv2d, functional.linear):
            arguments = [rounded(argument) for argument in arguments]
        return rounded(function(*arguments, **(options or {})))


def rounded(value):
    """``value``, if it is a tensor of activations or weights, as an operand; the gradient is not rounded."""
    if isinstance(value, torch.Tensor) and value.is_floating_point() and value.dim() > 1:
        return value + (value.bfloat16().float() - value).detach().nan_to_num()
    return value


def relative_error(got: torch.Tensor, want: torch.Tensor) -> float:
    return ((got.float().flatten() - want.flatten()).norm() / want.norm().clamp_min(1e-12)).item()


def errors_of_step(model: nn.Module, input_shape: tuple[int, ...], *, batch: int = 4, seed: int = 0,
                   config: AcceleratorConfig = CONFIG, samples: torch.Tensor | None = None) -> dict[str, float]:
    """Relative error of ``logits``, ``loss``, ``gradient of {parameter}`` and ``{buffer}`` after one
    batch of back-propagation, of which the golden machine also proves that no race decides it.

    ``samples`` are (batch, *input_shape), by default normally distributed.
    """
    generator = torch.Generator().manual_seed(seed)
    data = torch.randn(batch, *input_shape, generator=generator) if samples is None else samples
    training = compile_training(model, config, batch=batch, input_shape=input_shape, optimizer=SGD(lr=0.1))
    labels = torch.randint(training.layers[-1].channels, (batch,), generator=generator)
    machine = GoldenMachine(config, training.image_bytes(1), check=True)
    training.image(machine.memory, model, data, labels)
    training.configure(machine, 1, Schedule(warmup=1))
    machine.run()
    trained, reference = copy.deepcopy(model), copy.deepcopy(model).train()
    with _OperandActivations():
        logits = reference(rounded(data))
    loss = functional.cross_entropy(logits, labels)
    loss.backward()
    training.read_model(machine.memory, trained)
    tensors = training.tensors
    errors = {"logits": relative_error(tensors[f"{training.layers[-1].name}.output"].read(machine.memory), logits),
              "loss": relative_error(tensors["loss"].read(machine.memory).mean(), loss)}
    for name, parameter in reference.named_parameters():
        step = model.get_parameter(name) - trained.get_parameter(name)  # the first step is lr·gradient
        errors[f"gradient of {name}"] = relative_error(step / 0.1, parameter.grad)
    kept = dict(trained.named_buffers())
    for name, buffer in reference.named_buffers():
        if buffer.is_floating_point():
            errors[name] = relative_error(kept[name], buffer)
    return errors


def assert_step_matches(model: nn.Module, input_shape: tuple[int, ...], *, bounds: Mapping[str, float] = {},
                        **options) -> None:
    """:func:`errors_of_step` within :data:`OUTPUT_BOUND` and :data:`GRADIENT_BOUND`, or within
    ``bounds`` by name, where there is a reason for others."""
    for name, error in errors_of_step(model, input_shape, **options).items():
        bound = bounds.get(name, GRADIENT_BOUND if name.startswith("gradient") else OUTPUT_BOUND)
        assert error <= bound, f"{name} is off by {error:.4f}, more than {bound}"
