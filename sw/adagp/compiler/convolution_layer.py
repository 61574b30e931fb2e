"""A convolution or linear layer with its bias, its fused activation, and its part in prediction."""

from . import convolution, finish
from .emitter import Emitter
from .images import Images
from .network import Convolution
from .operation import Work


def forward(e: Emitter, operation: Convolution, work: Work) -> None:
    """y = activation(x ∗ weight + bias)."""
    rows = e.scratch.bank_words
    if operation.activation and operation.activation.slope:
        rows -= 1  # a bias is in the bank of the slope
    store = finish.StoreActivations(e, work.output, operation.activation, rows)
    convolution.forward(e, operation, Images(tensor=work.inputs[0]), work.parameters["weight"],
                        work.parameters.get("bias"), store, most_rows=rows)


def backward(e: Emitter, operation: Convolution, work: Work) -> None:
    """The gradient of the input, then those of weight and bias, with which they are updated."""
    x, (target,) = work.inputs[0], work.targets
    if target:
        words = min(e.scratch.bank_words, x.elements // x.shape[-1])
        convolution.input_gradient(e, operation, work.gradient, work.parameters["weight"],
                                   finish.StoreGradient(e, target, words))
        e.scratch.begin(operation.name)
    with e.builder.purpose(work="weight gradient"):
        _weight_gradient(e, operation, work)


def _weight_gradient(e: Emitter, operation: Convolution, work: Work) -> None:
    x, channels = work.inputs[0], operation.channels
    room, agreement, options = e.scratch.bank_words, None, {}
    parts = 4 + bool(work.prediction) + 3 * bool(work.prediction and work.prediction.quality)
    rows = min(channels, (room - 8 * (parts > 4)) // parts)
    if work.prediction:
        if work.prediction.quality:
            agreement = work.prediction.quality.of_layer(e, operation.name, rows)
        options = {"prediction": work.prediction.prediction, "error": work.prediction.error, "agreement": agreement}
    weights = work.parameters["weight"].elements // channels
    update = finish.parameter_update(e, work, "weight", (channels, weights), rows, slots=4, **options)
    bias = update.sharing(*(tensors["bias"].view(channels, 1) for tensors in (work.parameters, work.momenta))
                          ) if operation.bias else None
    convolution.weight_gradient(e, operation, Images(tensor=x), work.gradient, update, bias, most_rows=rows)
    if agreement:
        agreement.finish()
