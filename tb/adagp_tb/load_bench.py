"""Drives a load engine and keeps the memories that it writes."""

import random

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from adagp.spec.isa import Engine, FaultCause, Memory, encode
from adagp_hdl.interfaces import instruction_bits, memories_of
from adagp_tb.cocotb_runner import bench_config, bench_parameters
from adagp_tb.external_memory import BusMonitor, PagedMemory
from adagp_tb.stimulus import start_clock
from adagp_tb.transfer_model import TransferModel


async def until(dut, condition, cycles: int = 5000):
    for _ in range(cycles):
        await RisingEdge(dut.clk)
        if condition():
            return
    assert False, f"not within {cycles} cycles"


class LoadBench:
    """Drives instructions, keeps the memories that the engine writes, and watches the order."""

    def __init__(self, dut, seed: int, backpressure: float = 0):
        parameters = bench_parameters()
        self.seed = parameters["seed"] * 1000 + seed
        self.dut, self.random, self.backpressure = dut, random.Random(self.seed), backpressure
        self.config = bench_config()
        self.external = PagedMemory(self.seed)
        self.model = TransferModel(self.config, self.external, self.seed)
        self.model.bases = [self.random.randrange(1 << 32) for _ in range(8)]
        self.memories = {memory: list(values) for memory, values in self.model.memories.items()}
        self.written = self.issued = self.done = self.local_beats = 0
        self.due: list[int] = []  # elements written when the instruction is done
        self.fault = None

    async def start(self):
        dut = self.dut
        start_clock(dut)
        dut.rst.value = 1
        dut.instruction__valid.value = dut.halt.value = dut.axi__rvalid.value = dut.axi__arready.value = 0
        dut.bases.value = sum(base << 32 * i for i, base in enumerate(self.model.bases))
        dut.window_first.value, dut.window_last.value = self.model.window
        dut.vector_write__ready.value = 1
        await ClockCycles(dut.clk, 3)
        dut.rst.value = 0
        cocotb.start_soon(self._watch())
        if self.config.design.has_predictor_memory:
            cocotb.start_soon(self._serve_local())
        self.bus = BusMonitor(dut, ("r",), bus_bytes=self.config.bus_bytes, burst_beats=self.config.burst_beats,
                              window=self.model.window)

    async def _watch(self):
        dut = self.dut
        operand_ports = [(memory, *self._port(f"{memory.name.lower()}_write", ("address", "data", "mask", "enable")))
                         for memory in self.memories if memory.holds_operands]
        vector = self._port("vector_write")
        while True:
            await RisingEdge(dut.clk)
            if dut.rst.value:
                self.due, self.fault, self.issued, self.done, self.written = [], None, 0, 0, 0
                continue
            for memory, address, data, mask, enable in operand_ports:
                if enable.value:
                    self._write(memory, int(address.value), int(data.value), int(mask.value), 16, rotated=True)
            if dut.vector_write__valid.value and dut.vector_write__ready.value:
                address, data, mask = vector
                self._write(Memory.VECTOR, int(address.value) * self.config.vector_lanes, int(data.value),
                            int(mask.value), 32)
            if dut.done.value:
                assert self.due and self.written >= self.due[0], "done before the last write"
                self.due.pop(0)
                self.done += 1
            if (fault := int(dut.fault.value)) & 1:
                self.fault = self.fault or (FaultCause(fault >> 1 & 15), fault >> 5)
            assert dut.busy.value or self.done == self.issued, "not busy, but not done"
            dut.vector_write__ready.value = self.random.random() >= self.backpressure

    async def _serve_local(self):
        """Answers the reads of the predictor memory; its data is there for one cycle only."""
        port, size = self._port("local_read", ("enable", "address", "data")), self.config.bus_bytes
        enable, address, data = port
        read = None
        while True:
            await RisingEdge(self.dut.clk)
            data.value = self.random.getrandbits(8 * size) if read is None else int.from_bytes(read, "little")
            first = int(address.value) * size
            read = self.model.local[first:first + size] if enable.value else None
            self.local_beats += read is not None

    def _port(self, name: str, signals=("address", "data", "mask")):
        return [getattr(self.dut, f"{name}__{signal}") for signal in signals]

    def _write(self, memory: Memory, first: int, data: int, mask: int, bits: int, rotated: bool = False):
        """Of lanes from ``first`` on, or ``rotated``, where the lane is the place modulo the lanes."""
        values, lanes = self.memories[memory], memories_of(self.config)[memory]
        assert mask, "write of nothing"
        for lane in range(lanes):
            if mask >> lane & 1:
                place = first + ((lane - first) % lanes if rotated else lane)
                values[place % len(values)] = data >> lane * bits & ((1 << bits) - 1)
                self.written += 1

    async def issue(self, instruction, expect: bool = True):
        """Hands the instruction over and executes it in the model."""
        dut = self.dut
        if expect:
            self.model.execute(instruction)
        size = instruction.length * instruction.count0 * instruction.count1 * instruction.count2
        self.due.append((self.due[-1] if self.due else self.written) + size)
        bits = int.from_bytes(encode(instruction), "little")
        dut.instruction__payload.value = bits & ((1 << instruction_bits(Engine.LOAD)) - 1)
        dut.instruction__valid.value = 1
        while True:
            await RisingEdge(dut.clk)
            if dut.instruction__ready.value:
                break
        self.issued += 1
        dut.instruction__valid.value = 0

    async def stop(self):
        """Halts, waits for the bus, resets."""
        dut = self.dut
        dut.instruction__valid.value = 0
        dut.halt.value = 1
        await ClockCycles(dut.clk, 2)
        await until(dut, lambda: dut.quiet.value)
        dut.rst.value = 1
        await RisingEdge(dut.clk)
        dut.rst.value = dut.halt.value = 0
        await ClockCycles(dut.clk, 2)

    async def finish(self):
        for _ in range(20000):
            await RisingEdge(self.dut.clk)
            if not self.due:
                break
        assert not self.due, f"{len(self.due)} instructions are not done"
        assert self.fault is None, f"fault {self.fault}"
        await ClockCycles(self.dut.clk, 5)
        assert not self.dut.busy.value and self.dut.quiet.value
        for memory, values in self.model.memories.items():
            differ = [n for n, (got, want) in enumerate(zip(self.memories[memory], values)) if got != want]
            assert not differ, (f"{len(differ)} elements of {memory.name} differ, first {differ[0]:#x}: "
                                f"{self.memories[memory][differ[0]]:#x}, not {values[differ[0]]:#x}")
