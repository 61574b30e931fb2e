"""The vector memory: accumulators and everything else in float32, in banks behind a crossbar."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..interfaces import VectorRead, VectorWrite
from .attributes import UNCHECKED
from .selection import FirstOf, Indexed, indexed

NEGATIVE_ZERO = 1 << 31


class VectorBank(wiring.Component):
    """One read and one write per cycle, with an enable per lane. Read data is there in the cycle
    after ``read_enable``; those lanes that are written in the cycle of the read are undefined."""

    def __init__(self, words: int, lanes: int):
        self._words = words
        self._lanes = lanes
        address = unsigned((words - 1).bit_length())
        super().__init__({
            "read_enable": In(1), "read_address": In(address), "read_data": Out(32 * lanes),
            "write_mask": In(lanes), "write_address": In(address), "write_data": In(32 * lanes)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.storage = storage = Memory(shape=32 * self._lanes, depth=self._words, init=[], attrs=UNCHECKED)
        read = storage.read_port()
        write = storage.write_port(granularity=32)
        m.d.comb += [
            read.en.eq(self.read_enable), read.addr.eq(self.read_address), self.read_data.eq(read.data),
            write.en.eq(self.write_mask), write.addr.eq(self.write_address), write.data.eq(self.write_data)]
        return m


class VectorMemory(wiring.Component):
    """``words`` words of ``lanes`` float32 values in ``banks`` banks of consecutive words.

    Each bank grants one read and one write per cycle. Addresses wrap at ``words``. The array's
    ports are always ready; with ``predictor`` so are those of a second array, which must not read, or
    write, in a bank in which the first one does in the same cycle. The others share what it leaves: in each bank a store takes turns with
    the vector unit (whose two reads take turns among each other), and a load with the vector
    unit's write, so nobody waits for ever while the array pauses now and then.

    ``ready`` depends on ``valid`` of other ports and on addresses, never on its own ``valid``.
    Read data comes exactly ``LATENCY`` cycles after the grant and stays until the data of the next
    grant of the same port, but to an array without a grant ``LATENCY`` cycles ago, which is shown −0 in every lane;
    ``vector_read_b`` also selects a lane of it. A write is seen by reads granted
    in later cycles; those granted in its own cycle get something undefined in the lanes that it writes.

    ``words`` and ``banks`` are powers of two.
    """

    LATENCY = 2

    def __init__(self, *, words: int, lanes: int, banks: int, predictor: bool = False):
        for name, value, least in (("words", words, 2 * banks), ("banks", banks, 2)):
            if value < least or value & (value - 1):
                raise ValueError(f"VectorMemory.{name} must be a power of two of at least {least}, not {value!r}")
        self._words = words
        self._lanes = lanes
        self._banks = banks
        read, write = VectorRead(lanes), VectorWrite(lanes)
        second = {"predictor_read": In(read), "predictor_write": In(write)} if predictor else {}
        self._arrays = ["array", "predictor"] if predictor else ["array"]
        super().__init__({
            "array_read": In(read), "vector_read_a": In(read), "vector_read_b": In(VectorRead(lanes, selects=True)),
            "store_read": In(read),
            "array_write": In(write), "vector_write": In(write), "load_write": In(write), **second})

    def elaborate(self, platform):
        m = Module()
        banks = [VectorBank(self._words // self._banks, self._lanes) for _ in range(self._banks)]
        for i, bank in enumerate(banks):
            m.submodules[f"bank{i}"] = bank
        self._connect_reads(m, banks)
        self._connect_writes(m, banks)
        return m

    def _bank(self, port):
        low = (self._words // self._banks - 1).bit_length()
        return port.address[low:(self._words - 1).bit_length()]

    def _connect_reads(self, m: Module, banks: list[VectorBank]):
        arrays = [getattr(self, f"{name}_read") for name in self._arrays]
        ports = [*arrays, self.vector_read_a, self.vector_read_b, self.store_read]

        def share(wants, turns):
            *want_arrays, wants_a, wants_b, wants_store = wants
            vector, store, toggle = _share(~Cat(want_arrays).any(), wants_a | wants_b, wants_store, turns[0])
            a, b, toggle_pair = _share(vector, wants_a, wants_b, turns[1])
            return [*(1 for _ in arrays), a, b, store], [toggle, toggle_pair]

        for bank, grants in zip(banks, self._grant(m, ports, share, 2), strict=True):
            m.d.comb += [bank.read_enable.eq(Cat(grants).any()),
                         bank.read_address.eq(_first(grants, [port.address for port in ports]))]
        for i, port in enumerate(ports):
            m.submodules[f"returned{i}"] = word = Indexed(self._lanes, self._banks)
            m.d.comb += [value.eq(bank.read_data) for value, bank in zip(word.values, banks, strict=True)]
            self._return_data(m, port, word)

    def _return_data(self, m: Module, port, word: Indexed):
        granted = Signal()
        source = Signal.like(self._bank(port), reset_less=True)
        result = Signal(32 * self._lanes, reset_less=True)
        m.d.comb += word.index.eq(source)
        m.d.sync += [granted.eq(port.valid & port.ready), source.eq(self._bank(port))]
        with m.If(granted):
            m.d.sync += result.eq(word.o)
        if port in (getattr(self, f"{name}_read") for name in self._arrays):
            with m.Else():
                m.d.sync += result.eq(Const(NEGATIVE_ZERO, 32).replicate(self._lanes))
        m.d.comb += port.data.as_value().eq(result)
        if port is self.vector_read_b:
            lane = Signal.like(port.lane, reset_less=True)
            m.d.sync += lane.eq(port.lane)
            odd = Signal(reset_less=True)
            pair = [Signal(32, name=f"lane_data{i}", reset_less=True) for i in range(2)]
            lanes = [word.o[32 * i:32 * i + 32] for i in range(self._lanes)]
            with m.If(granted):  # after the block memory and the banks there is no time for the last choice
                m.d.sync += [odd.eq(lane[0]), *(each.eq(indexed(lanes[i::2], lane[1:])) for i, each in enumerate(pair))]
            m.d.comb += port.lane_data.eq(Mux(odd, pair[1], pair[0]))

    def _connect_writes(self, m: Module, banks: list[VectorBank]):
        arrays = [getattr(self, f"{name}_write") for name in self._arrays]
        ports = [*arrays, self.vector_write, self.load_write]

        def share(wants, turns):
            *want_arrays, wants_vector, wants_load = wants
            vector, load, toggle = _share(~Cat(want_arrays).any(), wants_vector, wants_load, turns[0])
            return [*(1 for _ in arrays), vector, load], [toggle]

        for i, (bank, grants) in enumerate(zip(banks, self._grant(m, ports, share, 1), strict=True)):
            m.d.comb += [bank.write_mask.eq(_choose(grants, [port.mask for port in ports])),
                         bank.write_address.eq(_first(grants, [port.address for port in ports]))]
            m.submodules[f"written{i}"] = word = FirstOf(32 * self._lanes, len(ports))
            m.d.comb += [word.selects.eq(Cat(grants[:-1])), bank.write_data.eq(word.o),
                         *(value.eq(port.data.as_value()) for value, port in zip(word.values, ports, strict=True))]

    def _grant(self, m: Module, ports, share, kinds: int):
        """Drives ``ready`` of all ``ports``; returns for each bank which of them it serves.

        ``share`` says, from which ports want one bank and from the ``kinds`` of turns, to which it is open, and
        which turns change. It is asked for each bank and, so that ``ready`` need not wait for that, for the bank of each port.
        """
        turns = [Signal(self._banks, name=f"turns{k}") for k in range(kinds)]
        granted = []
        for i in range(self._banks):
            wants = [port.valid & (self._bank(port) == i) for port in ports]
            opens, toggles = share(wants, [turn[i] for turn in turns])
            granted.append([want & open_ for want, open_ in zip(wants, opens, strict=True)])
            m.d.sync += [turn[i].eq(turn[i] ^ toggle) for turn, toggle in zip(turns, toggles, strict=True)]
        for p, port in enumerate(ports):
            wants = [other.valid & (self._bank(other) == self._bank(port)) for other in ports]
            opens, _ = share(wants, [indexed(turn, self._bank(port)) for turn in turns])
            m.d.comb += port.ready.eq(opens[p])
        return granted


def _share(free, first, second, turn):
    """Whether a first and a second requester may go, where ``free``: in turns while both want to; and whether both do."""
    return free & ~(turn & second), free & (turn | ~first), free & first & second


def _first(selects, values):
    """The value whose select is high, of which at most one is; else any: smaller than :func:`_choose`."""
    *others, chosen = values
    for select, value in reversed(list(zip(selects, others))):
        chosen = Mux(select, value, chosen)
    return chosen


def _choose(selects, values):
    """The value whose select is high, of which at most one is; else zero."""
    chosen = 0
    for select, value in zip(selects, values):
        chosen |= Mux(select, value, 0)
    return chosen
