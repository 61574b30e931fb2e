"""In-order queues of instructions and the tokens between them."""

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from adagp.spec.isa import TOKEN_LIMIT, Engine

from ..interfaces import ADDRESS_BITS, instruction_bits

IN_FLIGHT = 16
"""Most instructions that an engine holds without having finished one."""

_INDEX_BITS = ADDRESS_BITS - 6


class Tokens(wiring.Component):
    """A counter of tokens for every ordered pair of ``engines``, an engine and itself included.

    For the queue of ``engines[i]``: ``wait[i]`` is the set of engines that it wants a token
    from; ``available[i]`` says that they are all there; ``take[i]`` takes them in this cycle.
    ``give[i]`` is the set of engines that get a token from i in this cycle. ``overflow[i]`` is high
    in a cycle in which i gives a token to a counter that is at its limit. ``empty``: all are zero.
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
        nonzero, engines = {}, self._engines
        overflow = [[] for _ in engines]
        for g, giver in enumerate(engines):
            for t, taker in enumerate(engines):
                count = Signal(range(TOKEN_LIMIT + 1), name=f"{giver.name}_{taker.name}".lower())
                give, take = self.give[g][taker], self.take[t] & self.wait[t][giver]
                with m.If(give & ~take):
                    m.d.sync += count.eq(count + 1)
                with m.Elif(take & ~give):
                    m.d.sync += count.eq(count - 1)
                nonzero[giver, taker] = count != 0
                overflow[g].append(give & ~take & (count == TOKEN_LIMIT))
        for i, engine in enumerate(engines):
            m.d.comb += [
                self.available[i].eq(Cat(nonzero[giver, engine] | ~self.wait[i][giver] for giver in engines).all()),
                self.overflow[i].eq(Cat(overflow[i]).any())]
        m.d.comb += self.empty.eq(~Cat(nonzero.values()).any())
        return m


class EngineQueue(wiring.Component):
    """The instructions of one engine, in order, and the tokens that they take and give.

    ``i`` takes the low bits of an instruction and its address; ``o`` hands the instruction to the
    engine once its tokens are taken. The head takes the tokens of ``wait`` in the cycle in which
    ``available`` is high and ``take`` says so, and is offered in the next; at best one instruction
    leaves every two cycles. ``done`` of the engine makes ``give`` the set of engines that get a
    token, in the same cycle, and ``giver`` the instruction's address. With ``halt`` nothing more
    is taken. ``idle``: neither queue nor engine hold an instruction; ``stuck``: the engine holds
    none and the head waits for tokens.
    """

    def __init__(self, engine: Engine, depth: int):
        bits = instruction_bits(engine)
        self._depth = depth
        self._shape = data.StructLayout({"instruction": bits, "address": ADDRESS_BITS})
        super().__init__({
            "i": In(stream.Signature(self._shape)), "o": Out(stream.Signature(unsigned(bits))),
            "done": In(1), "halt": In(1), "available": In(1),
            "wait": Out(len(Engine)), "take": Out(1), "give": Out(len(Engine)), "giver": Out(ADDRESS_BITS),
            "idle": Out(1), "stuck": Out(1)})

    def elaborate(self, platform):
        m = Module()
        bits = self._shape["instruction"].width
        m.submodules.waiting = waiting = SyncFIFO(width=bits + _INDEX_BITS, depth=self._depth)
        m.submodules.running = running = SyncFIFO(width=len(Engine) + _INDEX_BITS, depth=IN_FLIGHT)
        granted, granted_head = Signal(), Signal(bits, reset_less=True)
        head, index = waiting.r_data[:bits], waiting.r_data[bits:]
        leaves = self.o.valid & self.o.ready
        m.d.comb += [
            waiting.w_data.eq(Cat(self.i.payload.instruction, self.i.payload.address[-_INDEX_BITS:])),
            waiting.w_en.eq(self.i.valid), self.i.ready.eq(waiting.w_rdy), waiting.r_en.eq(leaves),
            self.wait.eq(head[4:9]),
            self.take.eq(waiting.r_rdy & ~granted & self.available & running.w_rdy & ~self.halt),
            self.o.valid.eq(granted), self.o.payload.eq(granted_head),
            running.w_data.eq(Cat(head[9:14], index)), running.w_en.eq(leaves), running.r_en.eq(self.done),
            self.giver.eq(running.r_data[len(Engine):] << (ADDRESS_BITS - _INDEX_BITS)),
            self.idle.eq(~waiting.r_rdy & ~running.r_rdy),
            self.stuck.eq(waiting.r_rdy & ~granted & ~self.available & ~running.r_rdy)]
        with m.If(self.done):
            m.d.comb += self.give.eq(running.r_data)
        m.d.sync += granted_head.eq(head)
        with m.If(self.take):
            m.d.sync += granted.eq(1)
        with m.Elif(leaves):
            m.d.sync += granted.eq(0)
        return m
