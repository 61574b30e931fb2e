import pytest
import torch
from torch import fx, nn

from adagp.models import build, layer_shapes, multiply_accumulates, parameters
from adagp.models.yolo import Darknet53, Head


@pytest.mark.parametrize("classes, bflops", [(80, 65.864), (1, 65.290)])  # as Darknet prints for 416×416
def test_operations_are_darknet_s(classes, bflops):
    with torch.device("meta"):
        assert round(2 * multiply_accumulates(build("yolov3", classes=classes), torch.empty(1, 3, 416, 416)) / 1e9, 3) == bflops


def test_size_is_the_published_one():
    with torch.device("meta"):
        assert parameters(build("yolov3", classes=80)) == 61_949_149  # Ultralytics
        backbone = Darknet53(3)
    assert sum(isinstance(module, nn.Conv2d) for module in backbone.modules()) == 52  # and, in the paper, a classifier


def test_maps_have_a_box_per_anchor_and_cell():
    with torch.device("meta"):
        model = build("yolov3", classes=20)
        outputs = model(torch.empty(2, 3, 96, 64))
        sum(output.sum() for output in outputs).backward()
    assert [output.shape for output in outputs] == [(2, 3, 3, 2, 25), (2, 3, 6, 4, 25), (2, 3, 12, 8, 25)]
    assert model.strides == (32, 16, 8) and [len(anchors) for anchors in model.anchors] == [3, 3, 3]
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_values_of_an_anchor_are_neighbouring_channels():
    head = Head(4, 2, anchors=3, values=7)
    raw = []
    head.predict[1].register_forward_hook(lambda module, inputs, output: raw.append(output))
    predictions, _ = head(torch.randn(1, 4, 2, 3))
    assert predictions[0, 2, 1, 1].equal(raw[0][0, 14:21, 1, 1])


def test_fx_traces_all_layers():
    with torch.device("meta"):
        model, images = build("yolov3", classes=2), torch.empty(1, 3, 32, 64)
        assert layer_shapes(fx.symbolic_trace(model), images) == layer_shapes(model, images)


def test_extents_must_be_multiples_of_the_largest_stride():
    with torch.device("meta"), pytest.raises(ValueError, match="multiples of 32, not 64×65"):
        build("yolov3")(torch.empty(1, 3, 64, 65))
