"""The machine's fixed latencies, in cycles, as its components document them."""

OPERAND_READ = 3
"""Read of an operand memory."""
VECTOR_READ = 2
"""Read of the vector memory, from the grant."""
ADDER = 6
MULTIPLIER = 4
PRODUCT = 3
"""From an operand at a processing element to its product at the adder there."""

ACCUMULATOR = VECTOR_READ + ADDER
"""From the read of an accumulator to its write: so long a vector that adds to the same word has to stay behind."""
VECTOR_UNIT = VECTOR_READ + MULTIPLIER + ADDER + 1
"""From the grant of a word's last operand to its write."""

TOKEN = 2
"""From the end of the instruction that gives a token to the offer of the one that takes it."""
QUEUE = 2
"""From dispatch to the offer of an instruction to its engine, and from one offer to the next."""
IN_FLIGHT = 16
"""Instructions that an engine holds without having finished one."""

REQUEST = 3
"""From a run of bytes that a reader takes to its first burst at the bus."""
BUFFERED = 2
"""From a beat on the bus to its offer behind the read buffer."""
REORDERED = 1
"""The same again where runs of external and of predictor memory are put into one order."""
WRITTEN = 3
"""From a chunk that the load engine aligns to the end of an instruction that it was the last of."""
STORED = 5
"""From a piece that the store engine reads to its beat counting among those that a burst may take."""
LOCAL = 6
"""From a run of the predictor memory that a reader takes to its first beat."""


def array(rows: int, columns: int) -> int:
    """From the issue of a vector to the write of its sums."""
    return 1 + OPERAND_READ + 1 + PRODUCT + rows * ADDER + columns - 1 + ADDER
