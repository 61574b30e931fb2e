"""Boards on which a machine runs with its memory on the chip, reached over a serial line."""

from .build import BOARDS, Board, BoardBuild, build_board

__all__ = ["BOARDS", "Board", "BoardBuild", "build_board"]
