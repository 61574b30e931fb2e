"""Every network in every form."""

import pytest
import torch
from torch import fx

from adagp.models import FORMS, build, layer_shapes

SHALLOW = [(name, form) for name in ("vgg11", "vgg11_bn", "resnet14", "resnet50", "densenet121", "mobilenetv2", "inceptionv3",
                                     "inceptionv4") for form in FORMS[name]]
"""The smallest network of each kind; sizes of the others are tested with their families."""
EXTENT = {"cifar": 32, "imagenet": 64}
REFUSED_BELOW = {("densenet", "imagenet"): 29, ("densenet", "cifar"): 8, ("inception", "imagenet"): 75,
                 ("inception", "cifar"): 7, ("vgg", "imagenet"): 32, ("vgg", "cifar"): 32}


def smallest(name: str, form: str) -> int | None:
    return next((extent for (family, of), extent in REFUSED_BELOW.items() if name.startswith(family) and of == form), None)


@pytest.mark.parametrize("name, form", SHALLOW)
def test_every_parameter_gets_a_gradient(name, form):
    extent = max(EXTENT[form], smallest(name, form) or 0)
    with torch.device("meta"):
        model = build(name, classes=10, form=form)
        logits = model(torch.empty(2, 3, extent, extent))
        logits.sum().backward()
    assert logits.shape == (2, 10)
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("name, form", [("vgg13", "cifar"), ("resnet20", "cifar"), ("resnet50", "imagenet"), ("densenet121", "cifar"),
                                        ("mobilenetv2", "cifar"), ("inceptionv3", "imagenet"), ("inceptionv4", "cifar")])
def test_fx_traces_all_layers(name, form):
    extent = max(EXTENT[form], smallest(name, form) or 0)
    with torch.device("meta"):
        model, images = build(name, classes=10, form=form), torch.empty(1, 3, extent, extent)
        traced = fx.symbolic_trace(model)
        assert layer_shapes(traced, images) == layer_shapes(model, images)
        assert traced.eval()(images).shape == (1, 10)


@pytest.mark.parametrize("name, form", [case for case in SHALLOW if smallest(*case)])
def test_images_are_accepted_down_to_the_smallest(name, form):
    least = smallest(name, form)
    with torch.device("meta"):
        model = build(name, form=form, channels=1).eval()
        assert model(torch.empty(1, 1, least, least)).shape == (1, 1000)
        with pytest.raises(ValueError, match=f"at least {least}×{least} pixels, not {least - 1}×64"):
            model(torch.empty(1, 1, least - 1, 64))


@pytest.mark.parametrize("name, form", [case for case in SHALLOW if not smallest(*case)])
def test_a_single_pixel_will_do_where_all_is_padded(name, form):
    with torch.device("meta"):
        assert build(name, form=form).eval()(torch.empty(1, 3, 1, 1)).shape == (1, 1000)


def test_the_paper_s_form_is_the_default():
    with torch.device("meta"):
        assert build("resnet20").conv1.kernel_size == (3, 3)
        assert build("resnet50").conv1.kernel_size == (7, 7)


@pytest.mark.parametrize("given, message", [
    ({"name": "alexnet"}, "name must be one of vgg11, .*, not 'alexnet'"),
    ({"name": "vgg13_bn", "form": "cifar"}, "form of vgg13_bn must be imagenet, not 'cifar'"),
    ({"name": "resnet20", "form": "imagenet"}, "form of resnet20 must be cifar, not 'imagenet'"),
    ({"name": "vgg13", "form": "mnist"}, "form of vgg13 must be imagenet or cifar, not 'mnist'"),
    ({"name": "vgg13", "classes": 0}, "classes must be an integer of at least 1, not 0"),
    ({"name": "vgg13", "channels": 1.5}, "channels must be an integer of at least 1, not 1.5"),
])
def test_what_is_not_there_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        build(**given)
