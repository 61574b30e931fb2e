"""Which instructions a machine executes."""

from dataclasses import fields
from enum import IntEnum

from amaranth.hdl import Const, Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import INSTRUCTION_BYTES, INSTRUCTIONS, Engine, Memory, Opcode

from ..interfaces import ENGINE_OPCODES, instruction_layout


class Legality(wiring.Component):
    """Checks one instruction against the rules of :mod:`adagp.spec.isa`. No latency.

    Illegal are: an unknown opcode; a count or length of zero; an enumeration out of range; more
    columns than the array has; a transposed load that is dense, goes to VECTOR or has a count0
    above the lanes of its memory; an engine in ``wait`` or ``signal`` that the design lacks.
    ``End`` has no tokens: its ``wait`` and ``signal`` are not looked at.
    """

    instruction: In(8 * INSTRUCTION_BYTES)
    legal: Out(1)

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        absent = Const(sum(1 << engine for engine in Engine if engine not in ENGINE_OPCODES), len(Engine))
        with m.Switch(self.instruction[:4]):
            for opcode in Opcode:
                view = instruction_layout(opcode)(self.instruction[:instruction_layout(opcode).size])
                breaches = [] if opcode is Opcode.END else [(view.wait | view.signal) & absent]
                with m.Case(opcode.value):
                    m.d.comb += self.legal.eq(~_any(breaches + self._breaches(opcode, view)))
        return m

    def _breaches(self, opcode: Opcode, view) -> list:
        """Conditions, each of which makes an instruction of ``opcode`` illegal."""
        breaches = []
        for field in fields(INSTRUCTIONS[opcode]):
            if _must_not_be_zero(field.name):
                breaches.append(view[field.name] == 0)
            elif isinstance(field.type, type) and issubclass(field.type, IntEnum):
                if max(field.type) + 1 < 1 << len(view[field.name]):
                    breaches.append(view[field.name] > max(field.type))
        if opcode is Opcode.ARRAY:
            breaches.append(view.columns > self._config.columns)
        if opcode is Opcode.LOAD:
            lanes = Mux(view.memory == Memory.STREAM, self._config.stream_lanes, self._config.stationary_lanes)
            breaches.append(view.transpose & (view.dense | (view.memory == Memory.VECTOR) | (view.count0 > lanes)))
        return breaches


def _must_not_be_zero(name: str) -> bool:
    return name in ("length", "columns") or name.rstrip("012").endswith("count")


def _any(conditions: list):
    result = Const(0)
    for condition in conditions:
        result = result | condition.any() if len(condition) > 1 else result | condition
    return result
