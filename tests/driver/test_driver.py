"""The C driver against a software model of the registers."""

import ctypes

import numpy as np
import pytest

from adagp.driver.image import schedule_c
from adagp.golden import GoldenMachine
from adagp.spec.identity import configuration_digest
from adagp.spec.isa import FaultCause
from adagp.spec.registers import REGISTERS, offset
from adagp.spec.schedule import Phase
from binding import (ABSENT, ARGUMENT, BUSY, CONFIGURATION, DONE_EVENT, EVALUATE, FAULT, FAULT_EVENT, IDLE_CORE, OK,
                     RUNNING, STALLED_POLLS, STAY, TIMEOUT, VERSION, WORD, CounterValues, Device, Driver, FaultReport,
                     Identity)
from job import ADDRESS, BATCHES, SCHEDULES, job
from register_model import NEVER, RegisterModel

LONG = 100_000


class Host:
    """The driver on the model of a core with the job's image in its memory."""

    def __init__(self, driver, *, read=None, **options):
        self.driver = driver
        self.model = RegisterModel(GoldenMachine(job().training.config, job().memory_bytes), **options)
        self.image = driver.definition("image")
        job().place(self.model.golden.memory)
        self.device = Device(driver, read or self.model.read, self.model.write)

    def load(self, schedule="brief", image="image", address=ADDRESS):
        return self.device.load(self.driver.definition(image), self.driver.definition(schedule), address)

    def fault(self) -> FaultReport:
        result, report = self.device.filled("fault", FaultReport)
        assert result == OK
        return report


@pytest.fixture
def host(driver):
    return Host(driver)


def test_probe_tells_the_configuration(host):
    result, identity = host.device.filled("probe", Identity)
    config = job().training.config
    assert result == OK and identity.configuration == configuration_digest(config)
    assert (identity.version_major, identity.version_minor, identity.version_patch) == (0, 1, 0)
    assert (identity.register_map, identity.instruction_set) == (1, 1)
    for name in ("design", "rows", "columns", "bus_bytes", "stream_elements", "stationary_elements", "vector_words",
                 "vector_lanes", "predictor_rows", "predictor_columns", "predictor_elements"):
        assert getattr(identity, name) == getattr(config, name), name
    assert host.device.probe(None) == OK and host.model.writes == []


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_load_writes_what_the_compiler_configures(host, schedule):
    class Recorder(dict):
        memory = job().contents
        write = dict.__setitem__

    want, (rule, options) = Recorder(), SCHEDULES[schedule]
    job().training.configure(want, BATCHES, rule, **options)
    for path in want:
        if "ADDRESS" in path or path.startswith(("BASE[", "WINDOW")):
            want[path] += ADDRESS
    assert host.load(schedule) == OK
    paths = {register.offset: path for path, register in REGISTERS.items()}
    got = {paths[where]: value for where, value in host.model.writes}
    unused_base = {path: ADDRESS for path in got if path.startswith("BASE[")}
    reset = {path: sum(field.reset << field.lsb for field in REGISTERS[path].fields) for path in got}
    assert got == reset | unused_base | {path: value for path, value in want.items() if path != "BATCHES"}


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_runs_leave_the_golden_bits(host, schedule):
    assert host.load(schedule) == OK
    for batches in (BATCHES, 3):
        assert host.device.start(batches, 0) == OK
        assert host.device.poll() == RUNNING
        assert host.device.wait(LONG) == OK == host.device.poll()
    reference = job().reference(schedule, BATCHES, 3)
    assert np.array_equal(job().of(host.model.golden.memory), reference.memory)
    assert host.device.filled("batch", WORD)[1].value == BATCHES + 3
    result, counters = host.device.filled("counters", CounterValues)
    assert result == OK and counters.instructions == reference.counter("INSTRUCTIONS") > 0
    assert list(counters.pass_macs) == [reference.counter(f"PASS_MACS[{i}]") for i in range(4)]
    assert list(counters.phase_batches) == [reference.counter(f"PHASE_BATCHES[{i}]") for i in range(6)]
    assert counters.bytes_written == reference.counter("BYTES_WRITTEN") > 0
    assert host.device.quality(0, ctypes.byref(bits := WORD())) == OK and bits.value == reference.read("QUALITY[0]")


