"""Bench of the vector memory: random traffic on all ports against a dictionary."""

import random
from collections import deque
from itertools import product

import cocotb
from cocotb.triggers import FallingEdge, RisingEdge

from adagp_tb.cocotb_runner import bench_parameters
from adagp_tb.stimulus import start_clock

ARRAYS = ("array", "predictor") if bench_parameters()["predictor"] else ("array",)
READS = (*(f"{name}_read" for name in ARRAYS), "vector_read_a", "vector_read_b", "store_read")
WRITES = (*(f"{name}_write" for name in ARRAYS), "vector_write", "load_write")
LONGEST_WAIT = {"vector_read_a": 3, "vector_read_b": 3, "store_read": 1, "vector_write": 1, "load_write": 1}
"""Cycles in which the arrays leave the bank to others that a request may wait."""


class Port:
    """One port of the memory: presents requests, holding each until it is granted."""

    def __init__(self, dut, name: str):
        for signal in ("valid", "ready", "address", "data", "mask", "lane", "lane_data"):
            setattr(self, signal, getattr(dut, f"{name}__{signal}", None))
        self.name = name
        self.request = None  # (address, data, mask); the lane is taken from the mask
        self.waited = 0
        self.grants = 0

    def present(self, request):
        self.request = request
        self.valid.value = request is not None
        if request is not None:
            self.address.value = request[0]
            if self.mask is not None:
                self.data.value, self.mask.value = request[1:]
            if self.lane is not None:
                self.lane.value = request[2] % (1 << len(self.lane))


class Traffic:
    """Drives all ports and compares everything that the memory answers."""

    def __init__(self, dut, *, words: int, lanes: int, banks: int, predictor: bool, seed: int):
        self.dut = dut
        self.words, self.lanes, self.bank_words = words, lanes, words // banks
        self.random = random.Random(seed)
        self.ports = {name: Port(dut, name) for name in READS + WRITES}
        self.model = {word: 0 for word in range(words)}
        self.due = {name: deque([None, None]) for name in READS}
        self.shown = dict.fromkeys(READS)

    def random_requests(self, rates: dict, addresses) -> dict:
        """A request for each port with probability ``rates[name]``, of the arrays in different banks."""
        requests = {name: self.request(addresses()) for name, rate in rates.items() if self.random.random() < rate}
        for kind in ("read", "write"):
            asked = [requests[name] for name in ("array_" + kind, "predictor_" + kind) if name in requests]
            if len(asked) == 2 and self.bank(asked[0][0]) == self.bank(asked[1][0]):
                del requests["predictor_" + kind]
        return requests

    def request(self, address: int, mask: int | None = None):
        return (address, self.random.getrandbits(32 * self.lanes),
                self.random.getrandbits(self.lanes) if mask is None else mask)

    async def cycle(self, requests: dict = {}):
        """One clock cycle, in which those ports that wait for nothing present ``requests[name]``."""
        await RisingEdge(self.dut.clk)
        for name, port in self.ports.items():
            if port.request is None:
                port.present(requests.get(name))
        await FallingEdge(self.dut.clk)
        self.check_data()
        taken = {kind: {self.bank(request[0]) for name in ARRAYS if (request := self.ports[f"{name}_{kind}"].request)}
                 for kind in ("read", "write")}
        for name in READS + WRITES:  # reads first: a read in the cycle of a write sees the old word
            self.finish(self.ports[name], taken["read" if name in READS else "write"])

    def check_data(self):
        for name, due in self.due.items():
            fresh = due.popleft()
            if fresh is not None:
                self.shown[name] = fresh
            elif name.startswith(ARRAYS):  # −0 without a grant
                self.shown[name] = sum(1 << 32 * lane + 31 for lane in range(self.lanes)), 0
            if self.shown[name] is not None:
                got = self.ports[name].data.value.to_unsigned()
                word, lane = self.shown[name]
                assert got == word, f"{name} shows {got:#x}, not {word:#x}"
                if (lane_data := self.ports[name].lane_data) is not None:
                    assert lane_data.value.to_unsigned() == word >> 32 * lane & 0xFFFFFFFF, f"{name}, lane {lane}"

    def finish(self, port: Port, taken: set[int]):
        """``taken``: banks that the arrays use in this cycle."""
        name, request = port.name, port.request
        granted = request is not None and bool(port.ready.value)
        if name in READS:
            self.due[name].append((self.model[request[0] % self.words], request[2] % self.lanes) if granted else None)
        if request is None:
            return
        if granted:
            port.request, port.waited = None, 0
            port.grants += 1
            if name in WRITES:
                self.write(*request)
        else:
            assert not name.startswith(ARRAYS), f"{name} was refused"
            port.waited += self.bank(request[0]) not in taken
            assert port.waited <= LONGEST_WAIT[name], f"{name} has waited {port.waited} free cycles"

    def write(self, address: int, value: int, mask: int):
        chosen = sum(0xFFFFFFFF << 32 * lane for lane in range(self.lanes) if mask >> lane & 1)
        word = address % self.words
        self.model[word] = self.model[word] & ~chosen | value & chosen

    def bank(self, address: int) -> int:
        return address % self.words // self.bank_words

    async def drain(self):
        """No new requests until every old one is served and every answer compared."""
        for _ in range(20):
            await self.cycle()
        assert all(port.request is None for port in self.ports.values())


