"""A compiled training on the RTL and on the golden machine, side by side."""

import numpy as np
import torch
from torch import nn

from adagp.compiler import Training
from adagp.golden import GoldenMachine
from adagp.spec.isa import Pass
from adagp.spec.schedule import Schedule

from .rtl_machine import RtlMachine

_QUALITIES = 128


def difference(training: Training, rtl: np.ndarray, golden: np.ndarray) -> str:
    """Where two external memories first differ, and in which tensor; empty if they do not."""
    if np.array_equal(rtl, golden):
        return ""
    address = int(np.flatnonzero(rtl != golden)[0])
    owner = next((name for name, tensor in training.tensors.items()
                  if tensor.base == 0 and tensor.offset <= address < tensor.offset + tensor.bytes), "no tensor")
    return f"byte {address:#x} ({owner}) is {rtl[address]:#04x} on the RTL and {golden[address]:#04x} on the golden machine"


def assert_same_training(training: Training, model: nn.Module, data: torch.Tensor, labels: torch.Tensor,
                         schedule: Schedule, rtl: RtlMachine, golden: GoldenMachine, context: str = "") -> None:
    """Trains on both machines batch by batch. After every batch all of external memory must agree, and
    the QUALITY registers; in the end what is counted of multiply-accumulates, too. An AssertionError
    begins with ``context``."""
    batches, predictor = len(data) // training.batch, training.new_predictor()
    for machine in (rtl, golden):
        training.image(machine.memory, model, data, labels, predictor)
        training.configure(machine, batches, schedule)
        machine.write("BATCHES", 1)
    for batch in range(batches):
        for machine in (rtl, golden):
            machine.run()
        where = f"{context}: batch {batch}"
        assert not (text := difference(training, rtl.memory, golden.memory)), f"{where}: {text}"
        for index in range(_QUALITIES if batch == batches - 1 else 1):
            assert rtl.read(f"QUALITY[{index}]") == golden.read(f"QUALITY[{index}]"), f"{where}: QUALITY[{index}]"
    _assert_same_counters(training, rtl, golden, context)


def _assert_same_counters(training: Training, rtl: RtlMachine, golden: GoldenMachine, context: str) -> None:
    for which in Pass:
        name = f"PASS_MACS[{which.value}]"
        assert rtl.counter(name) == golden.counter(name), f"{context}: {name}"
    for number, layer in enumerate(training.layers):
        for machine in (rtl, golden):
            machine.write("LAYER", number)
        assert rtl.counter("LAYER_MACS") == golden.counter("LAYER_MACS"), f"{context}: LAYER_MACS of {layer.name}"
