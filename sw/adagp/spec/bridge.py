"""What a host and the bridge of a board say to each other, byte by byte.

A request is a header of :data:`HEADER_BYTES`: the command, a byte address (4 bytes) and the number of
words less one. The words of a write follow it. The answer is the words of a read, then one byte of
:class:`Status`. A word has 4 bytes; all numbers are little-endian. The answer to a whole request of a
known command is as long as that, whatever the status; where that is not OK, the words from the first
one that failed on are zero, and none of those was written.

A request that breaks off, an unknown command and a disturbed byte are answered with the status alone,
after the line has been silent for a while; what comes until then is ignored. So a host that does not
know where the bridge is waits for as long, forgets what it received, and begins anew.
"""

from enum import IntEnum

HEADER_BYTES = 6
WORD_BYTES = 4
MOST_WORDS = 256
"""Words of one request."""


class Command(IntEnum):
    """The first byte of a request. READ_BRIDGE has the one word 0: bytes of the board's memory."""

    READ_REGISTERS = ord("r")
    WRITE_REGISTERS = ord("w")
    READ_MEMORY = ord("R")
    WRITE_MEMORY = ord("W")
    READ_BRIDGE = ord("?")


class Status(IntEnum):
    """The last byte of an answer.

    COMMAND: there is none of this code. INCOMPLETE: the request broke off. LINE: a byte without a stop
    bit, or one that nobody had room for. ADDRESS: not a multiple of 4, or nothing is there. TIMEOUT: the
    machine's registers did not answer. BUS: they answered with an error.
    """

    OK = 0
    COMMAND = 1
    INCOMPLETE = 2
    LINE = 3
    ADDRESS = 4
    TIMEOUT = 5
    BUS = 6


def request(command: Command, address: int, words: int) -> bytes:
    """The header of a request for 1 to :data:`MOST_WORDS` words."""
    if not 1 <= words <= MOST_WORDS:
        raise ValueError(f"words must be from 1 to {MOST_WORDS}, not {words!r}")
    return bytes([command]) + address.to_bytes(4, "little") + bytes([words - 1])
