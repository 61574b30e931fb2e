"""Switching activity of the simulated RTL in the course of a training."""

import torch
from torch import nn

from adagp.spec.config import preset
from adagp.spec.isa import INSTRUCTION_BYTES, Engine, decode
from adagp.spec.schedule import Phase, Schedule
from adagp_flows.simulation import compile_workload
from adagp_flows.synthesis.training_activity import record
from adagp_flows.workload import Workload

TINY = preset("tiny")


def test_every_instruction_of_the_batches_is_seen_to_end():
    torch.manual_seed(0)
    work = Workload(model=nn.Sequential(nn.Flatten(), nn.Linear(8, 2)), data=torch.randn(12, 2, 2, 2), labels=torch.arange(12) % 2,
                    test_data=torch.randn(4, 2, 2, 2), test_labels=torch.arange(4) % 2, batch=4, epochs=1, schedule=Schedule(warmup=0))
    activity = record(work, TINY, batches=2)
    program = compile_workload(work, TINY).programs[Phase.BP]
    engines = [decode(program[at:at + INSTRUCTION_BYTES]).engine for at in range(0, len(program), INSTRUCTION_BYTES)]
    cycles = int(activity.source.rpartition(", ")[2].split()[0])
    for engine, name in ((Engine.LOAD, "load_engine"), (Engine.ARRAY, "array_engine"), (Engine.VECTOR, "vector_engine"),
                         (Engine.STORE, "store_engine")):
        transitions, share = activity.signals[f"{name}.done"][0] * cycles
        assert round(share) == 2 * engines.count(engine), engine
        assert 0 < transitions <= 2 * round(share)
    assert activity.source.startswith("RTL, 2 batches of 4 samples of Phase BP, Sequential, ")
    assert all(((0 <= values) & (values <= 1)).all() for values in activity.signals.values())
