"""Time of ``Load`` and ``Fill`` instructions."""

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Engine as Engines
from adagp.spec.isa import Format, Memory, Opcode

from .banks import Banks
from .engine import Engine
from .load_pieces import Chunks, Run, Transfer, chunks_of, run_of
from .load_requests import Requests
from .load_writes import TRANSFERS, Writes
from .memory import ReadChannel
from .runs import nested, starts
from .transfers import block_columns


class LoadTime(Engine):
    """The load engine: its :class:`Requests` run ahead of its :class:`Writes`."""

    def __init__(self, config: AcceleratorConfig, channel: ReadChannel, banks: Banks, bases: tuple[int, ...]):
        super().__init__()
        self._config, self._banks, self._bases = config, banks, bases
        self._writes = Writes(config, self.completed)
        self._requests = Requests(config, channel, self._writes)

    @property
    def holds(self) -> bool:
        return bool(self._requests.waiting)

    @property
    def accepts(self) -> bool:
        return not self.holds and len(self._writes.begun) < TRANSFERS

    @property
    def time(self) -> int:
        self._request, write = self._requests.time, self._writes.time
        self._requests_next = self._request <= write
        return self._request if self._requests_next else write

    def begin(self, i, offered: int) -> None:
        begun = self._writes.begin(offered)
        if i.opcode == Opcode.FILL:
            self.free = begun
            fill = self._fill(i, begun)
            if fill.port:
                fill.port.users[Engines.LOAD] += 1
            self._requests.follow(fill)
            return
        port = None if i.memory != Memory.VECTOR else self._banks.writes(i.destination // self._config.vector_lanes)
        if port:
            port.users[Engines.LOAD] += 1
        self._requests.begin(Transfer(bool(i.local), bool(i.transpose), port, begun), self._runs_of(i))
        self.free = self._requests.taken

    def step(self) -> None:
        if self._requests_next:
            self._requests.step(self._request)
            self.free = self._requests.taken
        else:
            self._writes.step()

    def _runs_of(self, i) -> list[Run]:
        config, size = self._config, Format(i.format).bytes
        bus, cap = config.bus_bytes, config.bus_bytes // size
        base = 0 if i.local else self._bases[i.base]
        if i.transpose:
            return self._rows_of(i, base + i.offset, size, cap)
        lanes = config.vector_lanes if i.memory == Memory.VECTOR else None
        each = chunks_of(i.destination, i.length, cap, lanes)
        groups = i.count0 if i.dense else 1
        length = groups * i.length * size
        last = ((i.length - 1) % cap + 1) * size
        return [run_of(place, length, bus, groups * each, each, last)
                for place in starts(base, i.offset, i, "source", dense=i.dense)]

    def _rows_of(self, i, first: int, size: int, cap: int) -> list[Run]:
        """Of a transposed load: all rows of a block of columns before the next block."""
        config, runs = self._config, []
        most = block_columns(config)
        for start in nested(first, [(i.count1, i.source_stride1), (i.count2, i.source_stride2)]):
            for column in range(0, i.length, most):
                columns = min(most, i.length - column)
                place = start + column * size
                for _ in range(i.count0):
                    runs.append(run_of(place, columns * size, config.bus_bytes, -(-columns // cap), 2,
                                     ((columns - 1) % cap + 1) * size))
                    place += i.source_stride0
                runs[-1].block = columns
        return runs

    def _fill(self, i, begun: int) -> Chunks:
        config, memory = self._config, Memory(i.memory)
        lanes = {Memory.STREAM: config.array.stream_lanes, Memory.STATIONARY: config.array.stationary_lanes,
                 Memory.VECTOR: config.vector_lanes, Memory.PREDICTOR_STREAM: config.predictor_array.stream_lanes,
                 Memory.PREDICTOR_STATIONARY: config.predictor_array.stationary_lanes}[memory]
        port = None if memory != Memory.VECTOR else self._banks.writes(i.destination // lanes)
        each = chunks_of(i.destination, i.length, lanes, lanes if port else None)
        return Chunks(each * i.count0 * i.count1 * i.count2, begun + 4, 0, port=port, last=True, group=each, opens=True, fill=True)
