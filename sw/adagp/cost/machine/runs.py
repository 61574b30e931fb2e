"""Where the runs of bytes of a transfer begin."""

import numpy as np


def starts(base: int, offset: int, i, side: str, *, dense: int) -> list[int]:
    """Addresses of the runs of a ``Load`` (side "source") or ``Store`` ("destination"), in their order; a
    ``dense`` one's inner loop is part of the run."""
    first = base + offset
    loops = [(getattr(i, f"count{n}"), getattr(i, f"{side}_stride{n}")) for n in range(1 if dense else 0, 3)]
    return nested(first, loops)


def nested(first: int, loops: list[tuple[int, int]]) -> list[int]:
    """``first`` plus every sum of multiples, (count, stride) pairs with the innermost first."""
    loops = [loop for loop in loops if loop[0] > 1]
    if not loops:
        return [first]
    if len(loops) == 1:
        count, stride = loops[0]
        return [first + n * stride for n in range(count)]
    places = np.array([first])
    for count, stride in reversed(loops):
        places = np.add.outer(places, np.arange(count) * stride)
    return places.ravel().tolist()
