"""The driver against a small bus master that copies memory and breaks rules on demand."""

import re
from pathlib import Path

import numpy as np
import pytest

from adagp_tb import verilator
from adagp_tb.simulation import DRIVER, BusViolation, Simulation

START, SOURCE, TARGET, LENGTH, BREACH, BURSTS, STATUS = range(0, 28, 4)
COPIER = Path(__file__).with_name("copier.v").read_text()


def copier(bus_bits=64, memory_bytes=1 << 16, **options):
    library = verilator.build(COPIER.replace("BUS_BITS = 64", f"BUS_BITS = {bus_bits}"), DRIVER)
    simulation = Simulation(library, memory_bytes, **options)
    simulation.memory[:] = np.random.default_rng(1).integers(0, 256, memory_bytes)
    return simulation


def start(simulation, *, source=0, target=0x8000, beats=8, bursts=4, breach=0):
    for register, value in ((SOURCE, source), (TARGET, target), (LENGTH, beats - 1), (BURSTS, bursts),
                            (BREACH, breach), (START, 1)):
        assert simulation.write(register, value) == 0


def copy(simulation, **parameters):
    start(simulation, **parameters)
    simulation.run(100_000)


@pytest.mark.parametrize("options", [
    {}, {"latency": 0}, {"latency": 7, "interval": 3}, {"stall_probability": 0.5, "seed": 3},
    {"stall_probability": 0.9, "seed": 4, "interleave": True, "outstanding": 1}])
@pytest.mark.parametrize("bus_bits", [64, 128, 512])
def test_copies_every_byte(bus_bits, options):
    simulation = copier(bus_bits, **options)
    size = 8 * bus_bits // 8 * 4
    want = simulation.memory.copy()
    want[0x8000:0x8000 + size] = want[:size]
    copy(simulation)
    assert np.array_equal(simulation.memory, want)
    assert (simulation.bytes_read, simulation.bytes_written, simulation.outstanding) == (size, size, 0)


def cycles_of(**options):
    simulation = copier(**options)
    start(simulation, beats=64, bursts=1)
    before = simulation.cycles
    simulation.run(100_000)
    return simulation.cycles - before


def test_latency_counts_once_per_burst_and_interval_per_beat():
    base = cycles_of(latency=10)
    assert cycles_of(latency=50) == base + 2 * 40  # one read and one write burst
    assert cycles_of(latency=10, interval=3) == base + 2 * 2 * 63  # a wait between beats, not before the first


def test_stalls_depend_on_the_seed_only():
    assert cycles_of(stall_probability=0.3, seed=1) == cycles_of(stall_probability=0.3, seed=1)
    assert len({cycles_of(stall_probability=0.3, seed=seed) for seed in range(5)}) > 1


def test_write_reaches_memory_with_its_response():
    simulation = copier(latency=1000)
    before = simulation.memory.copy()
    start(simulation, bursts=1)
    with pytest.raises(TimeoutError, match="no interrupt within 1500 cycles"):
        simulation.run(1500)  # after the last beat, before the response
    assert np.array_equal(simulation.memory, before) and simulation.outstanding == 1
    simulation.run(1000)
    assert not np.array_equal(simulation.memory, before)


@pytest.mark.parametrize("breach, message", [
    (1, "AR changed before ARREADY, address 0x"), (2, "AR changed before ARREADY"),
    (3, "AW changed before AWREADY, address 0x"), (4, "W changed before WREADY"),
    (5, "WLAST is 1 on beat 1 of 8 at 0x00008000"), (6, "WLAST is 0 on beat 8 of 8"),
    (7, "AR burst type 1, size 2")])
def test_breach_is_reported(breach, message):
    simulation = copier(stall_probability=0.5)
    with pytest.raises(BusViolation, match=f"cycle [0-9]+: m_axi: {message}"):
        copy(simulation, bursts=20, breach=breach)


def test_crossing_4_kib_is_reported():
    copy(copier(), source=0x1000 - 64, bursts=1)
    with pytest.raises(BusViolation, match="AR burst of 8 beats at 0x00000fc8 crosses 4 KiB"):
        copy(copier(), source=0x1000 - 56, bursts=1)
    with pytest.raises(BusViolation, match="AW burst of 8 beats at 0x00001ff8 crosses 4 KiB"):
        copy(copier(), target=0x2000 - 8, bursts=1)


def test_write_beyond_the_memory_is_reported_and_harmless():
    simulation = copier(memory_bytes=0x8010)
    with pytest.raises(BusViolation, match="write to 0x00008010, beyond the memory"):
        copy(simulation, bursts=1)
    assert np.array_equal(simulation.memory[0x8000:], simulation.memory[:0x10])


