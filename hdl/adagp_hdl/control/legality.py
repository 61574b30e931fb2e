"""Which instructions a machine executes."""

from dataclasses import fields
from enum import IntEnum

from amaranth.hdl import Const, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import INSTRUCTION_BYTES, INSTRUCTIONS, Engine, Memory, Opcode

from ..interfaces import ENGINE_OPCODES, engines_of, instruction_layout, memories_of


class Legality(wiring.Component):
    """Checks one instruction against the rules of :mod:`adagp.spec.isa`. No latency.

    Illegal are: an unknown opcode; a count or length of zero; an enumeration out of range; more
    columns than the array has; a lane that the vector unit lacks; a transposed load that is dense,
    goes to VECTOR or has a count0 above the lanes of its memory; what the design lacks: an engine in
    ``wait`` or ``signal``, its opcode and memories, ``local``.
    """

    instruction: In(8 * INSTRUCTION_BYTES)
    legal: Out(1)

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        engines = engines_of(self._config.design)
        absent = Const(sum(1 << engine for engine in Engine if engine not in engines), len(Engine))
        with m.Switch(self.instruction[:4]):
            for opcode in (*(opcode for engine in engines for opcode in ENGINE_OPCODES[engine]), Opcode.END):
                view = instruction_layout(opcode)(self.instruction[:instruction_layout(opcode).size])
                breaches = [(view.wait | view.signal) & absent, *self._breaches(opcode, view)]
                with m.Case(opcode.value):
                    m.d.comb += self.legal.eq(~_any(breaches))
        return m

    def _breaches(self, opcode: Opcode, view) -> list:
        """Conditions, each of which makes an instruction of ``opcode`` illegal."""
        config, breaches = self._config, []
        for field in fields(INSTRUCTIONS[opcode]):
            if _must_not_be_zero(field.name):
                breaches.append(view[field.name] == 0)
            elif isinstance(field.type, type) and issubclass(field.type, IntEnum):
                most = max(memories_of(config)) if field.type is Memory else max(field.type)
                if most + 1 < 1 << len(view[field.name]):
                    breaches.append(view[field.name] > most)
        if opcode in (Opcode.ARRAY, Opcode.PREDICTOR_ARRAY):
            array = config.array if opcode is Opcode.ARRAY else config.predictor_array
            breaches.append(view.columns > array.columns)
        if opcode is Opcode.VECTOR and config.vector_lanes < 1 << len(view.lane):
            breaches.append(view.lane >= config.vector_lanes)
        if opcode in (Opcode.LOAD, Opcode.STORE) and not config.design.has_predictor_memory:
            breaches.append(view.local)
        if opcode is Opcode.LOAD:
            too_many = [(view.memory == memory) & (view.count0 > lanes)
                        for memory, lanes in memories_of(config).items() if memory.holds_operands]
            breaches.append(view.transpose & (view.dense | (view.memory == Memory.VECTOR) | _any(too_many)))
        return breaches


def _must_not_be_zero(name: str) -> bool:
    return name in ("length", "columns") or name.rstrip("012").endswith("count")


def _any(conditions: list):
    result = Const(0)
    for condition in conditions:
        result = result | condition.any() if len(condition) > 1 else result | condition
    return result
