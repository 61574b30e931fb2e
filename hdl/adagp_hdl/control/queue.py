"""In-order queues of instructions and the tokens between them."""

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from adagp.spec.isa import TOKEN_LIMIT, Engine

from ..bus.fifo import Fifo
from ..interfaces import ADDRESS_BITS, instruction_bits
from ..memory.attributes import BLOCK, UNCHECKED

IN_FLIGHT = 16
"""Most instructions that an engine holds without having finished one."""

_INDEX_BITS = ADDRESS_BITS - 6

_EARLY = (Engine.LOAD, Engine.STORE)
"""Engines that compute with an instruction as it comes, where block memory would be too slow."""


class Tokens(wiring.Component):
    """A counter of tokens for every ordered pair of ``engines``, an engine and itself included.

    For the queue of ``engines[i]``: ``wait[i]`` is the set of engines that it wants a token
    from; ``available[i]`` says that they are all there; ``take[i]`` takes them in this cycle.
    ``give[i]`` is the set of engines that get a token from i in this cycle. ``overflow[i]`` is high from
    the cycle after i gave a token to a counter that was at its limit. ``empty``: all are zero.
    """

    def __init__(self, engines: tuple[Engine, ...]):
        self._engines = engines
        count, members = len(engines), {"empty": Out(1)}
        for name, flow, width in (("wait", In, len(Engine)), ("take", In, 1), ("give", In, len(Engine)),
                                  ("available", Out, 1), ("overflow", Out, 1)):
            members[name] = flow(width).array(count)
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        there, engines = {}, self._engines  # whether there is a token: registers, as what they decide takes its time
        overflow = [[] for _ in engines]
        for g, giver in enumerate(engines):
            for t, taker in enumerate(engines):
                name = f"{giver.name}_{taker.name}".lower()
                count, there[giver, taker] = Signal(range(TOKEN_LIMIT + 2), name=name), Signal(name=f"{name}_there")
                give, take = self.give[g][taker], self.take[t] & self.wait[t][giver]
                with m.If(give ^ take):
                    m.d.sync += [count.eq(count + Cat(1, take.replicate(len(count) - 1))),  # one more, or with take one less
                                 there[giver, taker].eq(give | (count != 1))]
                overflow[g].append(count[-1])
        for i, engine in enumerate(engines):
            m.d.comb += [
                self.available[i].eq(Cat(there[giver, engine] | ~self.wait[i][giver] for giver in engines).all()),
                self.overflow[i].eq(Cat(overflow[i]).any())]
        m.d.comb += self.empty.eq(~Cat(there.values()).any())
        return m


class EngineQueue(wiring.Component):
    """The instructions of one engine, in order, and the tokens that they take and give.

    ``i`` takes the low bits of an instruction and its address; ``o`` hands the instruction to the
    engine once its tokens are taken. The head takes the tokens of ``wait`` in the cycle in which
    ``available`` is high and ``take`` says so, and is offered in the next; at best one instruction
    leaves every two cycles. ``done`` of the engine makes ``give`` the set of engines that get a
    token, in the same cycle, and ``giver`` from the next cycle on the instruction's address. With ``halt`` nothing more
    is taken. ``idle``: neither queue nor engine hold an instruction; ``stuck``: the engine holds
    none and the head waits for tokens.
    """

    def __init__(self, engine: Engine, depth: int):
        bits = instruction_bits(engine)
        self._depth = depth
        self._attributes = BLOCK if engine not in _EARLY else UNCHECKED
        self._shape = data.StructLayout({"instruction": bits, "address": ADDRESS_BITS})
        super().__init__({
            "i": In(stream.Signature(self._shape)), "o": Out(stream.Signature(unsigned(bits))),
            "done": In(1), "halt": In(1), "available": In(1),
            "wait": Out(len(Engine)), "take": Out(1), "give": Out(len(Engine)), "giver": Out(ADDRESS_BITS),
            "idle": Out(1), "stuck": Out(1)})

    def elaborate(self, platform):
        m = Module()
        bits = self._shape["instruction"].width
        m.submodules.waiting = waiting = Fifo(len(Engine), self._depth)
        m.submodules.running = running = Fifo(len(Engine) + _INDEX_BITS, IN_FLIGHT)
        granted, leaves = Signal(), Signal()
        giver = Signal(_INDEX_BITS, reset_less=True)
        head = self._bodies(m, self.i.valid & self.i.ready, leaves)
        m.d.comb += [
            leaves.eq(self.o.valid & self.o.ready), self.giver.eq(giver << (ADDRESS_BITS - _INDEX_BITS)),
            waiting.i.valid.eq(self.i.valid), waiting.i.payload.eq(self.i.payload.instruction[4:9]),
            self.i.ready.eq(waiting.i.ready), waiting.o.ready.eq(leaves), self.wait.eq(waiting.o.payload),
            self.take.eq(waiting.o.valid & ~granted & self.available & running.i.ready & ~self.halt),
            self.o.valid.eq(granted), self.o.payload.eq(head),
            running.i.valid.eq(leaves), running.i.payload.eq(Cat(head[9:14], head[bits:])), running.o.ready.eq(self.done),
            self.idle.eq(~waiting.o.valid & ~running.o.valid),
            self.stuck.eq(waiting.o.valid & ~granted & ~self.available & ~running.o.valid)]
        with m.If(self.done):
            m.d.comb += self.give.eq(running.o.payload)
            m.d.sync += giver.eq(running.o.payload[len(Engine):])
        with m.If(self.take):
            m.d.sync += granted.eq(1)
        with m.Elif(leaves):
            m.d.sync += granted.eq(0)
        return m

    def _bodies(self, m: Module, put, take):
        """A queue for instructions and their places in the program; returns its head of one cycle ago."""
        m.submodules.bodies = bodies = Memory(
            shape=self._shape["instruction"].width + _INDEX_BITS, depth=self._depth, init=[], attrs=self._attributes)
        write, read = bodies.write_port(), bodies.read_port()
        m.d.comb += [write.en.eq(put), write.data.eq(Cat(self.i.payload.instruction, self.i.payload.address[-_INDEX_BITS:]))]
        for port, moves in ((write, put), (read, take)):
            at = Signal.like(port.addr, name="tail" if port is write else "head")
            m.d.comb += port.addr.eq(at)
            with m.If(moves):
                m.d.sync += at.eq(at + 1)
        return read.data
