"""Which operations PyTorch's modules, functions and methods become, as tables."""

import operator
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from . import transformers
from .average_pooling import AveragePool
from .batch_norm import BatchNorm
from .gelu import Gelu
from .layer_norm import LayerNorm
from .network import Add, Concatenate, Convolution, MaxPool, Upsample
from .operation import Activation
from .softmax import Softmax
from .values import Call, Value, channels_last


def _convolution(call: Call) -> Value:
    module = call.module
    if module.padding_mode != "zeros":
        call.refuse(f"Conv2d.padding_mode must be 'zeros', not {module.padding_mode!r}")
    padding = module.padding
    if isinstance(padding, str):
        around = [d * (k - 1) for k, d in zip(module.kernel_size, module.dilation)]
        if padding == "same" and any(n % 2 for n in around):
            call.refuse(f"Conv2d.padding 'same' needs as many zeros on both sides, not those of kernel "
                        f"{module.kernel_size} with dilation {module.dilation}")
        padding = tuple(n // 2 for n in around) if padding == "same" else (0, 0)
    return call.add(Convolution(name=call.name, inputs=call.inputs, image=call.image(), channels=module.out_channels,
                                kernel=module.kernel_size, stride=module.stride, padding=padding,
                                dilation=module.dilation, groups=module.groups, bias=module.bias is not None))


def _linear(call: Call) -> Value:
    flattened = call.flattened()
    image = (1, 1, call.values[0].shape[0]) if flattened else call.rows()
    return call.add_rows(Convolution(name=call.name, inputs=call.inputs, image=image, flattened=flattened,
                                     channels=call.module.out_features, bias=call.module.bias is not None))


def _max_pool(call: Call) -> Value:
    given = call.settings(kernel_size=None, stride=None, padding=0, dilation=1, ceil_mode=False)
    if given["ceil_mode"] or _pair(given["dilation"]) != (1, 1):
        call.refuse("MaxPool2d needs ceil_mode False and dilation 1")
    kernel = _pair(given["kernel_size"])
    return call.add(MaxPool(name=call.name, inputs=call.inputs, image=call.image(), kernel=kernel,
                            stride=_pair(given["stride"] or kernel), padding=_pair(given["padding"])))


def _average_pool(call: Call) -> Value:
    given = call.settings(kernel_size=None, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
                          divisor_override=None)
    if given["ceil_mode"] or given["divisor_override"]:
        call.refuse("AvgPool2d needs ceil_mode False and no divisor_override")
    kernel = _pair(given["kernel_size"])
    return call.add(AveragePool(name=call.name, inputs=call.inputs, image=call.image(), kernel=kernel,
                                stride=_pair(given["stride"] or kernel), padding=_pair(given["padding"]),
                                count_include_pad=given["count_include_pad"]))


def _adaptive_average_pool(call: Call) -> Value:
    return call.add(AveragePool.adaptive(call.name, call.inputs, call.image(), call.shape[2:]))


def _mean(call: Call) -> Value:
    """Over the pixels of an image, or over tokens."""
    dimensions, rank = call.settings(dim=())["dim"], len(call.values[0].shape) + 1
    dimensions = {dimension % rank for dimension in ((dimensions,) if isinstance(dimensions, int) else dimensions)}
    if rank == 4 and dimensions == {2, 3}:
        image = call.image()
    elif rank == 3 and dimensions == {1}:
        image = call.rows()
    else:
        return call.refuse(f"means are over height and width of images, or over tokens, not over dimensions "
                           f"{sorted(dimensions)} of {rank}")
    operation = AveragePool(name=call.name, inputs=call.inputs, image=image, kernel=image[:2], stride=image[:2])
    return call.add(operation, channels_last(image[2]).reshape(call.shape))


def _batch_norm(call: Call) -> Value:
    module = call.module
    if not module.track_running_stats or module.momentum is None:
        call.refuse(f"{type(module).__name__} needs track_running_stats and a momentum that is a number")
    if (rank := len(call.values[0].shape)) == 2:
        call.refuse("BatchNorm1d needs (features), not (channels, length)")
    image = call.image() if rank == 3 else call.rows()
    return call.add(BatchNorm(name=call.name, inputs=call.inputs, image=image, eps=module.eps, momentum=module.momentum,
                              affine=module.affine), channels_last(*image).permute(0, 3, 1, 2).reshape(call.shape))


def _layer_norm(call: Call) -> Value:
    module, image = call.module, call.rows()
    if module.normalized_shape != image[2:]:
        call.refuse(f"LayerNorm.normalized_shape must be that of the features, {image[2:]}, "
                    f"not {module.normalized_shape}")
    return call.add_rows(LayerNorm(name=call.name, inputs=call.inputs, image=image, eps=module.eps,
                                   weight=module.weight is not None, bias=module.bias is not None))


def _softmax(call: Call) -> Value:
    dimension, rank = call.settings(dim=None)["dim"], len(call.values[0].shape) + 1
    if dimension is None or dimension % rank != rank - 1:
        call.refuse(f"Softmax.dim must be the last one, {rank - 1}, not {dimension}")
    return call.add_rows(Softmax(name=call.name, inputs=call.inputs, image=call.rows()))


def _gelu(call: Call) -> Value:
    value = call.values[0]
    return call.add(Gelu(name=call.name, inputs=call.inputs, image=value.produced,
                         approximate=call.settings(approximate="none")["approximate"]), value.index)


def _relu(call: Call) -> Value:
    return _activation(call, Activation(), call.settings(inplace=False))


def _leaky_relu(call: Call) -> Value:
    given = call.settings(negative_slope=0.01, inplace=False)
    if not 0 <= given["negative_slope"] < 1:
        call.refuse(f"LeakyReLU.negative_slope must be in [0, 1), not {given['negative_slope']!r}")
    return _activation(call, Activation(slope=given["negative_slope"]), given)


def _relu6(call: Call) -> Value:
    return _activation(call, Activation(most=6.0), call.settings(inplace=False))


def _hardtanh(call: Call) -> Value:
    given = call.settings(min_val=-1.0, max_val=1.0, inplace=False)
    if given["min_val"] != 0:
        call.refuse(f"Hardtanh.min_val must be 0, not {given['min_val']!r}")
    try:
        return _activation(call, Activation(most=float(given["max_val"])), given)
    except ValueError as error:
        return call.refuse(str(error))


def _activation(call: Call, activation: Activation, given: dict) -> Value:
    value = call.values[0]
    call.in_place = given["inplace"]
    return call.add(Add(name=call.name, inputs=call.inputs, image=value.produced, activation=activation), value.index)


def _add(call: Call) -> Value:
    if len(call.values) == 1 and any(isinstance(argument, torch.Tensor) for argument in call.arguments):
        return transformers.positions(call)
    if len(call.values) != 2 or call.options.get("alpha", 1) != 1:
        call.refuse("adds two activations, without alpha")
    first, second = call.values
    if not first.lies_as(second.index):
        call.refuse(f"adds equal shapes that lie alike, not {first.shape} of {first.name} and {second.shape} "
                    f"of {second.name}")
    return call.add(Add(name=call.name, inputs=call.inputs, image=first.produced), first.index)


def _add_in_place(call: Call) -> Value:
    call.in_place = True
    return _add(call)


def _concatenate(call: Call) -> Value:
    dimension, rank = call.settings(dim=0)["dim"], len(call.shape)
    if len(call.values) == 1 and len(call.arguments[0]) == 2 and (dimension % rank, rank) == (1, 3):
        return transformers.class_tokens(call)
    if dimension % rank == 1 and rank == 4:
        operation = Concatenate(name=call.name, inputs=call.inputs,
                                images=tuple(call.image(number) for number in range(len(call.values))))
        return call.add(operation)
    if dimension % rank == rank - 1:
        operation = Concatenate(name=call.name, inputs=call.inputs,
                                images=tuple(call.rows(number) for number in range(len(call.values))))
        return call.add_rows(operation)
    return call.refuse(f"concatenates channels or features, not dimension {dimension} of {rank}")


def _upsample(call: Call) -> Value:
    mode = call.settings(size=None, scale_factor=None, mode="nearest")["mode"]
    height, width, _ = image = call.image()
    down, right = call.shape[2] / height, call.shape[3] / width
    if mode not in ("nearest", "nearest-exact") or down % 1 or right % 1:
        call.refuse(f"Upsample must be 'nearest' with integer factors, not {mode!r} with {down:g} and {right:g}")
    return call.add(Upsample(name=call.name, inputs=call.inputs, image=image, factor=(int(down), int(right))))


def _identity(call: Call) -> Value:
    return call.values[0]


def _dropout(call: Call) -> Value:
    given = call.settings(p=0.5, training=True)
    if given["p"] and given["training"]:
        call.refuse(f"Dropout.p must be 0, not {given['p']!r}")
    return call.values[0]


def _pair(value) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


RULES: dict[object, Callable[[Call], Value]] = {
    nn.Conv2d: _convolution,
    **dict.fromkeys((nn.Linear, NonDynamicallyQuantizableLinear), _linear),
    **dict.fromkeys((nn.MaxPool2d, functional.max_pool2d, torch.max_pool2d), _max_pool),
    **dict.fromkeys((nn.AvgPool2d, functional.avg_pool2d), _average_pool),
    **dict.fromkeys((nn.AdaptiveAvgPool2d, functional.adaptive_avg_pool2d), _adaptive_average_pool),
    **dict.fromkeys((torch.mean, "mean"), _mean),
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d), _batch_norm),
    nn.LayerNorm: _layer_norm,
    **dict.fromkeys((nn.Softmax, functional.softmax, torch.softmax, "softmax"), _softmax),
    **dict.fromkeys((nn.GELU, functional.gelu), _gelu),
    **dict.fromkeys((nn.ReLU, functional.relu, torch.relu, "relu"), _relu),
    **dict.fromkeys((nn.LeakyReLU, functional.leaky_relu), _leaky_relu),
    **dict.fromkeys((nn.ReLU6, functional.relu6), _relu6),
    **dict.fromkeys((nn.Hardtanh, functional.hardtanh), _hardtanh),
    **dict.fromkeys((operator.add, torch.add, "add"), _add),
    **dict.fromkeys((operator.iadd, "add_"), _add_in_place),
    **dict.fromkeys((torch.cat, torch.concat, torch.concatenate), _concatenate),
    **dict.fromkeys((nn.Upsample, nn.UpsamplingNearest2d, functional.interpolate), _upsample),
    **dict.fromkeys((nn.Identity, "contiguous", "long"), _identity),
    **dict.fromkeys((nn.Dropout, nn.Dropout1d, nn.Dropout2d, functional.dropout, functional.dropout2d), _dropout),
    **transformers.RULES,
}
"""By type of module, function, or name of method."""

VIEWS = {
    nn.Flatten, nn.Unflatten, torch.flatten, torch.permute, torch.transpose, torch.squeeze, torch.unsqueeze,
    torch.reshape, torch.split, torch.chunk, torch.unbind, "flatten", "unflatten", "view", "reshape", "permute",
    "transpose", "squeeze", "unsqueeze", "split", "chunk", "unbind", "size", "dim", getattr, operator.getitem,
}
"""What only rearranges activations, or asks for their shape."""
