"""Takes a program apart: instructions go to the queues of their engines, faults are found."""

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import INSTRUCTION_BYTES, FaultCause, Opcode

from ..interfaces import ADDRESS_BITS, ENGINE_OPCODES, Fault, engines_of, instruction_bits
from .legality import Legality
from .queue import EngineQueue, Tokens

#: What fetch hands over: an instruction, or (``overrun``) that none is left. ``address`` is its own.
Fetched = data.StructLayout({"word": 8 * INSTRUCTION_BYTES, "address": ADDRESS_BITS, "overrun": 1})

_SETTLED = 8  # cycles without any progress before a deadlock is reported


class Dispatch(wiring.Component):
    """Sends instructions to their engines in program order and ends the batch.

    An instruction is checked one cycle after it is there and leaves for its queue in the next if
    there is room. What ends a program (``End``, an illegal instruction, no instruction left) waits
    until all engines have been idle for a cycle: everything before it has had its effects. Then ``done`` is high for
    one cycle, or ``fault`` until a reset: ILLEGAL_INSTRUCTION, OVERRUN, TOKEN (tokens left over).
    A counter of tokens that overflows is a TOKEN fault in the next cycle. When no queue and no engine can ever
    move again the fault is DEADLOCK, with the address of the first instruction that is not in a
    queue. ``dispatched`` is high for one cycle per instruction, End included.

    Each engine that the design has has a port of its name in lower case:
    the stream ``instruction`` and the pulse ``done``. After ``halt`` nothing more is handed out.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config, self._engines = config, engines_of(config.design)
        super().__init__({
            "i": In(stream.Signature(Fetched)), "done": Out(1), "dispatched": Out(1), "halt": In(1),
            "fault": Out(Fault),
            **{engine.name.lower(): Out(wiring.Signature({
                "instruction": Out(stream.Signature(unsigned(instruction_bits(engine)))),
                "done": In(1)})) for engine in self._engines}})

    def elaborate(self, platform):
        m = Module()
        m.submodules.legality = legality = Legality(self._config)
        m.submodules.tokens = tokens = Tokens(self._engines)
        queues = self._queues(m, tokens)
        word = self.i.payload.word
        checked = Signal()
        legal = Signal()
        ends = Signal()
        all_idle = Signal()  # a cycle ago, and no instruction has left since if the one that is checked ends the program
        m.d.comb += legality.instruction.eq(word)
        m.d.sync += [all_idle.eq(Cat(queue.idle for queue in queues.values()).all()),
                     checked.eq(self.i.valid & ~self.i.ready), legal.eq(legality.legal & ~self.i.payload.overrun),
                     ends.eq(~legality.legal | self.i.payload.overrun | (word[:4] == Opcode.END))]

        with m.If(checked & ~self.halt):
            with m.If(ends):
                m.d.comb += self.i.ready.eq(all_idle & legal & tokens.empty)
            with m.Else(), m.Switch(word[:4]):
                for engine in self._engines:
                    with m.Case(*(opcode.value for opcode in ENGINE_OPCODES[engine])):
                        m.d.comb += [queues[engine].i.valid.eq(1), self.i.ready.eq(queues[engine].i.ready)]
        m.d.comb += [self.dispatched.eq(self.i.ready), self.done.eq(self.i.ready & ends)]
        self._find_faults(m, queues, tokens, checked & ends & all_idle, legal, checked & ~self.i.ready)
        return m

    def _queues(self, m: Module, tokens: Tokens) -> dict:
        queues = {}
        for i, engine in enumerate(self._engines):
            port = getattr(self, engine.name.lower())
            queue = queues[engine] = EngineQueue(engine, self._config.queue_depth)
            m.submodules[f"{engine.name.lower()}_queue"] = queue
            wiring.connect(m, queue.o, wiring.flipped(port.instruction))
            m.d.comb += [
                queue.i.payload.instruction.eq(self.i.payload.word),
                queue.i.payload.address.eq(self.i.payload.address),
                queue.done.eq(port.done), queue.halt.eq(self.halt), queue.available.eq(tokens.available[i]),
                tokens.wait[i].eq(queue.wait), tokens.take[i].eq(queue.take), tokens.give[i].eq(queue.give)]
        return queues

    def _find_faults(self, m: Module, queues: dict, tokens: Tokens, ended, legal, stopped):
        """``ended``: all before the last instruction is done; ``stopped``: none leaves now."""
        still = Signal(range(_SETTLED + 1))
        stuck = Cat(queue.stuck for queue in queues.values())
        moving = Cat(~queue.stuck & ~queue.idle for queue in queues.values()).any()
        with m.If(~stopped | moving | ~stuck.any()):
            m.d.sync += still.eq(0)
        with m.Elif(still != _SETTLED):
            m.d.sync += still.eq(still + 1)

        fault = self.fault
        m.d.comb += fault.address.eq(self.i.payload.address)
        with m.If(ended & self.i.payload.overrun):
            m.d.comb += [fault.valid.eq(1), fault.cause.eq(FaultCause.OVERRUN)]
        with m.Elif(ended & ~legal):
            m.d.comb += [fault.valid.eq(1), fault.cause.eq(FaultCause.ILLEGAL_INSTRUCTION)]
        with m.Elif(ended & ~tokens.empty):
            m.d.comb += [fault.valid.eq(1), fault.cause.eq(FaultCause.TOKEN)]
        with m.Elif(still == _SETTLED):
            m.d.comb += [fault.valid.eq(1), fault.cause.eq(FaultCause.DEADLOCK)]
        for queue, overflow in zip(queues.values(), tokens.overflow, strict=True):
            with m.If(overflow):
                m.d.comb += [fault.valid.eq(1), fault.cause.eq(FaultCause.TOKEN), fault.address.eq(queue.giver)]
