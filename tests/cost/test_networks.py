from itertools import product
from math import prod

import pytest
import torch
from torch import nn

from adagp.cost.array_size import ArraySize
from adagp.cost.dataflows import Dataflow, cycles
from adagp.cost.hardware import PAPER, Hardware
from adagp.cost.networks import NetworkCost
from adagp.cost.predictor_work import Predictor
from adagp.cost.products import lower
from adagp.cost.schedules import Shares
from adagp.cost.traffic import Traffic, accesses, external
from adagp.models import LayerShape, layer_shapes
from adagp.spec.config import Design, preset
from adagp.spec.isa import Pass
from adagp.spec.schedule import Phase

NETWORK = layer_shapes(nn.Sequential(
    nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ConvTranspose2d(16, 4, 2, stride=2), nn.Flatten(),
    nn.Linear(256, 10)), torch.empty(4, 3, 8, 8))
ATTENTION = LayerShape(name="attention", kind="product", input=(8, 5, 3), weight=(8, 3, 4), output=(8, 5, 4))
NETWORK.insert(3, ATTENTION)
SMALL = Predictor(size=4, channels=2)
SHARES = Shares.of_batches(warmup=1, bp=2, gp=4)
ADAGP = Design.LOW, Design.EFFICIENT, Design.MAX


def network(dataflow: Dataflow = Dataflow.WEIGHT_STATIONARY, hardware: Hardware = PAPER) -> NetworkCost:
    return NetworkCost.of(NETWORK, hardware, dataflow, SMALL)


@pytest.mark.parametrize("dataflow", Dataflow)
def test_layers_cost_what_their_works_do(dataflow):
    for index, (layer, cost) in enumerate(zip(NETWORK, network(dataflow).layers, strict=True)):
        def of(works, array=PAPER.array):
            return sum(cycles(dataflow, work, array) for work in works)

        passes = lower(layer, sees_input=index == 0)
        assert cost.name == layer.name
        assert cost.cycles == {each: of(passes.get(each, ())) for each in (Pass.FORWARD, Pass.INPUT_GRADIENT, Pass.WEIGHT_GRADIENT)}
        assert (cost.predict, cost.train) == (of(SMALL.predicting(layer)), of(SMALL.training(layer)))
        beside = PAPER.predictor_array
        assert (cost.predict_beside, cost.train_beside) == (of(SMALL.predicting(layer), beside), of(SMALL.training(layer), beside))
        assert cost.b == (cost.cycles[Pass.INPUT_GRADIENT] + cost.cycles[Pass.WEIGHT_GRADIENT]) / cost.forward
        assert cost.alpha == cost.predict / cost.forward


def test_first_layer_has_no_input_gradient_unless_told():
    assert network().layers[0].cycles[Pass.INPUT_GRADIENT] == 0
    assert NetworkCost.of(NETWORK, sees_input=()).layers[0].cycles[Pass.INPUT_GRADIENT] > 0


def test_product_of_activations_has_no_predictor_and_no_weight_gradient():
    cost = network().layers[3]
    assert cost.name == "attention" and cost.cycles[Pass.WEIGHT_GRADIENT] == 0 and cost.cycles[Pass.INPUT_GRADIENT] > 0
    assert cost.predict == cost.train == cost.load_predict == cost.load_train == 0


