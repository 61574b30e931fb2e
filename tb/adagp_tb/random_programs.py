"""Random legal programs: the same run on the golden machine and on the hardware, and every bit of
external memory must agree.

A program works in small zones of the scratchpads (which may wrap around their ends), of external
memory and of the predictor memory, so that instructions meet each other's data, and ends by storing
the zones.
"""

from dataclasses import dataclass, replace

import numpy as np

from adagp.compiler.chaining import WrittenWords
from adagp.golden.accesses import History, accesses
from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import (
    INSTRUCTION_BYTES, End, Engine, Fill, Format, Instruction, Load, Memory, Pass, Store, Vector, encode)
from adagp.spec.machine import Machine

from .random_instructions import ZONE_BYTES, Maker, Unit

MEMORY_BYTES = 1 << 17
"""External memory that a program needs: its zone from 0, its dump, the instructions at the end."""

PROGRAM_ADDRESS = 3 << 15


@dataclass(frozen=True, kw_only=True)
class RandomProgram:
    """Instructions that end with ``End`` and what must be in place before they run."""

    instructions: list[Instruction]
    image: np.ndarray  # uint8 [MEMORY_BYTES], with the program
    bases: list[int]

    def place(self, machine: Machine) -> None:
        """Writes image and registers, so that ``machine.run()`` runs the program once."""
        machine.memory[:self.image.size] = self.image
        machine.write("MODE", 1)
        machine.write("BATCHES", 1)
        machine.write("PROGRAM[3].ADDRESS", PROGRAM_ADDRESS)
        machine.write("PROGRAM[3].SIZE", len(self.instructions) * INSTRUCTION_BYTES)
        machine.write("WINDOW_FIRST", 0)
        machine.write("WINDOW_LAST", MEMORY_BYTES - 1)
        for index, base in enumerate(self.bases):
            machine.write(f"BASE[{index}]", base)


def random_program(config: AcceleratorConfig, seed: int, *, length: int = 40, overlap: bool = False) -> RandomProgram:
    """A program of ``length`` random instructions, then stores of everything that it may have changed
    (but the QUALITY registers). With a predictor memory it first copies some data there.

    Without ``overlap`` each instruction waits for the one before it if that runs on another
    engine; with it, only for those whose data it touches, so that engines really run ahead.
    """
    if not 0 <= length <= 400:
        raise ValueError(f"length must be from 0 to 400, not {length!r}")
    rng = np.random.default_rng(seed)
    maker = Maker(config, rng)
    body = _prepare(maker) + [maker.instruction() for _ in range(length)]
    body += _Dump(maker).instructions
    instructions = [*_synchronised(body, maker.bases, config, rng, overlap=overlap), End()]
    code = b"".join(map(encode, instructions))
    image = np.zeros(MEMORY_BYTES, np.uint8)
    image[:ZONE_BYTES] = _random_data(rng)
    image[PROGRAM_ADDRESS:PROGRAM_ADDRESS + len(code)] = np.frombuffer(code, np.uint8)
    return RandomProgram(instructions=instructions, image=image, bases=maker.bases)


