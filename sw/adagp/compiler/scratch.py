"""Room in the scratchpads for one operation at a time."""

from collections.abc import Sequence

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Engine

from .program import CompileError

_BANKS = 4
"""Banks that operations spread their words over."""


class Scratch:
    """Hands out parts of the operand memories of one array and of the banks of the vector memory.

    An operation takes all it needs and gives it back as a whole when the next one begins; the
    next one starts from the other end, so that it can begin before the former has ended. Which
    accesses must wait for which is found by the :class:`~.program.ProgramBuilder`.

    ``array`` is ARRAY or PREDICTOR. Only the ``banks`` of the vector memory are handed out, by default
    all. Where there are fewer than four, they are divided into four.
    """

    def __init__(self, config: AcceleratorConfig, array: Engine = Engine.ARRAY, *, banks: Sequence[int] | None = None):
        self._size = config.vector_words // config.vector_banks
        self._banks = range(config.vector_banks) if banks is None else banks
        if not self._banks or not set(self._banks) <= set(range(config.vector_banks)):
            raise ValueError(f"Scratch.banks must be some of {config.vector_banks} banks, not {self._banks!r}")
        self.bank_words = self._size // -(-_BANKS // len(self._banks))
        shape, prefix = ((config.array, "AcceleratorConfig.") if array is Engine.ARRAY
                         else (config.predictor_array, "AcceleratorConfig.predictor_"))
        self.stream_parameter, self.stationary_parameter = f"{prefix}stream_elements", f"{prefix}stationary_elements"
        self._stream, self._stationary = shape.stream_elements, shape.stationary_elements
        self._parity = 1
        self.begin("")

    def begin(self, operation: str) -> None:
        """Frees everything; ``operation`` is named in errors."""
        self._operation = operation
        self._parity ^= 1
        self._used = {"stream": 0, "stationary": 0, **{bank: 0 for bank in range(max(_BANKS, len(self._banks)))}}

    def stream(self, elements: int) -> int:
        """Address of ``elements`` operands of the stream memory."""
        return self._take("stream", elements, self._stream, self.stream_parameter)

    def stationary(self, elements: int) -> int:
        return self._take("stationary", elements, self._stationary, self.stationary_parameter)

    def vector(self, words: int, bank: int) -> int:
        """Word address of ``words`` words of one bank; banks work at the same time."""
        bank = self._bank(bank)
        part, bank_of = divmod(bank, len(self._banks))
        start = self._banks[bank_of] * self._size + part * self.bank_words
        return start + self._take(bank, words, self.bank_words, "AcceleratorConfig.vector_words / vector_banks")

    def free_vector(self, bank: int) -> int:
        return self.bank_words - self._used[self._bank(bank)]

    def free_stream(self) -> int:
        return self._stream - self._used["stream"]

    def free_stationary(self) -> int:
        return self._stationary - self._used["stationary"]

    def _bank(self, bank: int) -> int:
        banks = max(_BANKS, len(self._banks))
        return (banks - 1 - bank if self._parity else bank) % banks

    def _take(self, space, amount: int, size: int, parameter: str) -> int:
        used = self._used[space]
        if used + amount > size:
            raise CompileError(f"{self._operation}: needs {used + amount} of {parameter}, of which it has {size}")
        self._used[space] = used + amount
        return size - used - amount if self._parity else used