def test_epoch_of_one_batch_visits_it_again_and_again(host):
    before = [ADDRESS + base for base in job().training.bases(BATCHES)]
    assert host.load("one_batch") == OK and host.device.start(3, 0) == OK and host.device.wait(LONG) == OK
    assert [host.model.golden.read(f"BASE[{i}]") for i in range(8)] == before


def test_evaluation_of_chosen_samples_moves_no_parameter(host):
    assert host.load() == OK and host.device.start(2, 0) == OK and host.device.wait(LONG) == OK
    before = host.model.golden.memory.copy()
    assert host.device.seek(host.image, ADDRESS, BATCHES - 1) == OK
    assert host.model.golden.read("ORDER") == BATCHES - 1
    assert host.device.start(1, EVALUATE | STAY) == OK and host.device.wait(LONG) == OK
    reference = job().reference("brief", 2)
    job().training.seek(reference, BATCHES, BATCHES - 1)
    for register, value in (("MODE", EVALUATE | STAY << 1), ("BATCHES", 1)):
        reference.write(register, value)
    reference.run()
    assert np.array_equal(job().of(host.model.golden.memory), reference.memory)
    weights = [tensor for name, tensor in job().training.tensors.items() if name.endswith(".weight")]
    for tensor in weights:
        first = ADDRESS + tensor.offset
        assert np.array_equal(host.model.golden.memory[first:first + tensor.bytes], before[first:first + tensor.bytes])
    assert len(weights) >= 2
    assert host.device.filled("batch", WORD)[1].value == 2
    assert host.device.start(1, 0) == OK and host.model.golden.read("MODE") == 0


def test_interrupts_follow_what_was_enabled(host):
    host.load()
    assert host.device.interrupt_enable(DONE_EVENT | FAULT_EVENT) == OK
    assert host.device.interrupt() == 0
    for event, fault in ((DONE_EVENT, None), (FAULT_EVENT, (FaultCause.READ_ERROR, ADDRESS))):
        host.model.fault_next = fault
        host.device.start(1, 0)
        host.device.wait(LONG)
        assert host.model.irq and host.device.interrupt() == event
        assert not host.model.irq and host.device.interrupt() == 0
    host.device.recover(LONG)
    assert host.device.interrupt_enable(FAULT_EVENT) == OK
    host.device.start(1, 0)
    assert host.device.wait(LONG) == OK and not host.model.irq
    assert host.device.start(1, 0) == OK and host.model.golden.read("INTERRUPT_PENDING") == 0, "that of the former run"


@pytest.mark.parametrize("acknowledged", (False, True))
def test_the_event_of_a_polled_run_interrupts_unless_acknowledged_before(acknowledged, host):
    host.load()
    host.device.start(1, 0)
    assert host.device.wait(LONG) == OK and not host.model.irq
    if acknowledged:
        assert host.device.interrupt() == DONE_EVENT
    assert host.device.interrupt_enable(DONE_EVENT | FAULT_EVENT) == OK
    assert host.model.irq == (not acknowledged)


def test_events_that_are_enabled_after_a_start_are_of_its_run(host):
    host.load()
    host.device.start(1, 0)
    host.device.wait(LONG)
    host.device.start(1, 0)
    host.device.interrupt_enable(DONE_EVENT | FAULT_EVENT)
    assert not host.model.irq
    assert host.device.wait(LONG) == OK and host.model.irq


@pytest.mark.parametrize("polls", [0, 1, 7])
def test_time_out_without_a_clock_counts_polls(driver, polls):
    host = Host(driver, run_accesses=NEVER)
    reads = []
    host.device = Device(driver, lambda where: reads.append(where) or host.model.read(where), host.model.write)
    host.load()
    host.device.start(1, 0)
    reads.clear()
    assert host.device.wait(polls) == TIMEOUT
    assert reads == [offset("STATUS")] * (polls + 1)
    assert host.device.poll() == RUNNING, "the run goes on"


