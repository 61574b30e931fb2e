"""The array engine with its memories, at the speed of compiled C++."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from adagp.spec.isa import Array, Engine, encode
from adagp_hdl.array.engine import ArrayEngine
from adagp_hdl.interfaces import instruction_bits
from adagp_hdl.memory.operand import OperandMemory
from adagp_hdl.memory.vector import NEGATIVE_ZERO
from adagp_hdl.verilog import convert

from .verilator import NETLIST_OPTIMISE, build

_DRIVER = Path(__file__).parent / "array.cpp"


def _power_of_two(value: int) -> int:
    return 1 << (value - 1).bit_length()


class ArrayHarness(wiring.Component):
    """An array engine and the memories around it, which a host port of one element fills and reads.

    ``host_select``: 0 stream, 1 stationary, 2 vector memory (by element). ``host_read`` shows a vector
    element two cycles after its address.
    """

    def __init__(self, rows: int, columns: int, elements: int, words: int):
        self._rows, self._columns, self._elements, self._words = rows, columns, elements, words
        self.lanes = _power_of_two(columns)
        super().__init__({
            "order": In(instruction_bits(Engine.ARRAY)), "order_valid": In(1), "order_ready": Out(1),
            "done": Out(1), "busy": Out(1), "tag": Out(2), "macs": Out(16),
            "host_write": In(1), "host_select": In(2), "host_address": In(20), "host_data": In(32),
            "host_read": Out(32)})

    def elaborate(self, platform):
        m = Module()
        rows, columns = self._rows, self._columns
        m.submodules.engine = engine = ArrayEngine(
            rows=rows, columns=columns, stream_lanes=_power_of_two(rows), stationary_lanes=self.lanes,
            vector_lanes=self.lanes, vector_words=self._words)
        m.d.comb += [engine.instruction.payload.eq(self.order), engine.instruction.valid.eq(self.order_valid),
                     self.order_ready.eq(engine.instruction.ready), self.done.eq(engine.done),
                     self.busy.eq(engine.busy), self.tag.eq(engine.tag), self.macs.eq(engine.macs)]
        for select, (name, lanes, port) in enumerate((("stream", _power_of_two(rows), engine.stream),
                                                      ("stationary", self.lanes, engine.stationary))):
            m.submodules[name] = memory = OperandMemory(lanes=lanes, elements=self._elements)
            wiring.connect(m, memory.read, port)
            m.d.comb += [
                memory.write.enable.eq(self.host_write & (self.host_select == select)),
                memory.write.address.eq(self.host_address),
                memory.write.mask.eq(1 << self.host_address[:(lanes - 1).bit_length()]),
                *(lane.eq(self.host_data[:16]) for lane in memory.write.data)]
        self._vector_memory(m, engine)
        return m

    def _vector_memory(self, m, engine):
        """Reads in two cycles; the host uses the ports while the engine is idle."""
        lanes = self.lanes
        m.submodules.vector = memory = Memory(shape=32 * lanes, depth=self._words, init=[])
        read, write = memory.read_port(), memory.write_port(granularity=32)
        word, lane = self.host_address[lanes.bit_length() - 1:], self.host_address[:lanes.bit_length() - 1]
        data, granted = Signal(32 * lanes), Signal(2)
        lanes_asked = [Signal(len(lane), name=f"lane{i}") for i in range(2)]
        asked, wanted = engine.accumulator_read, engine.accumulator_write
        m.d.sync += [data.eq(read.data), granted.eq(Cat(asked.valid, granted)),
                     lanes_asked[0].eq(lane), lanes_asked[1].eq(lanes_asked[0])]
        m.d.comb += [
            asked.ready.eq(1), wanted.ready.eq(1),
            asked.data.eq(Mux(granted[1], data, Const(NEGATIVE_ZERO, 32).replicate(lanes))),
            read.en.eq(1), read.addr.eq(word), self.host_read.eq(data.word_select(lanes_asked[1], 32)),
            write.addr.eq(word), write.data.eq(self.host_data.replicate(lanes)),
            write.en.eq((self.host_write & (self.host_select == 2)).replicate(lanes) & (1 << lane)[:lanes]),
        ]
        with m.If(asked.valid):
            m.d.comb += read.addr.eq(asked.address)
        with m.If(wanted.valid):
            m.d.comb += [write.addr.eq(wanted.address), write.data.eq(wanted.data), write.en.eq(wanted.mask)]


@dataclass(frozen=True, kw_only=True)
class ArrayRun:
    """What a run did. ``cycles``: from the first instruction offered to the last done. ``macs``: per pass."""

    vector: np.ndarray
    cycles: int
    macs: tuple[int, ...]


class CompiledArray:
    """An :class:`ArrayHarness`, compiled from its Verilog, or from what ``synthesise`` makes of that."""

    def __init__(self, rows: int, columns: int, elements: int = 4096, words: int = 512,
                 synthesise: Callable[[str], str] | None = None):
        harness = ArrayHarness(rows, columns, elements, words)
        self.rows, self.columns, self.lanes, self.elements, self.words = rows, columns, harness.lanes, elements, words
        verilog = convert(harness, name="top")
        library = build(synthesise(verilog), _DRIVER, optimise=NETLIST_OPTIMISE) if synthesise else build(verilog, _DRIVER)
        self._library = ctypes.CDLL(str(library))
        self._library.run.restype = ctypes.c_uint64

    def __call__(self, instructions: list[Array], stream: np.ndarray, stationary: np.ndarray, vector: np.ndarray, *,
                 stall_probability: float = 0.0, seed: int = 1) -> ArrayRun:
        """Runs ``instructions`` on copies of the memories: ``stream`` and ``stationary`` uint16 (elements,),
        ``vector`` uint32 (words, lanes). An instruction is held back in a cycle with
        ``stall_probability``. Raises ``TimeoutError`` when the engine does not finish, or finishes more than it got."""
        stream, stationary = (np.ascontiguousarray(x, dtype=np.uint16) for x in (stream, stationary))
        vector = np.array(vector, dtype=np.uint32, order="C")
        for name, value, shape in (("stream", stream, (self.elements,)), ("stationary", stationary, (self.elements,)),
                                   ("vector", vector, (self.words, self.lanes))):
            if value.shape != shape:
                raise ValueError(f"{name} must have the shape {shape}, not {value.shape}")
        program = np.frombuffer(b"".join(encode(instruction) for instruction in instructions), np.uint32).copy()
        macs = (ctypes.c_uint64 * 4)()
        pointer = [x.ctypes.data_as(ctypes.c_void_p) for x in (program, stream, stationary, vector)]
        cycles = self._library.run(
            pointer[0], ctypes.c_uint32(len(instructions)), pointer[1], pointer[2], ctypes.c_uint32(self.elements),
            pointer[3], ctypes.c_uint32(vector.size), ctypes.c_uint32(int(stall_probability * 2 ** 32)),
            ctypes.c_uint32(seed), macs)
        if cycles == 2 ** 64 - 1:
            raise TimeoutError(f"the engine did not complete {len(instructions)} instructions (seed {seed})")
        return ArrayRun(vector=vector, cycles=cycles, macs=tuple(macs))


@cache
def compiled_array(rows: int, columns: int, elements: int = 4096, words: int = 512,
                   synthesise: Callable[[str], str] | None = None) -> CompiledArray:
    """The compiled array of this shape."""
    return CompiledArray(rows, columns, elements, words, synthesise)
