"""What stays in the predictor memory through a run, and its copy in external memory."""

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Format, Memory

from .emitter import Emitter
from .program import CompileError
from .tensors import Layout, Tensor


class Residence:
    """A predictor's resident tensors: what lives from batch to batch.

    They lie in the predictor memory if the design has one, else in external memory as everything
    else. With a predictor memory every tensor has a copy of the same name in ``external``, from which
    ``enter`` fills it and to which ``leave`` writes it back. ``names`` are those of all, ``layout`` has them.
    """

    def __init__(self, config: AcceleratorConfig, external: Layout):
        self._config, self._external = config, external
        self.layout = Layout(local=True) if config.design.has_predictor_memory else external
        self.names: list[str] = []

    def place(self, name: str, shape: tuple[int, ...], format: Format) -> Tensor:
        """As :meth:`Layout.place`."""
        self.names.append(name)
        return self.layout.place(name, shape, format)

    def settle(self) -> None:
        """Gives every resident tensor its copy; to be called when all are placed."""
        if not self.layout.local:
            return
        room = 4 * self._config.predictor_elements
        if self.layout.size > room:
            raise CompileError(f"predictor: needs {self.layout.size // 4} of AcceleratorConfig.predictor_elements, "
                               f"which is {self._config.predictor_elements}")
        self._copies = [(tensor, self._external.place(tensor.name, tensor.shape, tensor.format))
                        for tensor in self.layout.tensors.values()]

    def enter(self, e: Emitter, side: Emitter) -> None:
        """External memory → predictor memory."""
        for tensor, copy in self._copies:
            _move(e, copy, tensor)

    def leave(self, e: Emitter, side: Emitter) -> None:
        """Predictor memory → external memory."""
        for tensor, copy in self._copies:
            _move(e, tensor, copy)


def _move(e: Emitter, source: Tensor, target: Tensor) -> None:
    """By way of the vector memory, in pieces that overlap."""
    e.scratch.begin(f"copy of {source.name}")
    lanes, size = e.config.vector_lanes, source.format.bytes
    room = min(e.scratch.bank_words * lanes, 1 << 15)
    words = [e.scratch.vector(room // lanes, bank) for bank in range(4)]
    for number, first in enumerate(range(0, source.elements, room)):
        length, word = min(room, source.elements - first), words[number % 4]
        e.load(source, first * size, Memory.VECTOR, word * lanes, length)
        e.store(target, first * size, word * lanes, length)
