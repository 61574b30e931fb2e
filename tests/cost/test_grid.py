import json
import subprocess
import sys
import time
from statistics import geometric_mean

import pytest
import torch

from adagp.cost.array_size import ArraySize
from adagp.cost.dataflows import Dataflow
from adagp.cost.grid import DESIGNS, energy_grid, equal_resources, grid, near_shapes, network_cost
from adagp.cost.hardware import PAPER, Hardware
from adagp.cost.network_work import NetworkWork
from adagp.cost.networks import NetworkCost
from adagp.cost.predictor_work import Predictor
from adagp.cost.schedules import Shares
from adagp.cost.workloads import CLASSIFIERS, DATASETS, layers
from adagp.models import build, layer_shapes
from adagp.spec.config import Design
from adagp.spec.schedule import Phase

SOME = {"resnet50": "imagenet", "inceptionv3": "imagenet", "inceptionv4": "cifar100", "vgg13": "imagenet", "densenet121": "cifar100",
        "mobilenetv2": "imagenet", "transformer": "multi30k", "yolov3": "voc"}


@pytest.mark.parametrize("network", SOME)
def test_layers_are_those_of_the_whole_batch_and_all_classes(network):
    """Traced at once instead of for one sample and scaled."""
    dataset = SOME[network]
    workload = DATASETS[dataset]
    with torch.device("meta"):
        model = build(network, form=workload.form, classes=workload.classes)
        extent = 299 if (network, dataset) == ("inceptionv3", "imagenet") else workload.extent
        inputs = [torch.ones(6, extent, dtype=torch.long)] * 2 if dataset == "multi30k" else [torch.empty(6, 3, extent, extent)]
    assert layers(dataset, network, 6) == layer_shapes(model, *inputs)


def test_paper_s_networks_and_data_sets():
    assert len(CLASSIFIERS) == 13
    assert {name: len(workload.networks) for name, workload in DATASETS.items()} == {
        "cifar10": 13, "cifar100": 13, "imagenet": 13, "multi30k": 1, "voc": 1}


@pytest.fixture(scope="module")
def whole():
    return grid()


def test_whole_grid_takes_ten_seconds_at_most_and_a_network_one():
    """In a process that has traced nothing before. The first network also pays for what PyTorch imports then."""
    program = """if True:
        import time
        from adagp.cost.grid import grid
        began = time.process_time()
        networks = grid().networks
        print(time.process_time() - began, *(result.seconds for results in networks.values() for result in results.values()))
    """
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    total, _, *others = map(float, run.stdout.split())
    assert total <= 10 and max(others) <= 1 and len(others) == 40


def test_time_grows_as_the_number_of_layers():
    shapes = layers("cifar10", "resnet152", 77)

    def seconds(times: int) -> float:
        best = float("inf")
        for _ in range(3):
            began = time.process_time()
            NetworkCost(NetworkWork.of(shapes * times), PAPER, Dataflow.ROW_STATIONARY).speedup(Design.MAX, Shares.paper())
            best = min(best, time.process_time() - began)
        return best

    assert seconds(16) < 2 * 8 * seconds(2)


def test_grid_holds_what_each_network_gives(whole):
    result = whole
    cost = network_cost("cifar100", "vgg16", dataflow=Dataflow.OUTPUT_STATIONARY)
    entry = result.networks["cifar100"]["vgg16"]
    assert entry.speedups["OS"] == {design.name: cost.speedup(design, Shares.paper()) for design in DESIGNS}
    assert (entry.b["OS"], entry.alpha["OS"]) == (cost.b, cost.alpha)
    mean = geometric_mean(result.networks["cifar100"][network].speedups["OS"]["MAX"] for network in CLASSIFIERS)
    plain = json.loads(json.dumps(result.as_dict()))
    assert plain["geomean"]["cifar100"]["OS"]["MAX"] == pytest.approx(mean)
    assert plain["maximum"]["cifar100"]["OS"]["MAX"] == max(plain["speedups"]["cifar100"]["OS"]["MAX"].values())
    assert plain["b"]["cifar100"]["OS"]["vgg16"] == cost.b and plain["alpha"]["cifar100"]["OS"]["vgg16"] == cost.alpha


