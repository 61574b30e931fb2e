"""Interfaces between the components of the machine.

Engines share one shape: a stream of instructions in program order, a ``done`` pulse per completed
instruction in the same order, and a fault report. Queues and tokens are outside the engines, so an
engine may overlap the end of an instruction with the start of the next.
"""

from amaranth.hdl import unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from adagp.spec.config import AcceleratorConfig, Design
from adagp.spec.isa import FIELDS, HEADER, Engine, Memory, Opcode

ADDRESS_BITS = 32
"""Width of an external byte address."""

SCRATCHPAD_ADDRESS_BITS = 20
"""Width of an element address in a scratchpad."""


def instruction_layout(opcode: Opcode) -> data.StructLayout:
    """Fields of an instruction from its bit 0: header, then the fields of ``opcode``."""
    return data.StructLayout({name: unsigned(width) for name, width in (HEADER | FIELDS[opcode]).items()})


#: Instructions that each engine executes.
ENGINE_OPCODES = {
    Engine.LOAD: (Opcode.LOAD, Opcode.FILL),
    Engine.ARRAY: (Opcode.ARRAY,),
    Engine.PREDICTOR: (Opcode.PREDICTOR_ARRAY,),
    Engine.VECTOR: (Opcode.VECTOR,),
    Engine.STORE: (Opcode.STORE,),
}


def engines_of(design: Design) -> tuple[Engine, ...]:
    """The engines that a machine of ``design`` has."""
    return tuple(engine for engine in Engine if engine is not Engine.PREDICTOR or design.has_predictor_array)


def instruction_bits(engine: Engine) -> int:
    """Low bits of an instruction that the queue of ``engine`` keeps."""
    return max(instruction_layout(opcode).size for opcode in ENGINE_OPCODES[engine])


#: A fault, reported for one cycle or longer; the first one stops the machine.
Fault = data.StructLayout({"valid": 1, "cause": 4, "address": ADDRESS_BITS})


class EngineSignature(wiring.Signature):
    """Control side of an engine.

    ``instruction`` carries the low :func:`instruction_bits` bits of an instruction, already checked
    to be legal, whose tokens have been taken. ``done`` is high for one cycle per instruction, in
    order, when all its effects are complete. ``busy`` is high while the engine holds an
    instruction that is not done. After ``halt`` rises the engine starts nothing new on the bus;
    ``quiet`` is high when nothing of it is outstanding there (engines without a bus: always).
    """

    def __init__(self, engine: Engine):
        super().__init__({
            "instruction": In(stream.Signature(unsigned(instruction_bits(engine)))),
            "done": Out(1),
            "busy": Out(1),
            "halt": In(1),
            "quiet": Out(1),
            "fault": Out(Fault),
        })


def memories_of(config: AcceleratorConfig) -> dict[Memory, int]:
    """The scratchpads that the machine has, in the order of their codes, and their lanes."""
    lanes = {Memory.STREAM: config.stream_lanes, Memory.STATIONARY: config.stationary_lanes,
             Memory.VECTOR: config.vector_lanes}
    if config.design.has_predictor_array:
        lanes |= {Memory.PREDICTOR_STREAM: config.predictor_array.stream_lanes,
                  Memory.PREDICTOR_STATIONARY: config.predictor_array.stationary_lanes}
    return lanes


class OperandWrite(wiring.Signature):
    """Write of those of the ``lanes`` consecutive operands from ``address`` on whose ``mask`` is high. Operand a of the
    memory and its mask are in lane a mod ``lanes``.

    Always accepted.
    """

    def __init__(self, lanes: int, operand_bits: int = 16):
        super().__init__({
            "enable": Out(1),
            "address": Out(SCRATCHPAD_ADDRESS_BITS),
            "data": Out(data.ArrayLayout(operand_bits, lanes)),
            "mask": Out(lanes),
        })


class OperandRead(wiring.Signature):
    """Read of ``lanes`` consecutive operands from ``address``. ``data`` is valid a fixed number of
    cycles after ``enable`` (``OperandMemory.LATENCY``). Always accepted."""

    def __init__(self, lanes: int, operand_bits: int = 16):
        super().__init__({
            "enable": Out(1),
            "address": Out(SCRATCHPAD_ADDRESS_BITS),
            "data": In(data.ArrayLayout(operand_bits, lanes)),
        })


