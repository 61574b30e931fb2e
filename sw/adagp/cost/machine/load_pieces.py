"""What the two sides of the load engine's model hand on."""

from dataclasses import dataclass

from .banks import Port


@dataclass(slots=True)
class Transfer:
    """What all runs of an instruction have in common; ``begun`` is when it was taken."""

    local: bool
    rows: bool
    port: Port | None
    begun: int


@dataclass(slots=True)
class Run:
    """Consecutive bytes to fetch: beats [first, beyond), written in ``chunks``, ``group`` of them for each group.
    Where the last chunk ``crosses`` from a beat into the next, the latter is used up at once, and the next run's first
    comes a cycle later. ``block`` is the number of columns that are written after it, where it is the last row of a block
    to transpose."""

    first: int
    beyond: int
    chunks: int
    group: int
    crosses: bool
    block: int = 0
    opens: bool = False
    last: bool = False


def run_of(address: int, length: int, bus: int, chunks: int, group: int, last: int) -> Run:
    """``last``: bytes of the last chunk."""
    first, end = address // bus, address + length
    beyond = (end - 1) // bus + 1
    crosses = (end - last) // bus + 1 < beyond
    return Run(first, beyond, chunks, group, crosses)


@dataclass(slots=True)
class Chunks:
    """``chunks`` to align, the first not before cycle ``first``, the last not before ``final``. ``port``: of the vector
    memory, ``beats``: room in the read buffer that they leave, ``rest``: cycles in which nothing is aligned afterwards,
    ``last``: of an instruction."""

    chunks: int
    first: int
    final: int
    beats: int = 0
    port: Port | None = None
    rows: bool = False
    block: int = 0
    last: bool = False
    group: int = 2
    opens: bool = False
    fill: bool = False
    rest: int = 0
    done: int = 0

    @property
    def next(self) -> int:
        """When its next chunk can be aligned, as far as its beats are concerned."""
        return max(self.first + self.done, self.final if self.done + 1 == self.chunks else 0)


def chunks_of(position: int, length: int, cap: int, lanes: int | None) -> int:
    """Writes of ``length`` elements from ``position`` on, of ``cap`` at most; of words of so many ``lanes``, never
    beyond the word."""
    if lanes is None:
        return -(-length // cap)
    count, inside = 0, position % lanes
    if inside:
        part = min(length, lanes - inside)
        count, length = -(-part // cap), length - part
    words, rest = divmod(length, lanes)
    return count + words * -(-lanes // cap) + -(-rest // cap)