@pytest.mark.parametrize("dataset, average", (("cifar10", 1.46), ("cifar100", 1.46), ("imagenet", 1.48)))
@pytest.mark.parametrize("dataflow", ("WS", "RS", "IS"))
def test_averages_of_max_come_near_the_paper_s(whole, dataset, average, dataflow):
    """Its sections 6.3; RS 1.46, 1.46 and 1.47."""
    assert whole.geomean(dataset, dataflow, "MAX") == pytest.approx(average, abs=0.035)


@pytest.mark.parametrize("dataset, average", (("cifar10", 1.46), ("cifar100", 1.46), ("imagenet", 1.48)))
def test_averages_of_max_are_the_paper_s_where_classifiers_are_not_predicted(dataset, average):
    result = grid(datasets=(dataset,), dataflows=(Dataflow.WEIGHT_STATIONARY,), predictor=Predictor(kinds=("convolution",)))
    assert result.geomean(dataset, "WS", "MAX") == pytest.approx(average, abs=0.006)


def test_no_speedup_beats_what_b_allows(whole):
    for dataset, networks in whole.networks.items():
        for result in networks.values():
            for flow, designs in result.speedups.items():
                assert 1 < designs["LOW"] <= designs["EFFICIENT"] < Shares.paper().speedup(result.b[flow])
                assert designs["MAX"] < Shares.paper().speedup(result.b[flow])


def test_larger_batch_makes_the_predictor_cheaper():
    few, many = (network_cost("cifar10", "vgg13", batch=batch) for batch in (16, 256))
    assert many.alpha < few.alpha / 10


def test_energy_is_saved_where_passes_are_skipped():
    energies = energy_grid(table_name="eyeriss", dataset="cifar10", designs=(Design.MAX,))
    assert set(energies) == set(CLASSIFIERS)
    for designs in energies.values():
        saved = designs["MAX"]["saving"]
        assert saved["memory"] == pytest.approx(1 - designs["MAX"]["memory"] / designs["BASELINE"]["memory"])
        assert 0 < saved["memory"] < float(Shares.paper().gp)


def test_more_elements_speed_up_the_baseline():
    answer = equal_resources(0.1, datasets=("cifar10",))
    assert answer.elements == 198
    assert set(answer.baselines) == set(near_shapes(198))
    for size, speedups in answer.baselines.items():
        costs = [(network_cost("cifar10", network).batch_cycles(Design.BASELINE, Phase.BP),
                  network_cost("cifar10", network, hardware=Hardware(array=size)).batch_cycles(Design.BASELINE, Phase.BP))
                 for network in CLASSIFIERS]
        assert speedups["cifar10"] == pytest.approx(geometric_mean(before / after for before, after in costs))
    size, best = answer.best("cifar10")
    assert best == max(speedups["cifar10"] for speedups in answer.baselines.values()) and size in near_shapes(198)
    assert answer.mean("cifar10") <= best < answer.designs["MAX"]["cifar10"]


def test_near_shapes_use_what_they_may():
    assert set(map(str, near_shapes(198))) == {"13×15", "15×13", "14×14", "11×18", "18×11"}
    assert near_shapes(4) == (ArraySize(rows=2, columns=2),)


@pytest.mark.parametrize("make, message", (
    (lambda: grid(datasets=("mnist",)), "dataset must be one of cifar10, .*, not 'mnist'"),
    (lambda: grid(datasets=("voc",), dataflows=("XS",)), "dataflow must be one of WS, RS, IS, OS, not 'XS'"),
    (lambda: grid(datasets=("voc",), batch=0), "batch must be an integer of at least 1, not 0"),
    (lambda: layers("voc", "vgg13"), "network on voc must be one of yolov3, not 'vgg13'"),
    (lambda: energy_grid(table_name="none"), "table must be one of eyeriss, .*, not 'none'"),
    (lambda: equal_resources(0), "extra must be a share above 0 and at most 1, not 0")))
def test_unknown_names_and_empty_batches_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
