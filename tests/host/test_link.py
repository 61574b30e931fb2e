"""The host's side of the line, against streams that misbehave."""

import sys

import pytest

from adagp.host import BridgeError, Link, open_serial
from adagp.spec.bridge import Status


class Stream:
    """Answers every request with ``answer``, then is silent."""

    def __init__(self, answer: bytes):
        self.answer, self.pending = answer, b""

    def write(self, data: bytes) -> None:
        self.pending += self.answer

    def read(self, size: int) -> bytes:
        taken, self.pending = self.pending[:size], self.pending[size:]
        return taken


@pytest.mark.parametrize("answer, status, why", [
    (b"", None, "0 of 5 bytes came"), (b"abc", None, "3 of 5 bytes came"),
    (bytes([Status.INCOMPLETE]), Status.INCOMPLETE, "INCOMPLETE"), (bytes([Status.OK]), None, "the bridge answered 0x00"),
    (b"\x77", None, "the bridge answered 0x77"), (b"abcd\x55", None, "the bridge answered 0x55"),
    (bytes(4) + bytes([Status.TIMEOUT]), Status.TIMEOUT, "TIMEOUT"), (b"abcd\x00rest", None, None)])
def test_answer(answer, status, why):
    stream = Stream(answer)
    link = Link(stream)
    if why is None:
        assert link.read_memory(0, 4) == b"abcd"
        return
    with pytest.raises(BridgeError, match=f"READ_MEMORY of 0x00000000 failed: {why}") as failure:
        link.read_memory(0, 4)
    assert failure.value.status is status and not stream.pending


@pytest.mark.parametrize("size", [1, 1023])
def test_odd_sizes_are_refused(size):
    with pytest.raises(ValueError, match=f"size must be a multiple of 4 bytes, not {size}"):
        Link(Stream(b"")).write_memory(0, bytes(size))


def test_serial_port_without_pyserial_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(RuntimeError, match="pip install pyserial"):
        open_serial("/dev/ttyUSB0", 1_000_000)