def test_errors_are_answered_where_injected():
    simulation = copier()
    before = simulation.memory.copy()
    simulation.inject(read_error=0x87)
    copy(simulation)
    assert simulation.read(STATUS) == (0, 2)
    copy(simulation, source=0x88, target=0x9000)
    assert simulation.read(STATUS) == (0, 0)
    simulation.inject(write_error=0x8087)
    copy(simulation, source=0x4000)
    assert simulation.read(STATUS) == (0, 8)
    assert np.array_equal(simulation.memory[0x8080:0x80c0], before[0x80:0xc0])  # what the first copy left
    assert np.array_equal(simulation.memory[0x80c0:0x8100], before[0x40c0:0x4100])
    copy(simulation, source=1 << 20)
    assert simulation.read(STATUS)[1] & 3 == 3  # no memory there: DECERR


def test_reset_forgets_the_bus():
    simulation = copier(latency=200)
    start(simulation)
    with pytest.raises(TimeoutError):
        simulation.run(50)
    assert simulation.outstanding == 1
    simulation.reset()
    assert simulation.outstanding == 0
    copy(simulation)
    assert np.array_equal(simulation.memory[0x8000:0x8100], simulation.memory[:0x100])


def test_registers_answer_under_stalls():
    simulation = copier(stall_probability=0.7, seed=9)
    for value in range(50):
        simulation.write(SOURCE, value * 0x01234567 & 0xFFFFFFFF)
        simulation.write(TARGET, ~value & 0xFFFFFFFF)
        assert simulation.read(SOURCE) == (0, value * 0x01234567 & 0xFFFFFFFF)
        assert simulation.read(TARGET) == (0, ~value & 0xFFFFFFFF)


def test_two_machines_of_one_library_do_not_share_state():
    first, second = copier(), copier()
    first.write(SOURCE, 1)
    second.write(SOURCE, 2)
    assert (first.read(SOURCE)[1], second.read(SOURCE)[1]) == (1, 2)
    first.close()
    assert second.read(SOURCE)[1] == 2


@pytest.mark.parametrize("name, value", [("latency", -1), ("interval", 0), ("stall_probability", 1.0), ("memory_bytes", 0)])
def test_impossible_memory_is_refused(name, value):
    with pytest.raises(ValueError, match=f"Simulation.{name} must be .*, not {value}"):
        copier(**{name: value})


def test_trace_is_written(tmp_path):
    library = verilator.build(COPIER, DRIVER, trace=True)
    simulation = Simulation(library, 1 << 16, trace=tmp_path / "copy.vcd")
    copy(simulation)
    simulation.close()
    text = (tmp_path / "copy.vcd").read_text()
    assert "m_axi_araddr" in text and f"#{2 * 100}\n" in text


def test_watched_signal_changes_as_in_the_trace(tmp_path):
    control = tmp_path / "copier.vlt"
    control.write_text('`verilator_config\npublic_flat_rd -module "copier" -var "sent"\n')
    simulation = Simulation(verilator.build(COPIER, DRIVER, control=control, trace=True), 1 << 16,
                            trace=tmp_path / "copy.vcd")
    assert simulation.signals == {"copier.sent"}
    simulation.watch("copier.sent")
    begin = simulation.cycles
    copy(simulation, beats=5)
    changes = simulation.changes("copier.sent").tolist()
    simulation.close()
    text = (tmp_path / "copy.vcd").read_text()
    code = re.search(r"\$var wire +8 (\S+) sent ", text)[1]
    traced = [[int(time) // 2, int(value, 2)] for time, values in re.findall(r"^#(\d+)\n([^#]*)", text, re.MULTILINE)
              for value in re.findall(rf"^b([01]+) {re.escape(code)}$", values, re.MULTILINE)]
    assert len(changes) > 10 and changes[0][0] == begin
    # the trace has what the clock changes in its rising half, which the next cycle is the first to see
    assert changes[1:] == [[cycle + 1, value] for cycle, value in traced if cycle >= begin]


def test_toggles_are_those_of_the_watched_signal(tmp_path):
    control = tmp_path / "copier.vlt"
    control.write_text('`verilator_config\npublic_flat_rd -module "copier" -var "sent"\n')
    simulation = Simulation(verilator.build(COPIER, DRIVER, control=control, trace=True), 1 << 16)
    copy(simulation, beats=3)
    simulation.watch("copier.sent")
    simulation.count_toggles()
    begin = simulation.cycles
    copy(simulation, beats=5)
    changes = simulation.changes("copier.sent").astype(int)
    toggles = simulation.toggles()
    values, lasts = changes[:, 1], np.append(changes[1:, 0], simulation.cycles)
    for bit, counted in enumerate(toggles["copier.sent"].tolist()):
        ones = values >> bit & 1
        assert counted == [np.count_nonzero(np.diff(ones)), np.sum(ones * (lasts - changes[:, 0]))]
    assert changes[0, 0] == begin and toggles["copier.sent"][0, 0] > 3
    assert toggles["copier.aclk"].tolist() == [[0, 0]]  # it is low at the end of every cycle
    assert len(toggles["copier.m_axi_wdata"]) == 64


def test_toggles_are_refused_without_a_trace(tmp_path):
    with pytest.raises(RuntimeError, match="toggles are counted once"):
        copier().count_toggles()


def test_unknown_signal_is_refused():
    with pytest.raises(ValueError, match="signals must be among \\(none\\), not 'copier.sent'"):
        copier().watch("copier.sent")
