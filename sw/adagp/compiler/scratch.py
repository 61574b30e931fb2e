"""Room in the scratchpads for one operation at a time."""

from adagp.spec.config import AcceleratorConfig

from .program import CompileError


class Scratch:
    """Hands out parts of the operand memories and of the banks of the vector memory.

    An operation takes all it needs and gives it back as a whole when the next one begins; the
    next one starts from the other end, so that it can begin before the former has ended. Which
    accesses must wait for which is found by the :class:`~.program.ProgramBuilder`.
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        self.bank_words = config.vector_words // config.vector_banks
        self._parity = 1
        self.begin("")

    def begin(self, operation: str) -> None:
        """Frees everything; ``operation`` is named in errors."""
        self._operation = operation
        self._parity ^= 1
        self._used = {"stream": 0, "stationary": 0, **{bank: 0 for bank in range(self.config.vector_banks)}}

    def stream(self, elements: int) -> int:
        """Address of ``elements`` operands of the stream memory."""
        return self._take("stream", elements, self.config.stream_elements, "stream_elements")

    def stationary(self, elements: int) -> int:
        return self._take("stationary", elements, self.config.stationary_elements, "stationary_elements")

    def vector(self, words: int, bank: int) -> int:
        """Word address of ``words`` words of one bank; banks work at the same time."""
        bank = (self.config.vector_banks - 1 - bank if self._parity else bank) % self.config.vector_banks
        return bank * self.bank_words + self._take(bank, words, self.bank_words, "vector_words / vector_banks")

    def free_stream(self) -> int:
        return self.config.stream_elements - self._used["stream"]

    def free_stationary(self) -> int:
        return self.config.stationary_elements - self._used["stationary"]

    def _take(self, space, amount: int, size: int, parameter: str) -> int:
        used = self._used[space]
        if used + amount > size:
            raise CompileError(f"{self._operation}: needs {used + amount} of AcceleratorConfig.{parameter}, "
                               f"which is {size}")
        self._used[space] = used + amount
        return size - used - amount if self._parity else used
