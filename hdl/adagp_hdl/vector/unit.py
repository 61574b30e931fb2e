"""The vector unit: runs ``Vector`` instructions on the vector memory."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Out

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import WORDS_IN_FLIGHT, Engine, Function, Opcode

from ..interfaces import EngineSignature, Report, VectorRead, VectorWrite, instruction_layout
from ..memory.vector import VectorMemory
from .lane import LaneControl, VectorLane, decode_control, delay
from .loops import LoopAddress, LoopCounter

WORD_BITS = 16

#: Where a result goes: to ``word`` of the memory, or if it ``reports`` to the register of that index.
Target = data.StructLayout({"word": WORD_BITS, "reports": 1, "last": 1})


@dataclass(frozen=True, kw_only=True)
class _Word:
    """Whether the word that begins reads b, and where one that begins in the next cycle reads."""

    reads_b: Signal
    next_a: Signal
    next_b: Signal
    next_lane: Value


class VectorUnit(wiring.Component):
    """Executes :class:`adagp.spec.isa.Vector`, bit for bit.

    One word per cycle if the memory grants it: ``a`` and ``b`` in one bank take two cycles per
    word, and only operands that the function looks at are read. A word is written ``LATENCY``
    cycles after its last operand was granted, or later if the write is refused; up to ``DEPTH``
    words are between the two. An instruction is taken in the first cycle in which the last word
    of the one before is read, so they follow each other without a gap, but that they keep the
    distance that ``behind`` and ``each`` ask for: a word may be read in the cycle after it was
    written, so a chain of dependent one-word instructions takes ``LATENCY + 1`` cycles each. ``done``
    comes one cycle after the last write. What a REPORT reports leaves through ``report`` in its
    place among the writes.

    The read data of :class:`adagp_hdl.memory.vector.VectorMemory` stay until the next grant; the
    unit relies on that. It has no bus, so ``halt`` means nothing to it, and no faults.
    """

    DEPTH = WORDS_IN_FLIGHT
    LATENCY = VectorMemory.LATENCY + VectorLane.LATENCY + 1

    def __init__(self, config: AcceleratorConfig):
        self._lanes = config.vector_lanes
        super().__init__({**EngineSignature(Engine.VECTOR).members,
                          "read_a": Out(VectorRead(self._lanes)), "read_b": Out(VectorRead(self._lanes, selects=True)),
                          "write": Out(VectorWrite(self._lanes)), "report": Out(Report)})

    def elaborate(self, platform):
        m = Module()
        pointer = range(2 * self.DEPTH)
        begun, computed, written = Signal(pointer), Signal(pointer), Signal(pointer)
        waiting = Signal()
        m.d.comb += waiting.eq(begun != written)
        begins, held, granted = Signal(name="begins"), Signal(name="held"), Signal(name="granted")
        word, target, control, active = self._walk(m, (begun - written)[:len(begun)], begins, held, granted)
        step = self._read(m, word, begins, held)
        valid, results = self._compute(m, step, control, waiting)
        m.d.sync += [begun.eq(begun + begins), computed.eq(computed + valid)]
        written_last = self._write(m, begins, target, begun, valid, results, computed, written, granted)
        m.d.sync += self.done.eq(written_last)
        m.d.comb += [self.busy.eq(active | waiting | self.done), self.quiet.eq(1)]
        return m

    def _walk(self, m: Module, in_flight, begins, held, granted):
        """Goes from word to word: ``begins``, a register, is high with each; so it is not in the cycle after ``held``. Returns the
        word, its :data:`Target`, the control of the one whose operands were granted a cycle ago, and whether there are any."""
        layout = instruction_layout(Opcode.VECTOR)
        instruction = data.View(layout, self.instruction.payload[:layout.size])
        active, each = Signal(), Signal()
        behind = Signal(range(self.DEPTH))  # words that may be in flight when the next one begins
        goes_on = Signal(init=1)  # the operands of the word before are granted
        control, handed, target = (Signal(shape, reset_less=True) for shape in (LaneControl, LaneControl, Target))
        reports, reads_b, lane = Signal(reset_less=True), Signal(), Signal.like(self.read_b.lane, reset_less=True)
        m.submodules.counter = counter = LoopCounter()
        addresses = {}
        for name in "abd":
            m.submodules[f"address_{name}"] = addresses[name] = address = LoopAddress(WORD_BITS)
            m.d.comb += [
                address.load.eq(counter.load), address.step.eq(begins), address.level.eq(counter.level),
                address.start.eq(instruction[name]),
                *(address.strides[i].eq(instruction[f"{name}_stride{i}"]) for i in range(3))]
        m.d.comb += [
            target.word.eq(addresses["d"].address), target.reports.eq(reports), target.last.eq(counter.last),
            counter.step.eq(begins),
            *(counter.counts[i].eq(instruction[f"count{i}"]) for i in range(3)),
            self.instruction.ready.eq(~active | begins & counter.last),
            counter.load.eq(self.instruction.valid & self.instruction.ready),
        ]
        kept = Mux(begins & ~each, self.DEPTH - 1, behind)
        stays = active & ~(begins & counter.last)
        may = Mux(counter.load, self._few(in_flight, begins, granted, instruction.behind),
                  stays & self._few(in_flight, begins, granted, kept))
        m.d.sync += [behind.eq(kept), begins.eq(may & ~held), goes_on.eq(~held)]
        with m.If(self.instruction.ready):
            m.d.sync += active.eq(self.instruction.valid)
        with m.If(goes_on):
            m.d.sync += handed.eq(control)
        with m.If(counter.load):
            fields = decode_control(instruction)
            term_b = fields["term_b"] | fields["term_shared"]
            m.d.sync += [
                behind.eq(instruction.behind), each.eq(instruction.each),
                reports.eq(instruction.function == Function.REPORT),
                lane.eq(instruction.lane), *(control[name].eq(value) for name, value in fields.items()),
                reads_b.eq(term_b & (instruction.function <= Function.EQUAL)
                           | (fields["factor_b"] | fields["factor_shared"]) & (instruction.function == Function.ARITHMETIC))]
        word = _Word(reads_b=reads_b, next_a=addresses["a"].next_address, next_b=addresses["b"].next_address,
                     next_lane=Mux(counter.load, instruction.lane, lane))
        return word, target, handed, active

    @staticmethod
    def _few(in_flight, begins, granted, most):
        """Whether at most ``most`` words are in flight in the next cycle. ``granted`` is known late."""
        same, fewer, more = in_flight <= most, in_flight <= most + 1, in_flight < most
        return Mux(granted, Mux(begins, same, fewer), Mux(begins, more, same))

    def _read(self, m: Module, word: _Word, begins, held):
        """Reads the operands of a word from the cycle in which it ``begins`` to the first that is not ``held``. Returns
        ``step``, high when all of them are granted."""
        waits_a, waits_b = Signal(), Signal()  # what has been refused
        refused_a, refused_b = self.read_a.valid & ~self.read_a.ready, self.read_b.valid & ~self.read_b.ready
        m.d.comb += [self.read_a.valid.eq(begins | waits_a), self.read_b.valid.eq(begins & word.reads_b | waits_b),
                     held.eq(refused_a | refused_b)]
        m.d.sync += [waits_a.eq(refused_a), waits_b.eq(refused_b)]
        with m.If(~held):
            m.d.sync += [self.read_a.address.eq(word.next_a), self.read_b.address.eq(word.next_b),
                         self.read_b.lane.eq(word.next_lane)]
        return (begins | waits_a | waits_b) & ~held

    def _compute(self, m: Module, step, control, waiting):
        """The lanes run while any word is between its read and its write."""
        late, control = data.View(LaneControl, delay(m, control.as_value(), VectorMemory.LATENCY - 1)), Signal(LaneControl)
        m.d.comb += control.eq(late)
        for scalar in ("factor", "term"):
            with m.If(late[f"{scalar}_shared"]):
                m.d.comb += control[scalar].eq(self.read_b.lane_data)
        selects = delay(m, Cat(control.special, control.relu), VectorLane.LATENCY, waiting)
        lanes = [VectorLane() for _ in range(self._lanes)]
        for i, lane in enumerate(lanes):
            m.submodules[f"lane{i}"] = lane
            m.d.comb += [
                lane.en.eq(waiting), lane.control.eq(control), Cat(lane.special, lane.relu).eq(selects),
                lane.a.eq(self.read_a.data[i]), lane.b.eq(self.read_b.data[i])]
        stages = Signal(VectorMemory.LATENCY + VectorLane.LATENCY)
        m.d.sync += stages.eq(Cat(step, stages))
        return stages[-1], Cat(lane.o for lane in lanes)

    def _write(self, m: Module, begins, target, begun, valid, results, computed, written, granted):
        """Results queue up for the memory, with the targets that were put aside before."""
        waits, place = Signal(), Signal(Target)
        m.submodules.targets = targets = Memory(shape=Target, depth=self.DEPTH, init=[])
        m.submodules.results = queue = Memory(shape=unsigned(len(results)), depth=self.DEPTH, init=[])
        for memory, index, enable, value in ((targets, begun, begins, target), (queue, computed, valid, results)):
            port = memory.write_port()
            m.d.comb += [port.en.eq(enable), port.addr.eq(index[:-1]), port.data.eq(value)]
        here, ahead, result = targets.read_port(domain="comb"), targets.read_port(domain="comb"), queue.read_port(domain="comb")
        arrived = Signal.like(computed)
        m.d.comb += [
            here.addr.eq(written[:-1]), ahead.addr.eq(written[:-1] + 1), result.addr.eq(written[:-1]),
            arrived.eq(computed + valid), granted.eq(waits & (self.write.ready | place.reports)),
            self.write.valid.eq(waits & ~place.reports), self.write.address.eq(place.word),
            self.write.data.eq(result.data), self.write.mask.eq(~0),
            self.report.valid.eq(waits & place.reports), self.report.index.eq(place.word), self.report.value.eq(result.data),
        ]
        # Registers say that a word waits, and where it goes, as the memory's choice takes its time.
        with m.If(granted):
            m.d.sync += [written.eq(written + 1), place.eq(ahead.data), waits.eq(arrived != (written + 1)[:len(written)])]
        with m.Else():
            m.d.sync += [place.eq(here.data), waits.eq(arrived != written)]
        return granted & place.last
