"""How well predicted gradients agree with true ones: measured by the vector unit during Phase BP."""

from adagp.spec.isa import Format, Memory

from .emitter import Emitter, Tile
from .functions import fold, lane_sum, rsqrt
from .tensors import Layout, Tensor

REPORTED = 63
"""Layers whose quality goes to registers: cosine of layer i to QUALITY[1 + i], mean squared error to
QUALITY[65 + i]. QUALITY[0] is the mean cosine of all layers."""


class Quality:
    """Decayed sums of p·g, p² and g² per layer, for predicted gradients p and true ones g.

    ``sums`` (layers, 3) live from batch to batch; ``decay`` is what a batch of Phase BP leaves of them.
    """

    def __init__(self, layout: Layout, sizes: dict[str, int], decay: float = 0.9):
        self.layers, self._sizes, self._decay = list(sizes), sizes, decay
        self.sums = layout.place("quality.sums", (len(sizes), 3), Format.FLOAT32)

    def of_layer(self, e: Emitter, layer: str, words: int) -> "Agreement":
        """Measures ``layer`` in tiles of at most ``words`` rows."""
        return Agreement(e, self.sums, self.layers.index(layer), words, self._decay)

    def report(self, e: Emitter) -> None:
        """Puts cosines and errors of all layers into the QUALITY registers."""
        e.scratch.begin("quality")
        lanes, n = e.config.vector_lanes, len(self.layers)
        pg, x, y, mse = (e.scratch.vector(n, bank) for bank in (0, 1, 2, 3))
        pp, gg, t, total = (e.scratch.vector(n, bank) for bank in (1, 2, 3, 0))
        for word, index in ((pg, 0), (pp, 1), (gg, 2)):
            e.load(self.sums, 4 * index, Memory.VECTOR, word * lanes, 1, ((n, 12, lanes),))
        # Σ(p − g)²; the sums weigh 1/(1 − decay) batches when they have settled
        e.vector(mse, pg, n, times=-2.0, b=pp, plus="b")
        e.vector(mse, mse, n, b=gg, plus="b")
        for index, name in enumerate(self.layers):
            e.vector(mse + index, mse + index, 1, times=(1 - self._decay) / self._sizes[name])
        e.vector(x, pp, n, b=gg, times="b", plus=1e-36)  # no layer divides by zero
        rsqrt(e, y, x, t, n)
        e.vector(pg, pg, n, b=y, times="b")
        fold(e, total, pg, n, 1, t)
        e.vector(total, total, 1, times=1 / n)
        reported = min(n, REPORTED)
        e.report(0, total, 1)
        e.report(1, pg, reported)
        e.report(1 + REPORTED + 1, mse, reported)


class Agreement:
    """Sums over the tiles of one layer. Takes 2·words of bank 2 and of bank 3, and a few more."""

    def __init__(self, e: Emitter, sums: Tensor, index: int, words: int, decay: float):
        self._e, self._sums, self._index, self._words, self._decay = e, sums, index, words, decay
        self._totals = [e.scratch.vector(words, bank) for bank in (2, 3, 2)]
        self._product = e.scratch.vector(max(words, 3), 3)
        self._zero, self._old = e.scratch.vector(1, 3), e.scratch.vector(3, 3)
        lanes = e.config.vector_lanes
        for word, count in (*((total, words) for total in self._totals), (self._zero, 1)):
            e.fill(Memory.VECTOR, word * lanes, count * lanes)

    def add(self, tile: Tile, predicted: int) -> None:
        """``tile`` holds true gradients, the words from ``predicted`` on the predicted ones; what is
        beyond the tile's columns counts as zero there if it is zero in ``tile``."""
        e, rows = self._e, tile.rows
        factors = ((predicted, tile.word), (predicted, predicted), (tile.word, tile.word))
        for total, (a, b) in zip(self._totals, factors):
            e.vector(self._product, a, rows, b=b, times="b")
            if tile.shift or b == predicted:
                self._clear_outside(tile)
            e.vector(total, total, rows, b=self._product, plus="b")

    def _clear_outside(self, tile: Tile) -> None:
        """Zeros in the lanes of the product that the tile's columns do not reach."""
        lanes, steps = self._e.config.vector_lanes, tile.loops[-1][0] if tile.shift else 1
        words = tile.rows // steps
        for step in range(steps):
            word, first = self._product + step * words, step * tile.shift
            for start, beyond in ((0, first), (first + tile.columns, lanes)):
                self._e.fill(Memory.VECTOR, word * lanes + start, beyond - start, ((words, lanes),))

    def finish(self) -> None:
        """Adds to the layer's sums in memory."""
        e, lanes = self._e, self._e.config.vector_lanes
        place = 12 * self._index
        e.load(self._sums, place, Memory.VECTOR, self._old * lanes, 1, ((3, 4, lanes),))
        for number, total in enumerate(self._totals):
            fold(e, total, total, self._words, 1, total)
            lane_sum(e, self._product + number, total, 1, self._zero)
        e.vector(self._old, self._old, 3, times=self._decay, b=self._product, plus="b")
        e.store(self._sums, place, self._old * lanes, 1, ((3, 4, lanes),))
