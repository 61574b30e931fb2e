"""Bench of two arrays that share a vector memory: neither reads, or writes, in a bank in which the
other does so in the same cycle."""

import random
from collections import Counter

import cocotb
from cocotb.triggers import RisingEdge

from adagp.spec.isa import Array, Pass, encode
from adagp_tb.cocotb_runner import bench_parameters
from adagp_tb.stimulus import start_clock

ARRAYS = ("main", "own")


def random_instruction(random, columns: int) -> Array:
    count = lambda most: random.randint(1, most) if random.random() < 0.5 else 1
    return Array(tag=Pass.FORWARD, columns=columns, stream=0, stationary=0, accumulator=random.randrange(1 << 16),
                 accumulate=random.getrandbits(1), stream_count0=count(40), row_count0=count(20),
                 outer_count0=count(3), outer_count1=count(2), accumulator_outer_stride0=random.choice([0, 0, 1, 16, -5]),
                 accumulator_outer_stride1=random.choice([0, 3]))


def one_bank(columns: int, *, word: int, words: int) -> Array:
    """Many vectors that all go to ``words`` words from ``word`` on."""
    return Array(tag=Pass.FORWARD, columns=columns, stream=0, stationary=0, accumulator=word, stream_count0=words,
                 row_count0=1, outer_count0=20)


class Bench:
    def __init__(self, dut):
        self.dut, self.random, self.parameters = dut, random.Random(cocotb.RANDOM_SEED), bench_parameters()
        self.columns = {array: self.parameters[array][1] for array in ARRAYS}

    async def run(self, programs: dict[str, list[Array]], gaps: float = 0) -> tuple[dict[str, int], Counter]:
        """Issues both programs; returns the cycle of each array's last ``done``, and how often which
        arrays used the vector memory."""
        dut = self.dut
        waiting = {array: [int.from_bytes(encode(i), "little") for i in programs[array]] for array in ARRAYS}
        done, ends, used = Counter(), dict.fromkeys(ARRAYS, 0), Counter()
        port = {array: (getattr(dut, f"{array}__valid"), getattr(dut, f"{array}__ready"),
                        getattr(dut, f"{array}__payload"), getattr(dut, f"{array}_done")) for array in ARRAYS}
        limit = 500 + 40 * sum(i.stream_count0 * i.outer_count0 * i.outer_count1 * i.row_count0
                               for program in programs.values() for i in program)
        for cycle in range(limit):
            for array, (valid, _, payload, _) in port.items():
                valid.value = bool(waiting[array]) and self.random.random() >= gaps
                if waiting[array]:
                    payload.value = waiting[array][0] & (1 << len(payload)) - 1
            await RisingEdge(dut.clk)
            assert not dut.meet.value, f"both arrays in one bank, reads {dut.meet.value}"
            used[int(dut.reads.value), int(dut.writes.value)] += 1
            for array, (valid, ready, _, is_done) in port.items():
                if valid.value and ready.value:
                    waiting[array].pop(0)
                if is_done.value:
                    done[array], ends[array] = done[array] + 1, cycle
            if all(done[array] == len(programs[array]) for array in ARRAYS):
                break
        assert all(done[array] == len(programs[array]) for array in ARRAYS), f"after {limit} cycles: {done}"
        for valid, *_ in port.values():
            valid.value = 0
        return ends, used


async def started(dut) -> Bench:
    start_clock(dut)
    bench = Bench(dut)
    for array in ARRAYS:
        getattr(dut, f"{array}__valid").value = 0
    await RisingEdge(dut.clk)
    return bench


@cocotb.test()
async def random_programs_never_meet(dut):
    bench = await started(dut)
    both = Counter()
    for gaps in (0, 0.7, 0.97):
        for _ in range(6):
            _, used = await bench.run({array: [random_instruction(bench.random, bench.columns[array]) for _ in range(12)]
                                       for array in ARRAYS}, gaps)
            both += used
    assert sum(count for (reads, _), count in both.items() if reads == 3) > 100, both
    assert sum(count for (_, writes), count in both.items() if writes == 3) > 500, both


@cocotb.test()
async def the_main_array_never_waits(dut):
    bench = await started(dut)
    bank_words = bench.parameters["words"] // bench.parameters["banks"]
    main = [one_bank(bench.columns["main"], word=0, words=bank_words)] * 4
    own = [one_bank(bench.columns["own"], word=0, words=bank_words)] * 3
    alone, _ = await bench.run({"main": main, "own": []})
    rival, _ = await bench.run({"main": [], "own": own})
    ends, used = await bench.run({"main": main, "own": own})
    assert ends["main"] == alone["main"]
    assert ends["own"] > rival["own"], "the predictor's array must have waited for the bank"
    assert not any(3 in key for key in used)


@cocotb.test()
async def arrays_in_different_banks_do_not_wait(dut):
    bench = await started(dut)
    bank_words = bench.parameters["words"] // bench.parameters["banks"]
    programs = {array: [one_bank(bench.columns[array], word=i * bank_words, words=bank_words)] * 4
                for i, array in enumerate(ARRAYS)}
    for array in ARRAYS:
        alone, _ = await bench.run(programs | {other: [] for other in ARRAYS if other != array})
        together, _ = await bench.run(programs)
        assert together[array] == alone[array]
