"""Layer normalisation over the features of each token, and its gradients, on the vector unit."""

from dataclasses import dataclass

from adagp.spec.isa import Format, Memory

from .emitter import Emitter
from .finish import StoreGradient, parameter_update
from .functions import rsqrt
from .operation import INPUT, Operation, Work
from .panels import Panel, deliver, row_panels
from .reductions import fold_rows, reduce_rows


@dataclass(frozen=True, kw_only=True)
class LayerNorm(Operation):
    """``nn.LayerNorm(features, eps)`` over the last dimension; ``weight`` and ``bias`` as it has them."""

    name: str
    inputs: tuple[str, ...] = (INPUT,)
    image: tuple[int, int, int]
    eps: float = 1e-5
    weight: bool = True
    bias: bool = True

    @property
    def parameters(self):
        return {name: (self.image[2],) for name in ("weight", "bias") if getattr(self, name)}

    def saved(self, images: int):
        """``mean`` and ``rstd`` = 1/√(variance + eps) of each token."""
        tokens = images * self.image[0] * self.image[1]
        return {name: ((tokens,), Format.FLOAT32) for name in ("mean", "rstd")}


def forward(e: Emitter, operation: LayerNorm, work: Work) -> None:
    x, y, lanes = work.inputs[0], work.output, e.config.vector_lanes
    features = x.shape[-1]
    blocks, room = -(-features // lanes), e.scratch.bank_words
    panels = row_panels(e, operation.name, x, features, room, (room - 2 * blocks - 1) // 4)
    rows = panels[0].rows
    sources = [e.scratch.vector(room, bank) for bank in (0, 1)]
    t, zero = e.scratch.vector(room, 2), e.scratch.vector(1, 3)
    e.fill(Memory.VECTOR, zero * lanes, lanes)
    affine = _load_parameters(e, operation, work, panels[0])
    mean, variance, rstd, u = (e.scratch.vector(rows, 3) for _ in range(4))
    for number, panel in e.builder.steps(list(enumerate(panels))):
        panel = panel.at(sources[number % 2])
        word, words = panel.word, panel.words
        panel.load(e, x)
        reduce_rows(e, mean, panel, t, zero)
        e.vector(mean, mean, panel.rows, times=1 / features)
        e.vector(word, word, panel.per_row, b=mean, plus="b", negate_addend=True)
        e.vector(t, word, words, b=word, times="b")
        reduce_rows(e, variance, panel.at(t), t, zero)
        e.vector(variance, variance, panel.rows, times=1 / features, plus=operation.eps)
        rsqrt(e, rstd, variance, u, panel.rows)
        e.vector(word, word, panel.per_row, b=rstd, times="b")
        if "weight" in affine:
            e.vector(word, word, panel.per_column, b=affine["weight"], times="b")
        if "bias" in affine:
            e.vector(word, word, panel.per_column, b=affine["bias"], plus="b")
        panel.store(e, y)
        for name, source in (("mean", mean), ("rstd", rstd)):
            e.store(work.saved[name], 4 * panel.row, source * lanes, 1, ((panel.rows, 4, lanes),))


def backward(e: Emitter, operation: LayerNorm, work: Work) -> None:
    """With g = dy·weight: dx = rstd·(g − mean of g − x̂·mean of g·x̂) over the features of each token."""
    (x,), dy, (target,) = work.inputs, work.gradient, work.targets
    features, lanes, bank = x.shape[-1], e.config.vector_lanes, e.scratch.bank_words
    blocks, names = -(-features // lanes), tuple(operation.parameters)
    if target is None and not names:
        return
    # bank 2: t, the target's words, those of the updates; bank 3: the last two, sums, weight, and four
    # words of each row, of which there are room / wide
    wide = max(blocks, 4)
    room = min((bank - blocks * len(names)) // 2, (bank - blocks * (2 * len(names) + 1) - 1) * wide // (wide + 4))
    panels = row_panels(e, operation.name, x, features, room, room // wide)
    rows = panels[0].rows
    sources = [(e.scratch.vector(room, 0), e.scratch.vector(room, 1)) for _ in range(2)]
    t, zero = e.scratch.vector(room, 2), e.scratch.vector(1, 3)
    affine = _load_parameters(e, operation, work, panels[0], ("weight",))
    sums = {name: e.scratch.vector(blocks, 3) for name in names}
    small = [e.scratch.vector(rows, 3) for _ in range(4)]
    updates = {name: parameter_update(e, work, name, (1, features), blocks, slots=1) for name in names}
    for word, words in ((zero, 1), *((word, blocks) for word in sums.values())):
        e.fill(Memory.VECTOR, word * lanes, words * lanes)
    take = target and StoreGradient(e, target, room)
    for number, panel in e.builder.steps(list(enumerate(panels))):
        x_word, dy_word = sources[number % 2]
        panel.at(x_word).load(e, x)
        panel.at(dy_word).load(e, dy)
        _normalise(e, panel.at(x_word), work, small[:2])
        if "bias" in sums:
            fold_rows(e, sums["bias"], panel.at(dy_word), t, accumulate=True)
        if "weight" in sums:
            e.vector(t, dy_word, panel.words, b=x_word, times="b")
            fold_rows(e, sums["weight"], panel.at(t), t, accumulate=True)
        if take:
            if "weight" in affine:
                e.vector(dy_word, dy_word, panel.per_column, b=affine["weight"], times="b")
            _project(e, panel.at(dy_word), x_word, t, zero, small[1:])
            deliver(panel.at(dy_word), take)
    for name, update in updates.items():
        deliver(panels[0].one_row(sums[name]), update)


def _normalise(e: Emitter, panel: Panel, work: Work, words: list[int]) -> None:
    """x becomes x̂, with the mean and rstd of its rows, which are left in lane 0 of ``words``."""
    for name, word in zip(("mean", "rstd"), words):
        e.load(work.saved[name], 4 * panel.row, Memory.VECTOR, word * panel.lanes, 1, ((panel.rows, 4, panel.lanes),))
    mean, rstd = words
    e.vector(panel.word, panel.word, panel.per_row, b=mean, plus="b", negate_addend=True, broadcast=True)
    e.vector(panel.word, panel.word, panel.per_row, b=rstd, times="b", broadcast=True)


def _project(e: Emitter, panel: Panel, x_word: int, t: int, zero: int, words: list[int]) -> None:
    """g becomes rstd·(g − mean of g − x̂·mean of g·x̂); x̂ is lost. ``words`` begin with that of rstd."""
    rstd, first, second = words
    reduce_rows(e, first, panel, t, zero)
    e.vector(t, panel.word, panel.words, b=x_word, times="b")
    reduce_rows(e, second, panel.at(t), t, zero)
    for word in (first, second):
        e.vector(word, word, panel.rows, times=-1 / panel.columns)
    e.vector(panel.word, panel.word, panel.per_row, b=first, plus="b")
    e.vector(x_word, x_word, panel.per_row, b=second, times="b")
    e.vector(panel.word, panel.word, panel.words, b=x_word, plus="b")
    e.vector(panel.word, panel.word, panel.per_row, b=rstd, times="b", broadcast=True)


def _load_parameters(e: Emitter, operation: LayerNorm, work: Work, panel: Panel, names=("weight", "bias")
                     ) -> dict[str, int]:
    """The words of those parameters of ``names`` that there are."""
    words = {name: e.scratch.vector(panel.blocks, 3) for name in names if name in operation.parameters}
    for name, word in words.items():
        panel.one_row(word).load(e, work.parameters[name])
    return words
