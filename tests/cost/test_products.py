from dataclasses import replace
from itertools import product
from math import prod

import numpy as np
import pytest
import torch
from torch import nn

from adagp.cost.products import Work, lower, stack
from adagp.models import LayerShape, layer_shapes
from adagp.spec.isa import Pass

GRADIENTS = Pass.INPUT_GRADIENT, Pass.WEIGHT_GRADIENT

CONVOLUTIONS = {
    "3x3": nn.Conv2d(6, 4, 3, padding=1), "unpadded": nn.Conv2d(6, 4, (3, 2)), "stride": nn.Conv2d(6, 4, 3, stride=2, padding=1),
    "pointwise stride": nn.Conv2d(6, 4, 1, stride=2), "stride beyond the kernel": nn.Conv2d(6, 4, 2, stride=3, padding=1),
    "depthwise": nn.Conv2d(6, 6, 3, stride=2, padding=1, groups=6), "grouped": nn.Conv2d(6, 4, 3, groups=2),
    "dilated": nn.Conv2d(6, 4, 3, dilation=2, stride=(2, 1), padding=2), "1x7": nn.Conv2d(6, 4, (1, 7), padding=(0, 3))}


def shape_of(module: nn.Module, *extent: int) -> LayerShape:
    layer, = layer_shapes(module, torch.empty(3, *extent))
    return layer


def macs(works) -> int:
    return sum(work.multiply_accumulates for work in works)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_input_gradient_multiplies_what_pixels_see(name):
    """Pairs of an input pixel and a tap that leads to an output or a border, but to no inserted zero."""
    module = CONVOLUTIONS[name]
    layer = shape_of(module, 6, 9, 10)
    pairs = [sum((pixel + padding - tap * dilation) % stride == 0 for pixel, tap in product(range(extent), range(kernel)))
             for extent, kernel, stride, padding, dilation in zip(
                 layer.input[2:], module.kernel_size, module.stride, module.padding, module.dilation)]
    expected = 3 * prod(pairs) * module.in_channels * module.out_channels // module.groups
    assert macs(lower(layer)[Pass.INPUT_GRADIENT]) == expected


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_forward_pass_and_weight_gradient_multiply_as_much(name):
    layer = shape_of(CONVOLUTIONS[name], 6, 9, 10)
    passes = lower(layer)
    assert macs(passes[Pass.FORWARD]) == macs(passes[Pass.WEIGHT_GRADIENT]) == layer.multiply_accumulates


@pytest.mark.parametrize("kernel, stride, padding", ((3, 1, 1), (4, 2, 1), (4, 4, 0), (1, 1, 0)))
def test_with_a_pixel_for_each_stride_all_passes_multiply_as_much(kernel, stride, padding):
    layer = shape_of(nn.Conv2d(6, 4, kernel, stride, padding), 6, 16, 16)
    assert {macs(works) for works in lower(layer).values()} == {layer.multiply_accumulates}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_works_of_a_pass_make_its_whole_result_from_whole_operands(name):
    module = CONVOLUTIONS[name]
    layer = shape_of(module, 6, 9, 10)
    sizes = {Pass.FORWARD: (layer.input, layer.weight, layer.output), Pass.INPUT_GRADIENT: (layer.output, layer.weight, layer.input),
             Pass.WEIGHT_GRADIENT: (layer.input, layer.output, layer.weight)}
    for each, (source, matrix, result) in sizes.items():
        works = lower(layer)[each]
        assert {work.source for work in works} == {prod(source)}
        assert [work.part for work in works] == list(range(len(works)))
        if each is Pass.INPUT_GRADIENT and name in ("pointwise stride", "stride beyond the kernel", "dilated"):
            assert sum(work.result for work in works) < prod(result)  # pixels that see no tap
            assert sum(work.matrix for work in works) <= prod(matrix)
            continue
        assert sum(work.matrix for work in works) == prod(matrix)
        assert sum(work.result for work in works) == prod(result)
        assert {work.footprint for work in works} == {prod(source) + prod(matrix) + prod(result)}


def convolved(work: Work, source: torch.Tensor, kernels: torch.Tensor, padding: tuple[int, int]) -> torch.Tensor:
    """What ``work`` says, of (images, groups·channels, height, width) and (groups·filters, channels, *kernel)."""
    assert source.shape[:2] == (work.images, work.groups * work.channels) and source.numel() == work.source
    assert kernels.shape == (work.groups * work.filters, work.channels, work.kernel_rows, work.kernel_columns)
    whole = nn.functional.conv2d(source, kernels, stride=(work.row_step, work.column_step), padding=padding,
                                 dilation=(work.row_dilation, work.column_dilation), groups=work.groups)
    return whole[:, :, :work.rows, :work.columns]


