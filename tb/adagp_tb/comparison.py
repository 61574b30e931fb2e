"""The same programs on the RTL and on the golden machine, side by side."""

import numpy as np
import torch
from torch import nn

from adagp.compiler import Training
from adagp.golden import GoldenMachine
from adagp.spec.isa import Pass
from adagp.spec.schedule import Schedule

from .random_programs import MEMORY_BYTES, random_program
from .rtl_machine import RtlMachine

_QUALITIES, _LAYERS = 128, 256


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


def assert_same_programs(rtl: RtlMachine, seed: int) -> None:
    """Runs three random programs on ``rtl``, whose memory has ``MEMORY_BYTES``, and on a golden machine, one after the
    other: what one leaves in the scratchpads must not matter to the next. All of external memory must agree after each, and
    in the end the QUALITY registers and the counters; the bus must have moved the bytes that are counted."""
    golden = GoldenMachine(rtl.config, MEMORY_BYTES)
    for part in range(3):
        program = random_program(rtl.config, 1000 * part + seed, overlap=seed % 4 != 0)
        for machine in (golden, rtl):
            program.place(machine)
            machine.run()
        assert not (text := _different_words(rtl.memory, golden.memory)), f"seed {seed}, program {part}: {text}"
    for index in range(_QUALITIES):
        assert rtl.read(f"QUALITY[{index}]") == golden.read(f"QUALITY[{index}]"), f"seed {seed}: QUALITY[{index}]"
    for layer in range(_LAYERS):
        for machine in (golden, rtl):
            machine.write("LAYER", layer)
        assert rtl.counter("LAYER_MACS") == golden.counter("LAYER_MACS"), f"seed {seed}: LAYER_MACS of {layer}"
    for counter in ("INSTRUCTIONS", "PHASE_BATCHES[3]", *(f"PASS_MACS[{which.value}]" for which in Pass)):
        assert rtl.counter(counter) == golden.counter(counter), f"seed {seed}: {counter}"
    assert rtl.simulation.bytes_written == golden.counter("BYTES_WRITTEN") <= rtl.counter("BYTES_WRITTEN"), f"seed {seed}"
    assert rtl.simulation.bytes_read == rtl.counter("BYTES_READ") + rtl.counter("BYTES_FETCHED"), f"seed {seed}"
    assert rtl.simulation.outstanding == 0, f"seed {seed}"


def _different_words(rtl: np.ndarray, golden: np.ndarray) -> str:
    places = np.flatnonzero(rtl.view(np.uint32) != golden.view(np.uint32))
    return "" if not places.size else (f"{places.size} words differ, first at {4 * places[0]:#x}: "
                                       f"{rtl.view(np.uint32)[places[0]]:#010x}, not {golden.view(np.uint32)[places[0]]:#010x}")
