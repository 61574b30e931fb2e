"""A machine on a board, used from Python over its serial line."""

from .link import BridgeError, ByteStream, Link, open_serial
from .machine import HostedMachine

__all__ = ["BridgeError", "ByteStream", "HostedMachine", "Link", "open_serial"]
