import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from adagp.cost.predictor_work import Predictor
from adagp.cost.traffic import Traffic
from adagp.models import LayerShape, layer_shapes
from adagp.training.predictors.paper import PaperNetwork

CONVOLUTION = LayerShape(name="conv", kind="convolution", input=(4, 6, 9, 9), weight=(10, 3, 3, 3), output=(4, 10, 9, 9),
                         padding=(1, 1))
TRANSPOSED = LayerShape(name="up", kind="transposed convolution", input=(4, 6, 5, 5), weight=(6, 5, 3, 3),
                        output=(4, 10, 7, 7))
LINEAR = LayerShape(name="linear", kind="linear", input=(4, 27), weight=(10, 27), output=(4, 10))
PRODUCT = LayerShape(name="attention", kind="product", input=(8, 5, 3), weight=(8, 3, 4), output=(8, 5, 4))
SIZES = Predictor(), Predictor(size=4, channels=2)


def macs(works) -> int:
    return sum(work.multiply_accumulates for work in works)


@pytest.mark.parametrize("predictor", SIZES, ids=("default", "small"))
@pytest.mark.parametrize("layer", (CONVOLUTION, LINEAR), ids=lambda layer: layer.name)
def test_it_does_what_the_predictor_does_in_pytorch(predictor, layer):
    network = PaperNetwork(size=predictor.size, channels=predictor.channels, outputs=27)
    images = torch.zeros(10, 1, 9, 9)
    theirs = layer_shapes(Reduced(network), images)
    assert [(own.kind, own.input, own.weight, own.output, own.padding) for own in predictor.layers(layer)] == [
        (own.kind, own.input, own.weight, own.output, own.padding) for own in theirs]
    assert macs(predictor.predicting(layer)) == sum(own.multiply_accumulates for own in theirs)
    loss = network(images, 27).sum()
    with FlopCounterMode(display=False) as flops:
        loss.backward()
    assert 2 * macs(predictor.training(layer)) == flops.get_total_flops()


class Reduced(torch.nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images):
        return self.network(images, 27)


def test_transposed_convolution_has_as_many_samples_as_output_channels():
    linear = Predictor().layers(TRANSPOSED)[1]
    assert linear.output == (10, 6 * 5 * 9 // 10)


def test_product_of_activations_has_no_weights_to_predict():
    predictor = Predictor()
    assert predictor.predicting(PRODUCT) == predictor.training(PRODUCT) == ()
    assert predictor.weights(PRODUCT) == 0 and predictor.averaging(PRODUCT) == Traffic()


def test_weights_are_those_that_the_layer_uses():
    assert Predictor().features == 256
    assert Predictor().weights(CONVOLUTION) == 16 * 9 + 256 * 27


def test_averaging_adds_every_output_in_the_buffer():
    """4 bytes a sum, 2 an operand: 10 channels of 81 pixels, pooled to 64."""
    assert Predictor().averaging(CONVOLUTION) == Traffic(
        buffer_reads=(4 * 10 * 81 + 10 * 81) * 4, buffer_writes=4 * 10 * 81 * 4 + 10 * 64 * 2)


def test_layers_of_other_kinds_are_not_predicted():
    predictor = Predictor(kinds=("convolution",))
    assert predictor.predicting(CONVOLUTION) == Predictor().predicting(CONVOLUTION)
    assert predictor.predictions(CONVOLUTION) == 10 * 27
    assert predictor.predicting(LINEAR) == predictor.training(LINEAR) == ()
    assert predictor.predictions(LINEAR) == predictor.weights(LINEAR) == 0 and predictor.averaging(LINEAR) == Traffic()


def test_products_have_nothing_to_predict():
    with pytest.raises(ValueError, match="Predictor.kinds must be of convolution, .*, not .'product',."):
        Predictor(kinds=("product",))


@pytest.mark.parametrize("size", (dict(size=7), dict(size=0), dict(channels=0), dict(channels=2.0)))
def test_impossible_size_is_refused(size):
    (name, value), = size.items()
    with pytest.raises(ValueError, match=f"Predictor.{name} must be an .*, not {value}"):
        Predictor(**size)
