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

    def _selects(self, m: Module, port) -> list[Signal]:
        """For each bank, whether the address of ``port`` lies in it."""
        selects = [Signal(name=f"select{i}") for i in range(self._banks)]
        m.d.comb += [select.eq(self._bank(port) == i) for i, select in enumerate(selects)]
        return selects

    def _bank(self, port):
        low = (self._words // self._banks - 1).bit_length()
        return port.address[low:(self._words - 1).bit_length()]

    def _connect_reads(self, m: Module, banks: list[VectorBank]):
        arrays = [getattr(self, f"{name}_read") for name in self._arrays]
        ports = [*arrays, self.vector_read_a, self.vector_read_b, self.store_read]
        selects = [self._selects(m, port) for port in ports]
        opens = []
        for i, bank in enumerate(banks):
            wants = [port.valid & select[i] for port, select in zip(ports, selects)]
            *want_arrays, wants_a, wants_b, wants_store = wants
            open_vector, open_store = _share(m, ~Cat(want_arrays).any(), wants_a | wants_b, wants_store)
            open_a, open_b = _share(m, open_vector, wants_a, wants_b)
            opens.append([*(1 for _ in arrays), open_a, open_b, open_store])
            grants = [want & open_ for want, open_ in zip(wants, opens[i])]
            m.d.comb += [bank.read_enable.eq(Cat(grants).any()),
                         bank.read_address.eq(_first(grants, [port.address for port in ports]))]
        for i, (port, select, open_) in enumerate(zip(ports, selects, zip(*opens))):
            m.d.comb += port.ready.eq(1 if port in arrays else _choose(select, open_))
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
        selects = [self._selects(m, port) for port in ports]
        opens = []
        for i, bank in enumerate(banks):
            wants = [port.valid & select[i] for port, select in zip(ports, selects)]
            *want_arrays, wants_vector, wants_load = wants
            open_vector, open_load = _share(m, ~Cat(want_arrays).any(), wants_vector, wants_load)
            opens.append([*(1 for _ in arrays), open_vector, open_load])
            grants = [want & open_ for want, open_ in zip(wants, opens[i])]
            m.d.comb += [bank.write_mask.eq(_choose(grants, [port.mask for port in ports])),
                         bank.write_address.eq(_first(grants, [port.address for port in ports]))]
            m.submodules[f"written{i}"] = word = FirstOf(32 * self._lanes, len(ports))
            m.d.comb += [word.selects.eq(Cat(grants[:-1])), bank.write_data.eq(word.o),
                         *(value.eq(port.data.as_value()) for value, port in zip(word.values, ports, strict=True))]
        for port, select, open_ in zip(ports, selects, zip(*opens)):
            m.d.comb += port.ready.eq(1 if port in arrays else _choose(select, open_))


def _share(m: Module, free, first, second):
    """Whether a first and a second requester may go, where ``free``: in turns while both want to."""
    turn = Signal()
    with m.If(free & first & second):
        m.d.sync += turn.eq(~turn)
    return free & ~(turn & second), free & (turn | ~first)


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
