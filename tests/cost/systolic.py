"""A systolic array cycle by cycle: every register that moves, moves. An oracle for closed forms."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Run:
    """``events`` counts, in words: "multiply", "arrive operand", "arrive sum", "read operand", "read sum", "write sum" (of the
    buffer), "keep operand" and "keep sum" (written to an element's own register), "use operand", "use sum" (read from it)."""

    result: np.ndarray
    cycles: int = 0
    events: Counter = field(default_factory=Counter)


def weight_stationary(vectors: np.ndarray, kernels: np.ndarray, rows: int, columns: int) -> Run:
    """(T, K) · (K, N): tiles of ``kernels`` are pushed in from above, then ``vectors`` enter from the left, a cycle
    later in each row, and sums sink to the bottom."""
    count, contraction = vectors.shape
    run = Run(np.zeros((count, kernels.shape[1])))
    for left in range(0, kernels.shape[1], columns):
        for top in range(0, contraction, rows):
            _fold(run, vectors[:, top:top + rows], kernels[top:top + rows, left:left + columns], rows, columns,
                  slice(left, left + columns), first=top == 0)
    return run


def _fold(run: Run, vectors: np.ndarray, tile: np.ndarray, rows: int, columns: int, where: slice, *, first: bool) -> None:
    count, (height, width) = len(vectors), tile.shape
    register, occupied = np.zeros((rows, columns)), np.zeros((rows, columns), bool)
    for pushed in reversed(range(rows)):  # the lowest row goes in first; rows without weights as bubbles
        register[1:], occupied[1:] = register[:-1].copy(), occupied[:-1].copy()
        register[0], occupied[0] = 0, False
        if pushed < height:
            register[0, :width], occupied[0, :width] = tile[pushed], True
            run.events["read operand"] += width
        run.events["arrive operand"] += int(occupied.sum())
        run.cycles += 1
    run.events["keep operand"] += int(occupied.sum())
    moving, sums = np.full((rows, columns), np.nan), np.full((rows, columns), np.nan)
    leaving, time = 0, 0
    while leaving < count * columns:
        moving[:, 1:] = moving[:, :-1].copy()
        for row in range(rows):
            index = time - row
            moving[row, 0] = np.nan
            if 0 <= index < count:
                moving[row, 0] = vectors[index, row] if row < height else 0
                run.events["read operand"] += row < height
        arriving = np.vstack([np.full((1, columns), np.nan), sums[:-1]])
        for column in range(columns):
            index = time - column
            if 0 <= index < count:
                arriving[0, column] = 0
                if column < width and not first:
                    arriving[0, column] = run.result[index, where][column]
                    run.events["read sum"] += 1
        at_work = ~np.isnan(moving) & occupied
        run.events["multiply"] += int(at_work.sum())
        run.events["arrive operand"] += int(at_work.sum())
        run.events["use operand"] += int(at_work.sum())
        run.events["arrive sum"] += int(at_work[1:].sum()) + (0 if first else int(at_work[0].sum()))
        sums = arriving + moving * register
        for column in range(columns):
            index = time - column - (rows - 1)
            if 0 <= index < count:
                leaving += 1
                if column < width:
                    run.result[index, where.start + column] = sums[-1, column]
                    run.events["write sum"] += 1
        time += 1
    run.cycles += time


def output_stationary(vectors: np.ndarray, kernels: np.ndarray, rows: int, columns: int) -> Run:
    """(T, K) · (K, N): ``vectors`` enter from the left and ``kernels`` from above, a cycle later in each row and
    column; each element adds up one result."""
    (count, contraction), outputs = vectors.shape, kernels.shape[1]
    run = Run(np.zeros((count, outputs)))
    for top in range(0, count, rows):
        for left in range(0, outputs, columns):
            height, width = min(rows, count - top), min(columns, outputs - left)
            sums, done = np.zeros((rows, columns)), np.zeros((rows, columns), int)
            right, down = np.full((rows, columns), np.nan), np.full((rows, columns), np.nan)
            time = 0
            while (done < contraction).any():  # idle elements get zeros: the array takes its whole time
                right[:, 1:], down[1:] = right[:, :-1].copy(), down[:-1].copy()
                for row in range(rows):
                    index = time - row
                    right[row, 0] = np.nan
                    if 0 <= index < contraction:
                        right[row, 0] = vectors[top + row, index] if row < height else 0
                        run.events["read operand"] += row < height
                for column in range(columns):
                    index = time - column
                    down[0, column] = np.nan
                    if 0 <= index < contraction:
                        down[0, column] = kernels[index, left + column] if column < width else 0
                        run.events["read operand"] += column < width
                meet = ~np.isnan(right) & ~np.isnan(down)
                sums[meet] += right[meet] * down[meet]
                done += meet
                used = int(meet[:height, :width].sum())
                for event, times in (("multiply", 1), ("arrive operand", 2), ("use sum", 1), ("keep sum", 1)):
                    run.events[event] += times * used
                time += 1
            run.result[top:top + height, left:left + width] = sums[:height, :width]
            run.events["write sum"] += height * width
            run.cycles += time
    return run
