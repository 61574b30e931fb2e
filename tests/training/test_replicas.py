"""Two processes with a ``DistributedDataParallel`` model each, over gloo."""

from datetime import timedelta
from functools import partial

import pytest
import torch
from torch import distributed, multiprocessing, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from adagp.training import CONTROLS, PREDICTORS, AdaGP, Adaptive, LearnedFeedback, PaperPredictor, Phase, Row, Schedule

from .networks import batches, mixed, same_bits, weights

ADAPTIVE = Schedule(warmup=3, rows=(Row(gp=1, bp=1),), adaptive=Adaptive(least=0, most=3, raise_at=0.3, lower_at=0.2))
CASES = {**{name: (make, {}) for name, make in (PREDICTORS | CONTROLS).items()},
         "some channels": (partial(PaperPredictor, samples=2, lr=0.01), {}),
         "masks": (partial(LearnedFeedback, masks=True), {"gate": 0.2, "schedule": ADAPTIVE}),
         "accumulated": (LearnedFeedback, {"accumulate": 2}),
         "accumulated images": (PaperPredictor, {"accumulate": 2})}

pytestmark = pytest.mark.xdist_group("replicas")  # the processes run once for all


def plain():
    """Without batch normalisation, whose statistics are of a process' own samples."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 10), nn.ReLU(), nn.Linear(10, 4))


def trained(model, samples, make, seed, schedule=Schedule(warmup=3, gp=2, bp=1), accumulate=1, **options):
    """The trainer, after ``samples``; ``seed`` is that of its random numbers."""
    torch.manual_seed(seed)
    adagp = AdaGP(model, torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9), predictor=make(), schedule=schedule,
                  accumulate=accumulate, **options)
    for inputs, labels in samples:
        for _ in range(accumulate if adagp.runs else 0):
            output = model(inputs)
            adagp.backward(functional.cross_entropy(output, labels) / accumulate if adagp.needs_loss else None)
        adagp.step()
    return adagp


def process(rank, folder):
    """Trains with every second sample, and saves what it has then."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2,
                                   timeout=timedelta(seconds=60))
    own = [(inputs[rank::2], labels[rank::2]) for inputs, labels in batches(12, 6)]
    results = {}
    for name, (make, options) in CASES.items():
        for network in (mixed, plain):
            adagp = trained(DistributedDataParallel(network()), own, make, seed=rank, **options)
            results[name, network.__name__] = weights(adagp.model), dict(adagp.batches), str(adagp.quality())
    torch.save(results, f"{folder}/{rank}")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    multiprocessing.spawn(process, (str(folder),), nprocs=2)
    return [torch.load(folder / str(rank), weights_only=False) for rank in range(2)]


@pytest.mark.parametrize("network", ("mixed", "plain"))
@pytest.mark.parametrize("name", CASES)
def test_replicas_stay_the_same(results, name, network):
    """All bits of the weights, all phases, and all that was measured."""
    (one, *told), (other, *also_told) = (result[name, network] for result in results)
    assert same_bits(one, other) and told == also_told


@pytest.mark.parametrize("name", (*PREDICTORS, "zero", "last", "skip", "masks"))
def test_two_halves_of_a_batch_train_like_the_whole(results, name):
    assert results[0][name, "plain"][1][Phase.GP]
    make, options = CASES[name]
    adagp = trained(plain(), batches(12, 6), make, seed=0, **options)
    assert adagp.batches == results[0][name, "plain"][1]
    for one, other in zip(weights(adagp.model), results[0][name, "plain"][0]):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
