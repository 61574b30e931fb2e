import pytest
import torch

from adagp.models import build

from .published import fixed_logits, require_published


@pytest.mark.parametrize("name, options, count, gmac, digest", [
    # as torchvision 0.29 documents and names them, with and without the auxiliary classifier
    ("inceptionv3", {}, 23_834_568, 5.713, "f3a329f258a780ee"),
    ("inceptionv3", {"auxiliary": True}, 27_161_264, 5.713, "aab0ac2cbaf84aa2"),
    # size published by timm; names are pretrainedmodels'
    ("inceptionv4", {}, 42_679_816, 12.254, "1418e8a36978b5cf"),
])
def test_sizes_and_names_are_those_of_others(name, options, count, gmac, digest):
    require_published(name, count, gmac, digest, extent=299, **options)


@pytest.mark.parametrize("name, logits", [
    ("inceptionv3", [0.808693, -0.667257, -0.266723, -0.758138]),  # torchvision's
    ("inceptionv4", [-0.0697121, -1.01302, 0.192396, -0.501254]),  # pretrainedmodels', averaged over all pixels
])
def test_logits_are_those_of_others(name, logits):
    with torch.device("meta"):
        model = build(name)
    assert fixed_logits(model, 75) == pytest.approx(logits, abs=1e-3)


@pytest.mark.parametrize("form, extent", [("imagenet", 299), ("cifar", 35)])
def test_auxiliary_classifier_speaks_in_training_alone(form, extent):
    with torch.device("meta"):
        model = build("inceptionv3", classes=7, form=form, auxiliary=True)
        images = torch.empty(2, 3, extent, extent)
        assert [logits.shape for logits in model(images)] == [(2, 7), (2, 7)]
        assert model.eval()(images).shape == (2, 7)
        with pytest.raises(ValueError, match=f"at least {extent}×{extent} pixels"):
            model.train()(torch.empty(2, 3, extent - 1, extent))


@pytest.mark.parametrize("name, first, last", [("inceptionv3", "Mixed_5b", "Mixed_7c"),
                                               ("inceptionv4", "features.6", "features.21")])
def test_blocks_see_the_cifar_image_whole(name, first, last):
    extents = []
    with torch.device("meta"):
        model = build(name, form="cifar")
        for path in (first, last):
            model.get_submodule(path).register_forward_pre_hook(lambda module, inputs: extents.append(inputs[0].shape[2:]))
        model(torch.empty(2, 3, 32, 32))
    assert extents == [(32, 32), (7, 7)]