def test_low_moves_weights_and_results_of_the_predictor_over_the_bus():
    """16 bytes a cycle. The second layer's predictor: 2·9 and 8·72 weights of 2 bytes, 1152 gradients of 4."""
    layer = network().layers[1]
    weights, predicted = 2 * (2 * 9 + 8 * 72), 4 * 16 * 72
    assert layer.load_predict == -(-(weights + predicted) // 16)
    assert layer.load_train == -(-(2 * weights + predicted) // 16)


@pytest.mark.parametrize("dataflow", Dataflow)
def test_phases_of_the_designs(dataflow):
    cost = network(dataflow)
    forward, backward = {design: 0 for design in Design}, {design: 0 for design in Design}
    waiting = 0
    for layer in cost.layers:
        for design, ours, back in ((Design.BASELINE, 0, 0), (Design.EFFICIENT, layer.predict, layer.train),
                                   (Design.LOW, layer.predict + layer.load_predict, layer.train + layer.load_train)):
            forward[design] += layer.forward + ours
            backward[design] += layer.backward + back
        forward[Design.MAX] += max(layer.forward, waiting)
        backward[Design.MAX] += max(layer.backward, layer.train_beside)
        waiting = layer.predict_beside
    forward[Design.MAX] += waiting
    for design, phase in product(ADAGP, (Phase.WARMUP, Phase.BP, Phase.GP)):
        expected = forward[design] + (backward[design] if phase is not Phase.GP else 0)
        assert cost.batch_cycles(design, phase) == cost.layer_cycles(design, phase).sum() == expected
    assert cost.batch_cycles(Design.BASELINE, Phase.BP) == forward[Design.BASELINE] + backward[Design.BASELINE]
    for design in ADAGP:
        mean = (3 * (forward[design] + backward[design]) + 4 * forward[design]) / 7
        assert cost.speedup(design, SHARES) == pytest.approx(cost.batch_cycles(Design.BASELINE, Phase.BP) / mean)
    assert cost.b == backward[Design.BASELINE] / forward[Design.BASELINE]
    assert cost.alpha == sum(layer.predict for layer in cost.layers) / forward[Design.BASELINE]


def test_both_sides_of_the_longer_of_two_occur():
    """Else the phases of design MAX above would be those of another design."""
    layers = network().layers
    assert {later.forward > layer.predict_beside for layer, later in zip(layers, layers[1:])} == {True, False}
    slow = network(hardware=Hardware(predictor_array=ArraySize(rows=1, columns=1))).layers
    assert {layer.backward > layer.train_beside for layer in slow} == {True, False}


def test_efficient_costs_what_b_and_alpha_say_where_training_takes_two_alpha():
    """The closed form of section 3.7 is that of the model, with the predictor's own ratio in place of 2."""
    cost = network()
    train = sum(layer.train for layer in cost.layers) / sum(layer.forward for layer in cost.layers)
    expected = (1 + cost.b) / SHARES.mean(lambda phase: 1 + cost.alpha + (0 if phase is Phase.GP else cost.b + train))
    assert cost.speedup(Design.EFFICIENT, SHARES) == pytest.approx(expected)


@pytest.mark.parametrize("dataflow", Dataflow)
@pytest.mark.parametrize("buffer", (None, 3000))
def test_traffic_is_that_of_all_works(dataflow, buffer):
    cost = network(dataflow, Hardware(buffer_bytes=buffer))

    def of(works, array=PAPER.array) -> Traffic:
        return sum((accesses(dataflow, work, array) for work in works), Traffic())

    passes = {each: Traffic() for each in (Pass.FORWARD, Pass.INPUT_GRADIENT, Pass.WEIGHT_GRADIENT)}
    for index, layer in enumerate(NETWORK):
        for each, works in lower(layer, sees_input=index == 0).items():
            result = 4 if each is Pass.WEIGHT_GRADIENT else 2
            passes[each] += of(works) + sum((external(dataflow, work, PAPER.array, buffer_bytes=buffer, result_bytes=result)
                                             for work in works), Traffic())
    backward = passes[Pass.INPUT_GRADIENT] + passes[Pass.WEIGHT_GRADIENT]
    assert cost.traffic(Design.BASELINE, Phase.BP) == passes[Pass.FORWARD] + backward
    averaging = sum(map(SMALL.averaging, NETWORK), Traffic())
    for design in ADAGP:
        array = PAPER.predictor_array if design is Design.MAX else PAPER.array
        predicting = of([work for layer in NETWORK for work in SMALL.predicting(layer)], array)
        training = of([work for layer in NETWORK for work in SMALL.training(layer)], array)
        gp, bp = cost.traffic(design, Phase.GP), cost.traffic(design, Phase.BP)
        if design is Design.LOW:
            weights = sum(map(SMALL.weights, NETWORK))
            predicted = sum(prod(layer.weight) for layer in NETWORK if layer is not ATTENTION)
            predicting += Traffic(external_reads=2 * weights, external_writes=4 * predicted)
            training += Traffic(external_reads=2 * weights + 4 * predicted, external_writes=2 * weights)
        assert gp == passes[Pass.FORWARD] + predicting + averaging
        assert bp == cost.traffic(design, Phase.WARMUP) == gp + backward + training
        mean = cost.mean_traffic(design, SHARES)
        assert mean.buffer_reads == pytest.approx((3 * bp.buffer_reads + 4 * gp.buffer_reads) / 7)
    assert cost.mean_traffic(Design.BASELINE, SHARES) == cost.traffic(Design.BASELINE, Phase.BP)


def test_hardware_of_a_configuration():
    assert Hardware.of(preset("paper")) == PAPER


@pytest.mark.parametrize("make, message", (
    (lambda: Hardware(bus_bytes=0), "Hardware.bus_bytes must be an integer of at least 1, not 0"),
    (lambda: Hardware(buffer_bytes=0), "Hardware.buffer_bytes must be an integer of at least 1, not 0"),
    (lambda: NetworkCost.of([]), "layers must be at least one layer, not none"),
    (lambda: network().batch_cycles(Design.BASELINE, Phase.GP), "phase on design BASELINE must be WARMUP, BP, not"),
    (lambda: network().traffic(Design.MAX, Phase.ENTER), "phase on design MAX must be WARMUP, BP, GP, not")))
def test_impossible_cost_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