@pytest.mark.parametrize("start", [0, 0xFFFF_FF00])
def test_time_out_with_a_clock_counts_its_ticks(driver, start):
    host = Host(driver, run_accesses=NEVER)
    time, calls = [start], []

    def idle():
        calls.append(time[0])
        time[0] += 60

    host.device = Device(driver, host.model.read, host.model.write, now=lambda: time[0], idle=idle)
    host.load()
    host.device.start(1, 0)
    assert host.device.wait(1000) == TIMEOUT
    assert start + 1000 <= time[0] < start + 1000 + 60 and len(calls) == -(-1000 // 60)


def test_clock_that_stands_still_is_a_time_out(driver):
    host = Host(driver, run_accesses=NEVER)
    reads = []
    host.device = Device(driver, lambda where: reads.append(where) or host.model.read(where), host.model.write,
                         now=lambda: 5)
    host.load()
    host.device.start(1, 0)
    reads.clear()
    assert host.device.wait(0xFFFFFFFF) == TIMEOUT and len(reads) == STALLED_POLLS


@pytest.mark.parametrize("value", [0, 0xFFFFFFFF])
def test_bus_without_a_core_gives_errors(host, driver, value):
    writes = []
    device = Device(driver, lambda _: value, lambda *write: writes.append(write))
    identity = Identity(rows=77)
    assert device.probe(ctypes.byref(identity)) == ABSENT and identity.rows == 77
    assert device.load(host.image, driver.definition("brief"), ADDRESS) == ABSENT
    assert device.wait(10) == device.poll() == (ABSENT if value else IDLE_CORE)
    assert device.recover(10) == ABSENT
    assert device.interrupt() == 0 and writes == []


@pytest.mark.parametrize("after", range(0, 200, 7))
def test_core_that_goes_away_ends_every_call(driver, after):
    """From some access on the bus answers with ones."""
    host, count = Host(driver, run_accesses=50), [0]

    def read(where):
        count[0] += 1
        return host.model.read(where) if count[0] <= after else 0xFFFFFFFF

    host.device = Device(driver, read, host.model.write)
    results = [host.load(), host.device.start(1, 0), host.device.wait(100), host.device.recover(100)]
    assert set(results) <= {OK, ABSENT} and (ABSENT in results) == (count[0] > after)


@pytest.mark.parametrize("cause", [cause for cause in FaultCause if cause])
def test_every_fault_is_reported_and_recovered(host, driver, cause):
    assert host.load() == OK and host.fault().cause == FaultCause.NONE
    host.model.fault_next = (cause, ADDRESS + 0x40)
    assert host.device.start(2, 0) == OK and host.device.wait(LONG) == FAULT
    report = host.fault()
    assert (report.cause, report.address, report.batch) == (cause, ADDRESS + 0x40, 0)
    name = driver.text("adagp_fault_name", cause)
    assert name not in ("no fault", "unknown fault")
    writes = len(host.model.writes)
    assert host.device.start(1, 0) == host.load() == host.device.seek(host.image, ADDRESS, 0) == FAULT
    assert len(host.model.writes) == writes, "a fault stays until a recovery"
    assert host.device.recover(LONG) == OK and host.device.poll() == IDLE_CORE
    assert host.fault().cause == FaultCause.NONE
    assert host.device.start(1, 0) == OK and host.device.wait(LONG) == OK
    assert np.array_equal(job().of(host.model.golden.memory), job().reference("brief", 1).memory)


def test_fault_of_a_program_names_phase_and_batch_and_a_second_run_is_exact(host):
    """The program of Phase GP is gone: the third batch stops at its first instruction."""
    assert host.load("epochs") == OK
    place = ADDRESS + job().training.program_addresses[Phase.GP]
    host.model.golden.memory[place:place + 64] = 0
    assert host.device.start(BATCHES, 0) == OK and host.device.wait(LONG) == FAULT
    report = host.fault()
    assert (report.cause, report.address) == (FaultCause.ILLEGAL_INSTRUCTION, place)
    assert (report.phase, report.batch) == (Phase.GP, 2)
    assert host.device.recover(LONG) == OK
    job().place(host.model.golden.memory)
    assert host.load("epochs") == OK
    assert host.device.start(BATCHES, 0) == OK and host.device.wait(LONG) == OK
    assert np.array_equal(job().of(host.model.golden.memory), job().reference("epochs", BATCHES).memory)


def test_recovery_of_a_run_that_never_ends(driver):
    host = Host(driver, run_accesses=NEVER)
    host.load()
    host.device.start(1, 0)
    assert host.device.wait(20) == TIMEOUT and host.device.recover(20) == OK
    assert host.device.poll() == IDLE_CORE
    host.model.run_accesses = 4
    assert host.device.start(BATCHES, 0) == OK and host.device.wait(LONG) == OK
    assert np.array_equal(job().of(host.model.golden.memory), job().reference("brief", BATCHES).memory)


def test_recovery_from_a_memory_that_never_answers_is_a_time_out(driver):
    host = Host(driver, run_accesses=NEVER, drain_accesses=NEVER)
    host.load()
    host.device.start(1, 0)
    assert host.device.recover(20) == TIMEOUT and host.device.poll() == RUNNING


def test_running_core_is_left_alone(driver):
    host = Host(driver, run_accesses=NEVER)
    host.load()
    host.device.start(1, 0)
    writes = len(host.model.writes)
    assert host.load() == host.device.start(1, 0) == BUSY
    assert host.device.seek(host.image, ADDRESS, 1) == host.device.clear_counters() == BUSY
    assert len(host.model.writes) == writes
    assert host.device.write_back() == OK and host.model.writes[-1] == (offset("CONTROL"), 8)


def test_write_back_needs_a_run(host):
    host.load()
    assert host.device.write_back() == IDLE_CORE
    host.device.start(1, 0)
    host.device.wait(LONG)
    writes = len(host.model.writes)
    assert host.device.write_back() == IDLE_CORE and len(host.model.writes) == writes


def test_image_that_does_not_fit_is_refused_before_anything_is_written(host):
    assert host.load(image="image_for_another_core") == CONFIGURATION
    assert host.load(image="image_of_another_instruction_set") == VERSION
    assert host.model.writes == []


def test_core_with_another_register_map_is_refused(host, driver):
    version = offset("INTERFACE")
    host.device = Device(driver, lambda where: host.model.read(where) + (where == version), host.model.write)
    result, identity = host.device.filled("probe", Identity)
    assert result == VERSION and identity.register_map == 2
    assert host.load() == VERSION and host.model.writes == []


def wrong(text, **changes):
    """``text`` of a C definition with another value for some of its fields."""
    for name, value in changes.items():
        before, _, rest = text.partition(f".{name} = ")
        assert rest, name
        end = rest.index("},\n") + 1 if rest.startswith("{") else rest.index(",\n")
        text = f"{before}.{name} = {value}{rest[end:]}"
    return text


image, brief, adaptive = job().image.c("bad"), *(
    schedule_c("bad", SCHEDULES[name][0]) for name in ("brief", "adaptive"))
BAD = {
    "no bytes": wrong(image, bytes="0u"), "no batches": wrong(image, batches="0u"),
    "program beyond the image": wrong(image, programs="{{0u, 4294967232u}}"),
    "program misaligned": wrong(image, programs="{{32u, 64u}}"),
    "base beyond the image": wrong(image, bases="{{4294967295u, 0u}}"),
    "epoch longer than the image": wrong(brief, epoch_batches=f"{BATCHES + 1}u"),
    "step longer than the epoch": wrong(brief, order_step=f"{BATCHES + 1}u"),
    "step with a divisor of the epoch": wrong(brief, epoch_batches="4u", order_step="2u"),
    "row without batches": wrong(brief, rows="{{3u, 1u, 1u}, {0u, 0u, 0u}}"),
    "adaptive row without Phase BP": wrong(adaptive, rows="{{0u, 1u, 0u}}"),
    "bounds crossed": wrong(adaptive, least="10u"), "no patience": wrong(adaptive, patience="0u"),
}


@pytest.fixture(scope="module")
def bad_driver(tmp_path_factory):
    """A driver with each of :data:`BAD` under its name with underscores, and ``full``, all of whose rows end."""
    full = wrong(schedule_c("full", SCHEDULES["eight_rows"][0]), rows=f"{{{', '.join(['{9u, 1u, 1u}'] * 8)}}}")
    texts = (text.replace(" bad = ", f" {name.replace(' ', '_')} = ") for name, text in BAD.items())
    return Driver(tmp_path_factory.mktemp("bad"), "".join(texts) + full + job().definitions())


@pytest.mark.parametrize("name", BAD)
def test_definition_that_breaks_a_rule_is_refused(host, bad_driver, name):
    accesses = []
    device = Device(bad_driver, lambda where: accesses.append(where) or host.model.read(where),
                    lambda *write: accesses.append(write))
    bad = name.replace(" ", "_")
    image, schedule = (bad, "brief") if "adagp_image" in BAD[name] else ("image", bad)
    load = [bad_driver.definition(image), bad_driver.definition(schedule), ADDRESS]
    assert device.load(*load) == ARGUMENT and accesses == []


def test_last_of_eight_rows_goes_on_for_ever(host, bad_driver):
    device = Device(bad_driver, host.model.read, host.model.write)
    assert device.load(bad_driver.definition("image"), bad_driver.definition("full"), ADDRESS) == OK
    assert [host.model.golden.read(f"SCHEDULE[{row}].BATCHES") for row in range(8)] == [9] * 7 + [0]


def test_arguments_that_break_a_rule_touch_nothing(host, driver):
    accesses = []
    device = Device(driver, accesses.append, lambda *write: accesses.append(write))
    short = driver.definition("brief")
    assert device.load(host.image, short, ADDRESS + 32) == ARGUMENT
    assert device.load(host.image, short, 0xFFFF_FFC0) == ARGUMENT
    assert device.load(None, short, ADDRESS) == device.load(host.image, None, ADDRESS) == ARGUMENT
    assert device.seek(host.image, ADDRESS, BATCHES) == device.start(1, 4) == device.interrupt_enable(4) == ARGUMENT
    assert device.layer(256, None, None) == device.quality(128, ctypes.byref(WORD())) == ARGUMENT
    assert device.counters(None) == device.fault(None) == device.batch(None) == device.quality(0, None) == ARGUMENT
    for broken in ({"read": type(device.struct.read)()}, {"write": type(device.struct.write)()},
                   {"read": type(device.struct.read)(), "write": type(device.struct.write)()}):
        kept = {name: getattr(device.struct, name) for name in broken}
        for name, value in broken.items():
            setattr(device.struct, name, value)
        assert device.probe(None) == device.poll() == device.wait(1) == device.recover(1) == ARGUMENT
        assert device.interrupt() == 0
        for name, value in kept.items():
            setattr(device.struct, name, value)
    assert accesses == []


def test_registers_in_memory_need_no_functions(driver):
    registers = (WORD * 1024)()
    registers[offset("ID") // 4], registers[offset("INTERFACE") // 4] = 0x0ADA6B00, 0x0101
    registers[offset("STATUS") // 4] = 0b10
    device = Device(driver, None, None)
    device.struct.read, device.struct.write = type(device.struct.read)(), type(device.struct.write)()
    device.struct.registers = ctypes.addressof(registers)
    assert device.probe(None) == OK == device.poll() and device.start(9, 0) == OK
    assert registers[offset("BATCHES") // 4] == 9 and registers[offset("CONTROL") // 4] == 1


def test_counters_are_read_in_one_piece(host):
    """All of them often carry into the high half between two accesses; each value was once there."""
    names = [path.removesuffix(".LO") for path in REGISTERS if path.endswith(".LO")]
    first = {name: 977 * index for index, name in enumerate(names)}
    step, accesses = 0x6000_0001, [0]

    def read(where):
        accesses[0] += 1
        host.model.counters = {name: value + step * accesses[0] for name, value in first.items()}
        return host.model.read(where)

    def was_there(path, value):
        steps, rest = divmod(value - first[path], step)
        return not rest and 0 < steps <= accesses[0]

    device = Device(host.driver, read, host.model.write)
    result, values = device.filled("counters", CounterValues)
    assert result == OK
    for field, _ in CounterValues._fields_:
        value, name = getattr(values, field), field.upper()
        for index, each in enumerate([value] if isinstance(value, int) else value):
            path = name if isinstance(value, int) else f"{name}[{index}]"
            assert was_there(path, each), path
    cycles, macs = ctypes.c_uint64(), ctypes.c_uint64()
    assert device.layer(3, ctypes.byref(cycles), ctypes.byref(macs)) == OK
    assert was_there("LAYER_CYCLES", cycles.value) and was_there("LAYER_MACS", macs.value)
    assert host.model.golden.read("LAYER") == 3


def test_counters_are_cleared(host):
    host.load()
    host.device.start(1, 0)
    host.device.wait(LONG)
    assert host.device.filled("counters", CounterValues)[1].instructions > 0
    assert host.device.clear_counters() == OK
    assert host.device.filled("counters", CounterValues)[1].instructions == 0


def test_results_have_names_of_their_own(driver):
    names = [driver.text("adagp_result_name", result) for result in range(TIMEOUT, RUNNING + 1)]
    assert len(set(names)) == len(names) and "unknown result" not in names
    assert driver.text("adagp_result_name", -99) == "unknown result"
    causes = [driver.text("adagp_fault_name", cause) for cause in FaultCause]
    assert len(set(causes)) == len(causes) and driver.text("adagp_fault_name", 99) == "unknown fault"
