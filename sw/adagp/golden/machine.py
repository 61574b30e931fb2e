"""The golden machine: executes programs one instruction after the other, bit for bit."""

import numpy as np

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import (
    INSTRUCTION_BYTES, TOKEN_LIMIT, Array, End, Engine, FaultCause, Load, PredictorArray, Store)
from adagp.spec.machine import MachineFault
from adagp.spec.registers import field
from adagp.spec.schedule import Phase

from .array_unit import multiply_accumulates
from .check import Checker
from .program import Decoder, Scratchpads, Step
from .registers import QUALITIES, RegisterFile
from .transfer import transferred_bytes


class GoldenMachine:
    """A :class:`adagp.spec.machine.Machine` without time.

    ``memory`` is uint8 [memory_bytes]; ``stream``, ``stationary``, ``predictor_stream`` and
    ``predictor_stationary`` are uint16 operand bits, ``vector`` is float32 [words, lanes];
    ``predictor_memory`` is uint8. All are writable in place and zero at first. What a design has
    none of is there too, but out of reach of its programs.

    Counters are those that do not need time: PASS_MACS, LAYER_MACS, PHASE_BATCHES, INSTRUCTIONS (with End),
    BYTES_READ and BYTES_WRITTEN (bytes that the program asks for, not those of whole beats).

    A fault leaves memories, BASE and BATCH as they were when the faulting instruction started, so
    a register write ``CONTROL`` = 2 (reset) and a new run recover. Where only time decides what is
    seen, the sequential order decides here: DEADLOCK names the address after the instruction whose
    token is missing, TOKEN the instruction that gives one too many.

    ``check=True`` also verifies the rules that :mod:`adagp.spec.isa` states for programs and that
    tokens order every conflict between engines; :class:`adagp.golden.check.ProgramError` names
    the two instructions. This is slow.
    """

    def __init__(self, config: AcceleratorConfig, memory_bytes: int, *, check: bool = False):
        if memory_bytes <= 0 or memory_bytes % INSTRUCTION_BYTES or memory_bytes > 1 << 32:
            raise ValueError(f"memory_bytes must be a positive multiple of {INSTRUCTION_BYTES} "
                             f"up to 2**32, not {memory_bytes!r}")
        self.config = config
        self.memory = np.zeros(memory_bytes, np.uint8)
        self.stream = np.zeros(config.stream_elements, np.uint16)
        self.stationary = np.zeros(config.stationary_elements, np.uint16)
        self.vector = np.zeros((config.vector_words, config.vector_lanes), np.float32)
        self.predictor_stream = np.zeros(config.predictor_stream_elements, np.uint16)
        self.predictor_stationary = np.zeros(config.predictor_stationary_elements, np.uint16)
        self.predictor_memory = np.zeros(4 * config.predictor_elements, np.uint8)
        quality = np.zeros(QUALITIES, np.uint32)
        self._decoder = Decoder(config, self.memory, Scratchpads(
            self.stream, self.stationary, self.vector, self.predictor_stream, self.predictor_stationary,
            self.predictor_memory, quality))
        self._registers = RegisterFile(config, quality)
        self._check = check

    def write(self, register: str, value: int) -> None:
        """Writes a 32-bit register. Writing CONTROL.start is :meth:`run`."""
        if register != "CONTROL":
            self._registers.write(register, value)
            return
        if value & 0b010:
            self._registers.reset()
        if value & 0b100:
            self._registers.clear_counters()
        if value & 0b001:
            self.run()

    def read(self, register: str) -> int:
        """Reads a 32-bit register."""
        return self._registers.read(register)

    def counter(self, name: str) -> int:
        """A 64-bit counter; those of time stay 0."""
        return self._registers.counter(name)

    def run(self) -> None:
        """Executes BATCHES batches. Raises :class:`MachineFault`, and again until a reset."""
        registers = self._registers
        if registers.values["STATUS"] & 0b100:
            raise MachineFault(FaultCause(registers.values["FAULT_CAUSE"]), registers.values["FAULT_ADDRESS"])
        with np.errstate(all="ignore"):
            self._run_extra(Phase.ENTER)
            for _ in range(registers.values["BATCHES"]):
                phase = registers.phase()
                self._run_program(phase)
                registers.complete_batch(phase)
            self._run_extra(Phase.LEAVE)
        registers.set_status()

    def _run_extra(self, phase: Phase) -> None:
        """ENTER or LEAVE, if there is such a program and it is wanted."""
        values = self._registers.values
        if values[f"PROGRAM[{int(phase)}].SIZE"] and not values["MODE"] & field("MODE", "stay").mask:
            self._run_program(phase)
            self._registers.counters[f"PHASE_BATCHES[{int(phase)}]"] += 1

    def _run_program(self, phase: Phase) -> None:
        self._registers.running = phase
        try:
            self._execute(phase)
        except MachineFault as fault:
            self._registers.set_status(cause=fault.cause, address=fault.address)
            raise

    def _execute(self, phase: Phase) -> None:
        registers = self._registers
        start, size = (registers.values[f"PROGRAM[{int(phase)}].{name}"] for name in ("ADDRESS", "SIZE"))
        bases, window = registers.bases(), registers.window()
        tokens = [[0] * len(Engine) for _ in Engine]  # [from][to]
        checker = Checker(self.config, self.memory.size) if self._check else None
        for index, step in enumerate(self._decoder.program(start, size, window)):
            address = start + index * INSTRUCTION_BYTES
            if step is None:
                raise MachineFault(FaultCause.OVERRUN if index == size // INSTRUCTION_BYTES
                                   else FaultCause.ILLEGAL_INSTRUCTION, address)
            if isinstance(step.instruction, End):
                if any(map(any, tokens)):
                    raise MachineFault(FaultCause.TOKEN, address)
                registers.counters["INSTRUCTIONS"] += 1
                return
            _take(tokens, step, address)
            step.execute(bases, window)
            if checker:
                checker.issue(step.instruction, bases)
            _give(tokens, step, address)
            self._book(step)

    def _book(self, step: Step) -> None:
        counters, instruction = self._registers.counters, step.instruction
        counters["INSTRUCTIONS"] += 1
        match instruction:
            case PredictorArray():
                pass
            case Array():
                macs = multiply_accumulates(instruction)
                counters[f"PASS_MACS[{int(instruction.tag)}]"] += macs
                self._registers.layer_macs[instruction.layer] += macs
            case Load() | Store() if instruction.local:
                pass
            case Load():
                counters["BYTES_READ"] += transferred_bytes(instruction)
            case Store():
                counters["BYTES_WRITTEN"] += transferred_bytes(instruction)


def _take(tokens: list[list[int]], step: Step, address: int) -> None:
    engine = step.instruction.engine
    for giver in step.instruction.wait:
        if not tokens[giver][engine]:
            raise MachineFault(FaultCause.DEADLOCK, address + INSTRUCTION_BYTES)
    for giver in step.instruction.wait:
        tokens[giver][engine] -= 1


def _give(tokens: list[list[int]], step: Step, address: int) -> None:
    engine = step.instruction.engine
    for taker in step.instruction.signal:
        if tokens[engine][taker] == TOKEN_LIMIT:
            raise MachineFault(FaultCause.TOKEN, address)
        tokens[engine][taker] += 1