async def traffic(dut) -> Traffic:
    """A bench whose memory has been written once everywhere."""
    start_clock(dut)
    bench = Traffic(dut, **bench_parameters(), seed=cocotb.RANDOM_SEED)
    await bench.cycle()
    for word in range(bench.words):
        await bench.cycle({"array_write": bench.request(word, mask=(1 << bench.lanes) - 1)})
    return bench


@cocotb.test()
async def random_traffic_equals_a_dictionary(dut):
    bench = await traffic(dut)
    everywhere = lambda: bench.random.randrange(1 << 16)
    few = lambda: bench.random.choice((0, 1, bench.bank_words - 1, bench.bank_words, bench.words - 1))
    for addresses, rate, array_rate in product((everywhere, few), (0.2, 0.6, 1.0), (0.0, 0.5, 0.9)):
        rates = dict.fromkeys(READS + WRITES, rate) | {
            f"{name}_{kind}": array_rate for name in ARRAYS for kind in ("read", "write")}
        for _ in range(300):
            await bench.cycle(bench.random_requests(rates, addresses))
    await bench.drain()


@cocotb.test()
async def ports_in_different_banks_are_served_in_every_cycle(dut):
    bench = await traffic(dut)
    before = {name: port.grants for name, port in bench.ports.items()}
    for i in range(100):
        await bench.cycle({name: bench.request(bench.bank_words * k + i % bench.bank_words)
                           for group in (READS, WRITES) for k, name in enumerate(group)})
    assert {name: port.grants - before[name] for name, port in bench.ports.items()} == dict.fromkeys(bench.ports, 100)
    await bench.drain()


@cocotb.test()
async def one_bank_is_shared_in_turns(dut):
    bench = await traffic(dut)
    shares = {"store_read": 1 / 2, "vector_read_a": 1 / 4, "vector_read_b": 1 / 4, "vector_write": 1 / 2, "load_write": 1 / 2}
    before = {name: bench.ports[name].grants for name in shares}
    for _ in range(400):
        await bench.cycle(bench.random_requests(dict.fromkeys(shares, 1.0), lambda: bench.random.randrange(bench.bank_words)))
    for name, share in shares.items():
        assert abs(bench.ports[name].grants - before[name] - 400 * share) <= 1, name
    await bench.drain()


@cocotb.test()
async def a_write_is_seen_by_a_read_in_the_next_cycle(dut):
    bench = await traffic(dut)
    for writer, reader in product(WRITES, READS):
        await bench.cycle({writer: bench.request(5, mask=1)})
        await bench.cycle({reader: bench.request(5)})
    await bench.drain()