class VectorRead(wiring.Signature):
    """Read of one word of the vector memory. Granted when ``valid`` and ``ready``; ``data`` is valid
    ``VectorMemory.LATENCY`` cycles after the grant, until that of the next grant. The array's port is
    always ready. With ``selects`` the value of lane ``lane`` is in ``lane_data``, at the same time."""

    def __init__(self, lanes: int, word_bits: int = 16, *, selects: bool = False):
        super().__init__({
            "valid": Out(1),
            "ready": In(1),
            "address": Out(word_bits),
            "data": In(data.ArrayLayout(32, lanes)),
            **({"lane": Out(range(lanes)), "lane_data": In(32)} if selects else {}),
        })


class VectorWrite(wiring.Signature):
    """Write of the lanes in ``mask`` of one word of the vector memory, complete in the cycle in
    which ``valid`` and ``ready``: a read granted later sees it. The array's port is always ready."""

    def __init__(self, lanes: int, word_bits: int = 16):
        super().__init__({
            "valid": Out(1),
            "ready": In(1),
            "address": Out(word_bits),
            "data": Out(data.ArrayLayout(32, lanes)),
            "mask": Out(lanes),
        })


class BeatRead(wiring.Signature):
    """Read of one of ``beats`` beats of a memory on chip. ``data`` is valid a fixed number of cycles
    after ``enable`` (``PredictorMemory.LATENCY``), for one cycle. Always accepted."""

    def __init__(self, beats: int, bus_bits: int):
        super().__init__({"enable": Out(1), "address": Out(range(beats)), "data": In(bus_bits)})


class BeatWrite(wiring.Signature):
    """Write of those operands of a beat whose ``strobe`` is high. Always accepted."""

    def __init__(self, beats: int, bus_bits: int):
        super().__init__({"enable": Out(1), "address": Out(range(beats)), "data": Out(bus_bits),
                          "strobe": Out(bus_bits // 16)})


#: A program reports ``value`` (float32 bits) in the register QUALITY[``index``]. Always accepted.
Report = data.StructLayout({"valid": 1, "index": 7, "value": 32})


#: A contiguous piece of memory: first byte and number of bytes (at least 1).
Run = data.StructLayout({"address": ADDRESS_BITS, "bytes": ADDRESS_BITS})


class AxiReadSignature(wiring.Signature):
    """AR and R channels of an AXI4 manager. Bursts are INCR, full bus width."""

    def __init__(self, bus_bits: int, id_bits: int):
        super().__init__({
            "arid": Out(id_bits), "araddr": Out(ADDRESS_BITS), "arlen": Out(8), "arsize": Out(3),
            "arburst": Out(2), "arlock": Out(1), "arcache": Out(4), "arprot": Out(3), "arqos": Out(4),
            "arvalid": Out(1), "arready": In(1),
            "rid": In(id_bits), "rdata": In(bus_bits), "rresp": In(2), "rlast": In(1),
            "rvalid": In(1), "rready": Out(1),
        })


class AxiWriteSignature(wiring.Signature):
    """AW, W and B channels of an AXI4 manager. Bursts are INCR, full bus width."""

    def __init__(self, bus_bits: int, id_bits: int):
        super().__init__({
            "awid": Out(id_bits), "awaddr": Out(ADDRESS_BITS), "awlen": Out(8), "awsize": Out(3),
            "awburst": Out(2), "awlock": Out(1), "awcache": Out(4), "awprot": Out(3), "awqos": Out(4),
            "awvalid": Out(1), "awready": In(1),
            "wdata": Out(bus_bits), "wstrb": Out(bus_bits // 8), "wlast": Out(1),
            "wvalid": Out(1), "wready": In(1),
            "bid": In(id_bits), "bresp": In(2), "bvalid": In(1), "bready": Out(1),
        })


class AxiLiteSignature(wiring.Signature):
    """AXI4-Lite subordinate, 32-bit data, seen from the subordinate."""

    def __init__(self, address_bits: int = 12):
        super().__init__({
            "awaddr": In(address_bits), "awprot": In(3), "awvalid": In(1), "awready": Out(1),
            "wdata": In(32), "wstrb": In(4), "wvalid": In(1), "wready": Out(1),
            "bresp": Out(2), "bvalid": Out(1), "bready": In(1),
            "araddr": In(address_bits), "arprot": In(3), "arvalid": In(1), "arready": Out(1),
            "rdata": Out(32), "rresp": Out(2), "rvalid": Out(1), "rready": In(1),
        })
