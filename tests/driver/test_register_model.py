"""The software model of the registers against the RTL: the same random accesses on both."""

import random

import numpy as np
import pytest

from adagp.golden import GoldenMachine
from adagp.spec.config import Design, preset
from adagp.spec.isa import End, encode
from adagp.spec.registers import REGISTERS, offset
from adagp_tb.rtl_machine import RtlMachine
from register_model import CLEAR, RESET, START, WRITE_BACK, RegisterModel

CONFIG = preset("tiny").with_design(Design.MAX)
BYTES, GOOD, BAD = 1 << 14, 0x1000, 0x2000
OF_TIME = ("CYCLES", "PHASE_CYCLES", "PASS_CYCLES", "BUSY", "BYTES", "LAYER_CYCLES", "QUALITY")
COMPARED = [path for path in REGISTERS if not path.startswith(OF_TIME)]
CHOSEN = ("CONTROL", "BATCHES", "WINDOW", "PROGRAM", "EPOCH", "ORDER", "MODE")  # written only where a run begins
ANYWHERE = [offset(path) for path in REGISTERS if not path.startswith(CHOSEN)] + [0x13C, 0x17C, 0x280, 0x600, 0xFFC]


class Pair:
    """Both, and their memory: a program that ends at once, and one that is none."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.rtl = RtlMachine(CONFIG, BYTES, stall_probability=0.2, seed=seed)
        self.model = RegisterModel(GoldenMachine(CONFIG, BYTES))
        for memory in (self.rtl.memory, self.model.golden.memory):
            memory[GOOD:GOOD + 64] = np.frombuffer(encode(End()), np.uint8)
        self.model.write(offset("INTERRUPT_ENABLE"), 3)  # as the RTL's host did

    def write(self, where, value):
        assert self.rtl.simulation.write(where, value) == 0
        self.model.write(where, value)

    def read(self, where):
        """The value that both show."""
        response, value = self.rtl.simulation.read(where)
        assert response == 0 and value == self.model.read(where), (hex(where), hex(value))
        return value

    def settle(self):
        """Lets time pass until neither is busy."""
        for read in (lambda where: self.rtl.simulation.read(where)[1], self.model.read):
            for _ in range(1000):
                if not read(offset("STATUS")) & 1:
                    break
            else:
                raise AssertionError("still busy")
        assert self.rtl.simulation.clock(1) == self.model.irq

    def compare(self):
        for path in COMPARED:
            self.read(offset(path))

    def run(self):
        """A start with batches that end, or fault, soon."""
        choose = self.random
        epoch = choose.randint(0, 6)
        values = {"BATCHES": choose.randint(0, 4), "MODE": choose.getrandbits(3), "EPOCH_BATCHES": epoch,
                  "ORDER": choose.randrange(max(1, epoch)), "ORDER_STEP": choose.randint(0, epoch),
                  "WINDOW_FIRST": 0, "WINDOW_LAST": choose.choice((BYTES - 1, BYTES - 1, GOOD + 62))}
        for program in range(6):
            values[f"PROGRAM[{program}].ADDRESS"] = BAD if choose.random() < 0.1 else GOOD
            values[f"PROGRAM[{program}].SIZE"] = 0 if choose.random() < 0.1 else 64
        for path, value in values.items():
            self.write(offset(path), value)
        faulted = self.read(offset("STATUS")) & 0b100
        self.write(offset("CONTROL"), START)
        if faulted:
            assert self.read(offset("STATUS")) & 0b101 == 0b100, "a start is ignored"
        self.settle()


@pytest.mark.parametrize("seed", range(4))
def test_random_accesses_give_the_same_on_both(seed):
    pair, seen = Pair(seed), set()
    pair.compare()
    for _ in range(60):
        for _ in range(pair.random.randint(1, 8)):
            where = pair.random.choice(ANYWHERE)
            pair.write(where, pair.random.choice((0, 1, 2, 3, 0xFFFFFFFF, pair.random.getrandbits(32))))
            if pair.random.random() < 0.5:
                pair.read(offset(pair.random.choice(COMPARED)))
        action = pair.random.random()
        if action < 0.5:
            pair.run()
        elif action < 0.8:
            pair.write(offset("CONTROL"), pair.random.choice((RESET, CLEAR, RESET | START, WRITE_BACK, RESET | CLEAR)))
            pair.settle()
        pair.compare()
        seen.add(pair.read(offset("STATUS")) & 0b111)
        seen.add(("cause", pair.read(offset("FAULT_CAUSE"))))
    assert {0b000, 0b010, 0b100} <= seen and len(seen) >= 6, "idle, done and faulted, by several causes"
