"""A pipeline's events, carried out one by one, train as one device does batch after batch."""

import random
from collections import defaultdict

import pytest
import torch

from adagp.cost.pipelines import Kind, Pipeline, PipelineCost, StageCost, timeline
from adagp.spec.schedule import Phase

DEVICES, MICRO_BATCHES, WIDTH, RATE = 4, 4, 3, 0.3
PHASES = [Phase.WARMUP, Phase.GP, Phase.GP, Phase.BP, Phase.BP, Phase.GP]


def apply(weight, x):
    return torch.tanh(x @ weight.T)


def predicted(weight, outputs):
    """Some gradient that depends on the weights and on the mean of the outputs over the batch."""
    mean = outputs.mean(0)
    return torch.outer(mean, mean) + 0.1 * weight


def problem():
    torch.manual_seed(0)
    weights = [torch.randn(WIDTH, WIDTH, dtype=torch.float64) for _ in range(DEVICES)]
    batches = torch.randn(len(PHASES), MICRO_BATCHES, 5, WIDTH, dtype=torch.float64)
    return weights, batches


def on_one_device():
    weights, batches = problem()
    for phase, batch in zip(PHASES, batches):
        x = batch.flatten(0, 1)
        if phase is Phase.GP:
            for stage, weight in enumerate(weights):
                x = apply(weight, x)
                weights[stage] = weight - RATE * predicted(weight, x)
        else:
            weights = [weight.requires_grad_() for weight in weights]
            for weight in weights:
                x = apply(weight, x)
            gradients = torch.autograd.grad(x.square().mean(), weights)
            weights = [(weight - RATE * gradient).detach() for weight, gradient in zip(weights, gradients)]
    return weights


class Devices:
    """Replicas of stages that have nothing but what events have brought them."""

    def __init__(self, pipeline):
        weights, self.batches = problem()
        self.hosts = [pipeline.hosts(stage, DEVICES) for stage in range(DEVICES)]
        self.weights = {(stage, host): weights[stage] for stage in range(DEVICES) for host in self.hosts[stage]}
        self.outputs, self.graphs, self.upstream = {}, {}, {}
        self.gradients = defaultdict(list)

    def begin(self, event):
        """Reads what is there now; the result becomes visible when it is called."""
        key, stage = (event.batch, event.stage, event.micro_batch), event.stage
        if event.kind is Kind.FORWARD:
            x = self.outputs[event.batch, stage - 1, event.micro_batch] if stage else \
                self.batches[event.batch, event.micro_batch]
            x, weight = x.detach().requires_grad_(), self.weights[stage, event.device].detach().requires_grad_()
            self.graphs[key] = x, weight, apply(weight, x)
            return lambda: self.outputs.update({key: self.graphs[key][2].detach()})
        if event.kind is Kind.BACKWARD:
            x, weight, y = self.graphs.pop(key)
            if stage == DEVICES - 1:
                above = torch.autograd.grad(y.square().mean() / MICRO_BATCHES, [x, weight])
            else:
                above = torch.autograd.grad(y, [x, weight], self.upstream[event.batch, stage + 1, event.micro_batch])
            return lambda: self.end_backward(key, above)
        if event.kind is Kind.PREDICTION:
            outputs = torch.cat([self.outputs[event.batch, stage, each] for each in range(MICRO_BATCHES)])
            weight = self.weights[stage, event.device]
            return lambda: self.weights.update({(stage, event.device): weight - RATE * predicted(weight, outputs)})
        return lambda: None

    def end_backward(self, key, gradients):
        batch, stage, _ = key
        self.upstream[key] = gradients[0]
        self.gradients[batch, stage].append(gradients[1])
        if len(self.gradients[batch, stage]) == MICRO_BATCHES:
            for host in self.hosts[stage]:
                self.weights[stage, host] = self.weights[stage, host] - RATE * sum(self.gradients[batch, stage])


def carry_out(done):
    """At each time what ends comes first, then what takes no time, then what begins."""
    devices, running = Devices(done.pipeline), {}
    moments = []
    for event in done.events:
        moments += [(event.start, 1, event)] if event.start == event.end else [(event.start, 2, event), (event.end, 0, event)]
    for _, what, event in sorted(moments, key=lambda moment: moment[:2]):
        if what:
            running[event] = devices.begin(event)
        if what < 2:
            running.pop(event)()
    return devices.weights


@pytest.mark.parametrize("pipeline", Pipeline)
def test_events_train_as_one_device_does(pipeline):
    rng = random.Random(2)
    uneven = tuple(StageCost(forward=rng.uniform(1, 2), backward=rng.uniform(1, 4), prediction=rng.uniform(0, 1),
                             training=rng.uniform(0, 2)) for _ in range(DEVICES))
    want = on_one_device()
    for costs in (PipelineCost.steps(DEVICES), PipelineCost(stages=uneven),
                  PipelineCost(stages=uneven, predictor_array=True)):
        got = carry_out(timeline(pipeline, PHASES, devices=DEVICES, micro_batches=MICRO_BATCHES, costs=costs))
        for (stage, _), weight in got.items():
            assert torch.allclose(weight, want[stage], rtol=1e-12, atol=1e-12)


def test_the_phases_of_the_test_make_a_difference():
    weights, _ = problem()
    assert all((after - before).abs().max() > 0.1 for before, after in zip(weights, on_one_device()))
