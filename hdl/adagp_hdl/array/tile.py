"""What the loader tells the streamer about a tile."""

from amaranth.lib import data, enum


class Following(enum.Enum, shape=2):
    """What comes after a tile: the innermost loop that goes on."""

    CHUNK = 0
    OUTER0 = 1
    OUTER1 = 2
    END = 3


def tile_layout(rows: int) -> data.StructLayout:
    """``active``: rows that exist; ``macs``: their number times the columns in use."""
    return data.StructLayout({"active": rows, "macs": 16, "following": Following})