def _random_data(rng: np.random.Generator) -> np.ndarray:
    """Bytes that make sense as operands and as float32: ordinary values, with specials now and then."""
    values = (rng.standard_normal(ZONE_BYTES // 2) * 2.0 ** rng.integers(-4, 5)).astype(np.float32).view(np.uint32)
    encoded = (values >> 16).astype(np.uint16)
    share = rng.choice([0, 0.02, 0.3])
    special = rng.random(encoded.size) < share
    choices = np.array([0, 0x8000, 1, 0x807F, 0x0080, 0x8081, 0x2000, 0x1F81, 0x7F7F, 0xFF7F, 0x5F80, 0xDF00], np.uint16)
    if rng.random() < 0.3:
        choices = np.append(choices, np.array([0x7F80, 0xFF80, 0x7FC0, 0xFF81], np.uint16))
    encoded[special] = rng.choice(choices, special.sum())
    return encoded.view(np.uint8)


def _prepare(maker: Maker) -> list[Instruction]:
    """Data from external memory in the zone of the predictor memory."""
    local, vector = maker.local, maker.zones[Memory.VECTOR]
    if not local:
        return []
    run = dict(format=Format.FLOAT32, length=local.size // 4)
    return [Load(memory=Memory.VECTOR, base=0, offset=-maker.bases[0] % (1 << 32), destination=vector.first, **run),
            Store(local=1, offset=local.first, source=vector.first, **run)]


class _Dump:
    """Instructions that store the zones one after the other, all through the zone of vector words."""

    def __init__(self, maker: Maker):
        self.maker, self.address, self.instructions = maker, ZONE_BYTES, []
        self.words()
        if maker.local:
            self.local()
        for unit in maker.units:
            self.stationary(unit)
            self.stream(unit)
        if self.address > PROGRAM_ADDRESS:
            raise ValueError(f"rows and vector_lanes must be small enough to dump {PROGRAM_ADDRESS - ZONE_BYTES} bytes, "
                             f"not {maker.config.rows} and {maker.config.vector_lanes}")

    def words(self, count: int | None = None) -> None:
        """The first ``count`` words of the zone, or all."""
        maker, lanes = self.maker, self.maker.config.vector_lanes
        count = maker.words.size if count is None else count
        self.instructions.append(Store(
            format=Format.FLOAT32, base=0, offset=(self.address - maker.bases[0]) % (1 << 32),
            source=maker.zones[Memory.VECTOR].first, length=lanes, count0=count, source_stride0=lanes,
            destination_stride0=4 * lanes, dense=1))
        self.address += 4 * lanes * count

    def local(self) -> None:
        """The predictor memory, which is at most as large as the zone of vector words."""
        zone, lanes = self.maker.local, self.maker.config.vector_lanes
        self.instructions.append(Load(
            memory=Memory.VECTOR, local=1, format=Format.FLOAT32, offset=zone.first,
            destination=self.maker.zones[Memory.VECTOR].first, length=zone.size // 4))
        self.words(-(-zone.size // (4 * lanes)))

    def stationary(self, unit: Unit) -> None:
        """Stationary operands: as the weights of one row, met by a stream of ones."""
        zone, shape, words = self.maker.zones[unit.stationary], unit.shape, self.maker.words
        ones = self.beyond(unit.stream, shape.rows, shape.rows)
        tiles = -(-zone.size // shape.columns)
        for first in range(0, tiles, words.size):
            count = min(words.size, tiles - first)
            self.instructions.append(unit.kind(
                tag=Pass.FORWARD, columns=shape.columns, stream=ones, accumulator=words.first,
                stationary=(zone.first + first * shape.columns) % zone.modulus, stream_count0=1, row_count0=1,
                outer_count0=count, stationary_outer_stride0=shape.columns, accumulator_outer_stride0=1))
            self.words(count)

    def stream(self, unit: Unit) -> None:
        """Streamed operands: one at a time, met by a weight of one."""
        zone, words = self.maker.zones[unit.stream], self.maker.words
        one = self.beyond(unit.stationary, 0, 1)
        for first in range(0, zone.size, words.size):
            count = min(words.size, zone.size - first)
            self.instructions.append(unit.kind(
                tag=Pass.FORWARD, columns=1, stream=(zone.first + first) % zone.modulus, stationary=one,
                accumulator=words.first, stream_count0=count, row_count0=1, stream_stride0=1))
            self.words(count)

    def beyond(self, memory: Memory, distance: int, length: int) -> int:
        """Where ``length`` ones stand, ``distance`` after the zone."""
        zone = self.maker.zones[memory]
        place = (zone.first + zone.size + distance) % zone.modulus
        self.instructions.append(Fill(memory=memory, value=0x3F800000, destination=place, length=length))
        return place


def _synchronised(body: list[Instruction], bases: list[int], config: AcceleratorConfig,
                  rng: np.random.Generator, *, overlap: bool) -> list[Instruction]:
    """``body`` with tokens, and with vector instructions as close behind each other as may be, or less."""
    history = History(config, MEMORY_BYTES)
    waits: list[set[int]] = []  # numbers of the instructions whose token is taken
    waited: dict[tuple[Engine, Engine], int] = {}
    words, distances = WrittenWords(config), {}
    for number, instruction in enumerate(body):
        touched = accesses(instruction, bases, config)
        conflicts = list(history.conflicts(touched))
        if isinstance(instruction, Vector):
            each = int(rng.integers(2))
            most = words.distances(instruction)[each]
            distances[number] = {"behind": most if rng.random() < 0.7 else int(rng.integers(most + 1)), "each": each}
            words.issue(instruction)
        candidates = conflicts if overlap else [number - 1] if number else []
        chosen = set()
        for engine in Engine:
            latest = max((other for other in candidates if body[other].engine == engine), default=-1)
            if engine != instruction.engine and latest > waited.get((engine, instruction.engine), -1):
                waited[engine, instruction.engine] = latest
                chosen.add(latest)
        waits.append(chosen)
        history.record(number, instruction.engine, touched)
    signals = [frozenset(body[taker].engine for taker in range(len(body)) if number in waits[taker])
               for number in range(len(body))]
    return [replace(instruction, wait=frozenset(body[giver].engine for giver in waits[number]), signal=signals[number],
                    **distances.get(number, {}))
            for number, instruction in enumerate(body)]
