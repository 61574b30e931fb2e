"""The memory behind a bench's bus, and the rules of the bus."""

import random
from collections import deque

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

PAGE = 4096
ADDRESS_SPACE = 1 << 32

#: float32 words around which conversions go wrong: zeros, subnormals, ties, overflow, infinities, NaNs.
_EDGES = np.array([0, 1 << 31, 1, 0x807FFFFF, 0x007FFFFF, 0x00800000, 0x3F808000, 0x3F818000, 0x3F808001, 0x3F807FFF,
                   0xBF818000, 0x7F7FFFFF, 0xFF7F8000, 0x7F7F7FFF, 0x7F800000, 0xFF800000, 0x7F800001, 0xFFC12345,
                   0x7FFFFFFF, 0x007FFFFF], np.uint32)


class PagedMemory:
    """4 GiB of bytes that are random until written; the same for the same ``seed``."""

    def __init__(self, seed: int):
        self.seed = seed
        self.pages: dict[int, np.ndarray] = {}

    def page(self, number: int) -> np.ndarray:
        if number not in self.pages:
            generator = np.random.default_rng((self.seed, number))
            words = generator.integers(1 << 32, size=PAGE // 4, dtype=np.uint32)
            edges = generator.random(PAGE // 4) < 0.25
            words[edges] = generator.choice(_EDGES, edges.sum())
            self.pages[number] = words.view(np.uint8)
        return self.pages[number]

    def __len__(self) -> int:
        return ADDRESS_SPACE

    def __getitem__(self, piece: slice) -> bytes:
        first, end = piece.start, piece.stop
        parts = []
        while first < end:
            stop = min(end, (first // PAGE + 1) * PAGE)
            parts.append(self.page(first // PAGE)[first % PAGE:first % PAGE + stop - first].tobytes())
            first = stop
        return b"".join(parts)

    def __setitem__(self, piece: slice, values: bytes):
        for address, value in zip(range(piece.start, piece.stop), values, strict=True):
            self.page(address // PAGE)[address % PAGE] = value

    def assert_equal(self, other: "PagedMemory"):
        """Every byte that either ever touched is the same in both."""
        for number in self.pages.keys() | other.pages.keys():
            differ = np.flatnonzero(self.page(number) != other.page(number))
            assert not len(differ), f"{len(differ)} bytes differ, first at {number * PAGE + differ[0]:#010x}"


    def assert_between(self, before: "PagedMemory", after: "PagedMemory"):
        """Every byte is that of ``before`` or that of ``after``."""
        for number in self.pages.keys() | after.pages.keys():
            page = self.page(number)
            wrong = np.flatnonzero((page != before.page(number)) & (page != after.page(number)))
            assert not len(wrong), f"{len(wrong)} wrong bytes, first at {number * PAGE + wrong[0]:#010x}"


class Channel:
    """The signals of one AXI channel: its payload stays while it is valid and not ready."""

    def __init__(self, dut, prefix: str, fields: tuple[str, ...]):
        self.valid, self.ready = getattr(dut, f"{prefix}valid"), getattr(dut, f"{prefix}ready")
        self.fields = {name: getattr(dut, prefix + name) for name in fields}
        self.prefix = prefix
        self.waiting = None

    def sample(self) -> dict[str, int] | None:
        """The payload if one was handed over at this clock edge."""
        if not self.valid.value:
            assert self.waiting is None, f"{self.prefix}valid fell before {self.prefix}ready"
            return None
        payload = {name: int(signal.value) for name, signal in self.fields.items()}
        assert self.waiting in (None, payload), f"{self.prefix} changed while it waited"
        taken = bool(self.ready.value)
        self.waiting = None if taken else payload
        return payload if taken else None


BURST = ("addr", "len", "size", "burst", "lock", "cache", "prot", "qos", "id")


class BusMonitor:
    """Checks every cycle of the address channels against AXI4 and this machine's own rules, and
    keeps the bursts. ``window`` is what no burst may leave (its edges rounded to whole beats)."""

    def __init__(self, dut, channels: tuple[str, ...], *, bus_bytes: int, burst_beats: int, window=(0, ADDRESS_SPACE - 1)):
        self.channels = {name: Channel(dut, f"axi__a{name}", BURST) for name in channels}
        self.bus_bytes, self.burst_beats, self.window = bus_bytes, burst_beats, window
        self.bursts: list[dict[str, int]] = []
        self.clock = dut.clk
        cocotb.start_soon(self._run())

    async def _run(self):
        while True:
            await RisingEdge(self.clock)
            for channel in self.channels.values():
                if burst := channel.sample():
                    self._check(burst)
                    self.bursts.append(burst)

    def _check(self, burst: dict[str, int]):
        first, beats = burst["addr"], burst["len"] + 1
        end = first + beats * self.bus_bytes
        assert first % self.bus_bytes == 0, f"burst at {first:#x} is not aligned to a beat"
        assert first // PAGE == (end - 1) // PAGE, f"burst at {first:#x} of {beats} beats crosses 4 KiB"
        assert beats <= self.burst_beats, f"burst at {first:#x} has {beats} beats"
        assert 1 << burst["size"] == self.bus_bytes and burst["burst"] == 1, f"burst at {first:#x} is not INCR of full width"
        assert (burst["lock"], burst["cache"], burst["prot"], burst["qos"]) == (0, 0b0011, 0, 0)
        assert end > self.window[0] and first <= self.window[1], f"burst at {first:#x} lies outside the window"


class LatentMemory:
    """An AXI4 subordinate in which every burst answers ``latency`` cycles after it was requested
    and then moves a beat per cycle, many bursts in flight. Beats of different read identifiers come
    in any order. Beats of ``errors`` (their addresses divided by the beat) answer SLVERR. ``stall``
    is the share of cycles in which a channel rests.
    """

    def __init__(self, dut, memory: PagedMemory, *, bus_bytes: int, latency: int = 30, stall: float = 0,
                 errors=frozenset(), seed: int = 1, prefix: str = "axi__"):
        self.memory, self.bus_bytes, self.latency, self.stall, self.errors = memory, bus_bytes, latency, stall, errors
        self.dut, self.prefix, self.random = dut, prefix, random.Random(seed)
        self.unwritten: deque = deque()
        self.cycle = self.beats = self.first_beat = self.last_beat = 0

    def signal(self, name: str):
        return getattr(self.dut, self.prefix + name)

    def pending(self) -> int:
        """Writes that are not complete: bursts without all their data."""
        return len(self.unwritten)

    def _beat_done(self):
        self.beats += 1
        self.first_beat = self.first_beat or self.cycle
        self.last_beat = self.cycle

    def beats_per_cycle(self, until: int | None = None) -> float:
        """From the first to the last beat, or to cycle ``until``."""
        return self.beats / ((until or self.last_beat) - self.first_beat + 1)

    def rests(self) -> bool:
        return self.random.random() < self.stall

    async def serve_reads(self):
        address, read = Channel(self.dut, self.prefix + "ar", ("addr", "len", "id")), Channel(
            self.dut, self.prefix + "r", ("data",))
        queues = deque(), deque()  # by identifier: (cycle, beat number, last, id)
        offered = False
        address.ready.value = 0
        read.valid.value = 0
        while True:
            await RisingEdge(self.dut.clk)
            self.cycle += 1
            if burst := address.sample():
                first = burst["addr"] // self.bus_bytes
                queues[burst["id"]].extend((self.cycle + self.latency, first + i, i == burst["len"], burst["id"])
                             for i in range(burst["len"] + 1))
            if read.sample():
                self._beat_done()
                offered = False
            due = [queue for queue in queues if queue and queue[0][0] <= self.cycle]
            if not offered and due and not self.rests():
                _, beat, last, tag = self.random.choice(due).popleft()
                data = self.memory[beat * self.bus_bytes:(beat + 1) * self.bus_bytes]
                read.fields["data"].value = int.from_bytes(data, "little")
                self.signal("rlast").value = last
                self.signal("rid").value = tag
                self.signal("rresp").value = 2 if beat in self.errors else 0
                offered = True
            read.valid.value = offered
            address.ready.value = not self.rests()

    async def serve_writes(self):
        address = Channel(self.dut, self.prefix + "aw", ("addr", "len", "id"))
        write = Channel(self.dut, self.prefix + "w", ("data", "strb", "last"))
        response = Channel(self.dut, self.prefix + "b", ("resp",))
        bursts = self.unwritten     # [next beat, beats left, error]
        beats: deque = deque()      # data that came before its address
        answers: deque = deque()    # (cycle, error)
        offered = False
        for signal in (address.ready, write.ready, response.valid, self.signal("bid")):
            signal.value = 0
        while True:
            await RisingEdge(self.dut.clk)
            self.cycle += 1
            if burst := address.sample():
                bursts.append([burst["addr"] // self.bus_bytes, burst["len"] + 1, False])
            if beat := write.sample():
                self._beat_done()
                beats.append(beat)
            while beats and bursts:
                if self._write(bursts[0], beats.popleft()):
                    answers.append((self.cycle + self.latency, bursts.popleft()[2]))
            if response.sample():
                offered = False
            if not offered and answers and answers[0][0] <= self.cycle and not self.rests():
                response.fields["resp"].value = 2 if answers.popleft()[1] else 0
                offered = True
            response.valid.value = offered
            address.ready.value = not self.rests()
            write.ready.value = not self.rests()

    def _write(self, burst: list, beat: dict[str, int]) -> bool:
        """Writes the next beat of ``burst``; whether it was the last."""
        number, left, _ = burst
        assert beat["last"] == (left == 1), f"wlast is {beat['last']} with {left} beats left"
        if number in self.errors:
            burst[2] = True
        else:
            data = beat["data"].to_bytes(self.bus_bytes, "little")
            for i in range(self.bus_bytes):
                if beat["strb"] >> i & 1:
                    address = number * self.bus_bytes + i
                    self.memory[address:address + 1] = data[i:i + 1]
        burst[0], burst[1] = number + 1, left - 1
        return left == 1
