"""The 64-bit counters: what happened is added up in a small memory."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from adagp.spec.isa import Engine, Pass
from adagp.spec.schedule import Phase

from ..memory.attributes import BLOCK
from .layers import LAYER_BITS, LayerCounters
from .registers import COUNTER_INDEX_BITS, COUNTERS

_OF_LAYERS = ("LAYER_CYCLES", "LAYER_MACS")
_SLOT = 4  # cycles in which one counter is read, added to, and written back


class CounterBank(wiring.Component):
    """Counters of 64 bits in one memory. Counter i grows by ``increment[i] << shifts[i]`` per cycle.

    ``widths`` are the bits of the increments. Each counter collects its increments in a short
    accumulator, which goes to the memory in turn, so a counter costs little more than a few bits.
    ``read`` is held with ``index`` until ``valid``, at most ten cycles later; ``value`` holds every
    increment up to the cycle before the last two. ``clear`` sets all counters to zero at once.
    """

    def __init__(self, widths: list[int], shifts: list[int]):
        self._widths, self._shifts = widths, shifts
        index_bits = (len(widths) - 1).bit_length()
        super().__init__({
            "increment": In(data.StructLayout({f"_{i}": width for i, width in enumerate(widths)})),
            "clear": In(1), "read": In(1), "index": In(index_bits), "valid": Out(1), "value": Out(64)})

    def elaborate(self, platform):
        m = Module()
        count = len(self._widths)
        longest = 2 * count * _SLOT  # a counter waits for all others, each of which a read may delay by one slot
        m.submodules.memory = memory = Memory(shape=64, depth=count, init=[], attrs=BLOCK)
        read, write = memory.read_port(), memory.write_port()

        latest = Signal.like(self.increment)  # goes into the memory with the others where these begin anew
        collected = [Signal(range(longest * ((1 << width) - 1) + 1), name=f"collected_{i}")
                     for i, width in enumerate(self._widths)]
        fresh = Signal(count, init=-1)
        turn = Signal(range(count))
        current = Signal(range(count))
        step = Signal(range(_SLOT))
        wanted, wanted_index = Signal(), Signal.like(self.index)
        asked = Signal()
        answers = Signal()
        old = Signal(64)
        added = Signal(32)
        low = Signal(32)
        carry = Signal()
        chosen = Signal.like(turn)

        m.d.comb += [asked.eq(wanted & ~answers), chosen.eq(Mux(asked, wanted_index, turn)),
                     read.addr.eq(chosen), write.addr.eq(current),
                     write.data.eq(Cat(low, old[32:] + carry)), self.value.eq(write.data)]
        m.d.sync += [wanted.eq(self.read & ~self.valid), wanted_index.eq(self.index), latest.eq(self.increment)]
        begun = Signal(count)  # a bit of its own for each, so that it becomes the reset of a register
        m.d.comb += begun.eq((step == 1) << current)
        m.d.sync += fresh.eq(fresh & ~begun)
        for i, total in enumerate(collected):
            m.d.sync += total.eq(total + latest[f"_{i}"])
            with m.If(begun[i]):
                m.d.sync += total.eq(0)
        with m.Switch(step):
            with m.Case(0):
                m.d.sync += [step.eq(1), answers.eq(asked), current.eq(chosen)]
                with m.If(~asked):
                    m.d.sync += turn.eq(Mux(turn == count - 1, 0, turn + 1))
            with m.Case(1):
                m.d.sync += [step.eq(2), old.eq(Mux(Array(fresh)[current], 0, read.data)),
                             added.eq(self._due(m, collected, latest, current))]
            with m.Case(2):
                m.d.sync += [step.eq(3), Cat(low, carry).eq(old[:32] + added)]
            with m.Case(3):
                m.d.comb += [write.en.eq(1), self.valid.eq(answers)]
                m.d.sync += step.eq(0)
        with m.If(self.clear):
            m.d.sync += [fresh.eq(-1), latest.eq(0), *(total.eq(0) for total in collected)]
        return m

    def _due(self, m, collected, latest, index):
        """What counter ``index`` grows by now."""
        total = Signal(max(len(each) for each in collected) + 1)
        m.d.comb += total.eq(Array(collected)[index] + Array(latest[f"_{i}"] for i in range(len(collected)))[index])
        return Array(total << shift for shift in self._shifts)[index]


class Counters(wiring.Component):
    """Books what happens in a cycle on the counters of the register map.

    ``running``: a program runs in this cycle; nothing is counted without it but the ends of programs.
    ``phase`` of the program; ``batch_done`` in the cycle in which it ends. ``tag`` and ``layer``: the pass and
    layer that the cycle belongs to, ``macs`` the multiply-accumulates that began (at most ``most_macs``).
    ``busy`` has a bit per engine. ``loaded``, ``fetched``, ``stored``: a beat of ``bus_bytes`` moved.
    ``dispatched``: an instruction left for its queue, or a program ended. ``clear`` sets all to zero at
    once; until ``ready`` is high again nothing may run. ``read`` to ``value`` are those of
    :class:`CounterBank`, for the register file; ``shown_layer`` is the layer whose counters are read.
    """

    def __init__(self, *, most_macs: int, bus_bytes: int):
        self._most_macs, self._bus_bytes = most_macs, bus_bytes
        super().__init__({
            "running": In(1), "phase": In(Phase), "batch_done": In(1), "tag": In(Pass), "layer": In(LAYER_BITS),
            "macs": In(range(most_macs + 1)), "busy": In(len(Engine)), "loaded": In(1), "fetched": In(1),
            "stored": In(1), "dispatched": In(1), "clear": In(1), "ready": Out(1), "shown_layer": In(LAYER_BITS),
            "read": In(1), "index": In(COUNTER_INDEX_BITS), "valid": Out(1), "value": Out(64)})

    def elaborate(self, platform):
        m = Module()
        events = {
            "CYCLES": 1, "INSTRUCTIONS": self.dispatched,
            "BYTES_READ": self.loaded, "BYTES_FETCHED": self.fetched, "BYTES_WRITTEN": self.stored,
            **{f"PHASE_CYCLES[{i.value}]": self.phase == i for i in Phase},
            **{f"PHASE_BATCHES[{i.value}]": self.batch_done & (self.phase == i) for i in Phase},
            **{f"PASS_CYCLES[{i.value}]": self.tag == i for i in Pass},
            **{f"PASS_MACS[{i.value}]": Mux(self.tag == i, self.macs, 0) for i in Pass},
            **{f"BUSY[{engine.value}]": self.busy[engine] for engine in Engine}}
        paths = COUNTERS[:-len(_OF_LAYERS)]
        assert set(events) == set(paths) and COUNTERS[len(paths):] == _OF_LAYERS
        always = ("PHASE_BATCHES", "BYTES", "INSTRUCTIONS")
        widths = [len(self.macs) if path.startswith("PASS_MACS") else 1 for path in paths]
        shifts = [(self._bus_bytes - 1).bit_length() if path.startswith("BYTES") else 0 for path in paths]
        m.submodules.bank = bank = CounterBank(widths, shifts)
        for i, path in enumerate(paths):
            counted = events[path] if path.startswith(always) else Mux(self.running, events[path], 0)
            m.d.sync += bank.increment[f"_{i}"].eq(counted)
        m.submodules.layers = layers = LayerCounters(most_macs=self._most_macs)
        of_layer = self.index >= len(paths)
        m.d.comb += [
            bank.clear.eq(self.clear), bank.read.eq(self.read & ~of_layer), bank.index.eq(self.index),
            layers.running.eq(self.running), layers.layer.eq(self.layer), layers.macs.eq(self.macs),
            layers.clear.eq(self.clear), layers.shown.eq(self.shown_layer), layers.read.eq(self.read & of_layer),
            layers.of_macs.eq(self.index == COUNTERS.index("LAYER_MACS")), self.ready.eq(layers.ready),
            self.valid.eq(Mux(of_layer, layers.valid, bank.valid)),
            self.value.eq(Mux(of_layer, layers.value, bank.value))]
        return m