@pytest.mark.parametrize("name", [name for name, module in CONVOLUTIONS.items() if module.groups == 1])
def test_weight_gradient_is_the_input_convolved_with_the_gradient_of_the_output(name):
    torch.manual_seed(0)
    module = nn.Conv2d(**{option: getattr(CONVOLUTIONS[name], option) for option in (
        "in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation")}, bias=False).double()
    x = torch.randn(3, 6, 9, 10, dtype=torch.double)
    y = module(x)
    dy = torch.randn_like(y)
    y.backward(dy)
    work, = lower(shape_of(module, 6, 9, 10))[Pass.WEIGHT_GRADIENT]
    gradient = convolved(work, x.transpose(0, 1), dy.transpose(0, 1), module.padding)
    assert torch.allclose(gradient.transpose(0, 1), module.weight.grad)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_forward_pass_is_the_convolution(name):
    module = CONVOLUTIONS[name]
    x = torch.randn(3, 6, 9, 10)
    work, = lower(shape_of(module, 6, 9, 10))[Pass.FORWARD]
    with torch.no_grad():
        y = convolved(work, x, module.weight, module.padding) + module.bias[:, None, None]
        assert torch.allclose(y, module(x), atol=1e-6)


@pytest.mark.parametrize("stride, groups, output_padding", ((1, 1, 0), (2, 2, 1), (3, 1, 0)))
def test_transposed_convolution_is_a_convolution_run_the_other_way(stride, groups, output_padding):
    transposed = shape_of(nn.ConvTranspose2d(6, 4, 3, stride, 1, output_padding, groups), 6, 5, 7)
    plain = shape_of(nn.Conv2d(4, 6, 3, stride, 1, groups=groups), 4, *transposed.output[2:])
    assert plain.output == transposed.input
    theirs, ours = lower(plain), lower(transposed)
    assert ours == {Pass.FORWARD: theirs[Pass.INPUT_GRADIENT], Pass.INPUT_GRADIENT: theirs[Pass.FORWARD],
                    Pass.WEIGHT_GRADIENT: theirs[Pass.WEIGHT_GRADIENT]}


def test_linear_layer_is_three_matrix_products():
    passes = lower(shape_of(nn.Linear(5, 7), 5))
    assert {each: [(work.vectors, work.contraction, work.filters) for work in works] for each, works in passes.items()} == {
        Pass.FORWARD: [(3, 5, 7)], Pass.INPUT_GRADIENT: [(3, 7, 5)], Pass.WEIGHT_GRADIENT: [(5, 3, 7)]}


def test_product_of_activations_has_two_input_gradients():
    layer = LayerShape(name="attention", kind="product", input=(8, 5, 3), weight=(8, 3, 4), output=(8, 5, 4))
    passes = lower(layer)
    assert {each: [(work.groups, work.vectors, work.contraction, work.filters) for work in works]
            for each, works in passes.items()} == {
        Pass.FORWARD: [(8, 5, 3, 4)], Pass.INPUT_GRADIENT: [(8, 5, 4, 3), (8, 3, 5, 4)]}
    assert [(work.source, work.matrix, work.result, work.part) for work in passes[Pass.INPUT_GRADIENT]] == [
        (8 * 5 * 4, 8 * 3 * 4, 8 * 5 * 3, 0), (8 * 5 * 3, 8 * 5 * 4, 8 * 3 * 4, 0)]


def test_layer_that_sees_the_input_has_no_input_gradient():
    layer = shape_of(nn.Linear(5, 7), 5)
    assert lower(layer, sees_input=True) == {each: works for each, works in lower(layer).items() if each is not Pass.INPUT_GRADIENT}


def test_sequences_are_images_of_one_row():
    work, = lower(shape_of(nn.Conv1d(6, 4, 5), 6, 9))[Pass.FORWARD]
    assert (work.kernel_rows, work.kernel_columns, work.rows, work.columns) == (1, 5, 1, 5)


def test_stacked_works_keep_their_order():
    works = [work for passes in lower(shape_of(CONVOLUTIONS["stride"], 6, 9, 10)).values() for work in passes]
    assert stack(works).vectors.tolist() == [work.vectors for work in works]
    assert stack(works).contraction.dtype == np.int64


@pytest.mark.parametrize("change, message", (
    (dict(kind="sorting"), "kind of layer 'l' must be convolution, transposed convolution, linear, product, not 'sorting'"),
    (dict(input=(0, 6, 9, 10)), r"input of layer 'l' must have extents of at least 1, not \(0, 6, 9, 10\)"),
    (dict(weight=(4, 5, 3, 3)), "input, weight and output of layer 'l' must fit each other, not be .* and"),
    (dict(weight=(5, 6, 3, 3)), "input, weight and output of layer 'l' must fit each other"),
    (dict(weight=(4, 7, 3, 3)), "input, weight and output of layer 'l' must fit each other"),
    (dict(stride=(2, 2)), "layer 'l' must have 4 windows with stride 2, padding 0 and dilation 1, not 7"),
    (dict(input=(3, 6, 9, 10, 2), weight=(4, 6, 3, 3, 1), output=(3, 4, 7, 8, 2)),
     "layer 'l' must have one or two spatial dimensions, not 3")))
def test_layer_without_a_mapping_is_named(change, message):
    layer = LayerShape(name="l", kind="convolution", input=(3, 6, 9, 10), weight=(4, 6, 3, 3), output=(3, 4, 7, 8))
    lower(layer)
    with pytest.raises(ValueError, match=message):
        lower(replace(layer, **change))
