"""Boards on which a machine runs with its memory on the chip, reached over a serial line.

``build(board, config, folder)`` is behind ``adagp board``: ``board`` is a name in ``BOARDS``.
"""

from .flow import BoardBuild, build
from .catalogue import BOARDS, Board

__all__ = ["BOARDS", "Board", "BoardBuild", "build"]
