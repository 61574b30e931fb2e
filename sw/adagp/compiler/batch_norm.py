"""Batch normalisation and its gradients on the vector unit, channels in the lanes.

The channels are worked on in groups. If a group of the whole batch fits into the vector memory it
is loaded once, else what is still there from the first pass is not loaded again in the second.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from adagp.spec.isa import Format, Function

from .emitter import Emitter
from .finish import StoreGradient, parameter_update
from .activation import activate, rectifies
from .functions import rsqrt
from .images import Slots
from .operation import INPUT, Activation, Operation, Work
from .panels import Panel, deliver
from .program import CompileError
from .reductions import fold_rows
from .tensors import Tensor

_FORWARD = ("weight", "bias", "running_mean", "running_var", "mean", "variance", "rstd", "scale", "shift", "t")
_BACKWARD = ("weight", "mean", "rstd", "bias_gradient", "weight_gradient", "scale", "slope", "shift")


@dataclass(frozen=True, kw_only=True)
class BatchNorm(Operation):
    """``nn.BatchNorm2d(channels, eps, momentum, affine)`` with the activation that follows it.

    Running statistics are those of PyTorch: the variance is the unbiased one.
    """

    name: str
    inputs: tuple[str, ...] = (INPUT,)
    image: tuple[int, int, int]
    eps: float = 1e-5
    momentum: float = 0.1
    affine: bool = True
    activation: Activation | None = None

    @property
    def parameters(self):
        return {name: (self.image[2],) for name in ("weight", "bias")} if self.affine else {}

    @property
    def buffers(self):
        return {name: (self.image[2],) for name in ("running_mean", "running_var")}

    def saved(self, images: int):
        """``mean`` and ``rstd`` = 1/√(variance + eps) of each channel."""
        return {name: ((self.image[2],), Format.FLOAT32) for name in ("mean", "rstd")}


def forward(e: Emitter, operation: BatchNorm, work: Work) -> None:
    x, bank = work.inputs[0], e.scratch.bank_words
    if work.training and x.elements == x.shape[-1]:
        raise CompileError(f"{operation.name}: batch statistics need more than one value of each channel")
    room = bank // 4
    groups = _groups(e, x, room, 8, bank // 2 // len(_FORWARD))
    blocks = groups[0][0].blocks
    slots = Slots([e.scratch.vector(room, number % 2) for number in range(8)])
    sums, t = (e.scratch.vector(room, 3), e.scratch.vector(room, 2)), e.scratch.vector(room, 3)
    words = {name: e.scratch.vector(blocks, 2) for name in _FORWARD}
    for panels in e.builder.steps(groups):
        column = panels[0].one_row(0)
        _load(e, column, words, {**work.parameters, **work.buffers})

        def loaded(panel: Panel) -> Panel:
            return panel.at(slots.get(panel, lambda word: panel.at(word).load(e, x)))
        if work.training:
            for panel in map(loaded, e.builder.steps(panels, edge=len(slots))):
                _add(e, sums[0], panel.word, panel)
                e.vector(t, panel.word, panel.words, b=panel.word, times="b")
                _add(e, sums[1], t, panel)
            for source, name in zip(sums, ("mean", "variance")):
                fold_rows(e, words[name], panels[0].at(source), source)
            _statistics(e, operation, work, column, words, x.elements // x.shape[-1])
        else:
            words = words | {"mean": words["running_mean"], "variance": words["running_var"]}
        _scale_and_shift(e, operation, work, column, words)
        for panel in map(loaded, e.builder.steps(panels[::-1], edge=len(slots))):
            e.vector(panel.word, panel.word, panel.per_column, b=words["scale"], times="b")
            relu = rectifies(operation.activation)
            e.vector(panel.word, panel.word, panel.per_column, b=words["shift"], plus="b", relu=relu)
            activate(e, operation.activation, panel.word, panel.words, t, rectified=relu)
            panel.store(e, work.output)


def backward(e: Emitter, operation: BatchNorm, work: Work) -> None:
    """Of n values of a channel: dx = weight·rstd·(dy − Σ dy / n − x̂·Σ dy·x̂ / n)."""
    (x,), dy, (target,) = work.inputs, work.gradient, work.targets
    if target is None and not operation.affine:
        return
    bank, room = e.scratch.bank_words, e.scratch.bank_words // 4
    # bank 2: a sum, the target's words, the small ones, those of two updates; bank 3: the like
    groups = _groups(e, x, room, 4, (bank - 2 * room) // (len(_BACKWARD) + 2))
    blocks = groups[0][0].blocks
    slots = Slots([(e.scratch.vector(room, 0), e.scratch.vector(room, 1)) for _ in range(4)])
    sums, t = (e.scratch.vector(room, 3), e.scratch.vector(room, 2)), e.scratch.vector(room, 3)
    words = {name: e.scratch.vector(blocks, 2) for name in _BACKWARD}
    updates = {name: parameter_update(e, work, name, (1, x.shape[-1]), blocks, slots=1)
               for name in operation.parameters}
    take = target and StoreGradient(e, target, room)
    for panels in e.builder.steps(groups):
        column = panels[0].one_row(0)
        _load(e, column, words, {**work.parameters, **work.saved})

        def loaded(panel: Panel) -> tuple[Panel, Panel]:
            def load(places: tuple[int, int]) -> None:
                for word, tensor in zip(places, (x, dy)):
                    panel.at(word).load(e, tensor)
            return tuple(map(panel.at, slots.get(panel, load)))
        for x_panel, dy_panel in map(loaded, e.builder.steps(panels, edge=len(slots))):
            _add(e, sums[0], dy_panel.word, dy_panel)
            e.vector(t, x_panel.word, x_panel.per_column, b=words["mean"], plus="b", negate_addend=True)
            e.vector(t, t, x_panel.words, b=dy_panel.word, times="b")
            _add(e, sums[1], t, x_panel)
        for source, name in zip(sums, ("bias_gradient", "weight_gradient")):
            fold_rows(e, words[name], panels[0].at(source), source)
        e.vector(words["weight_gradient"], words["weight_gradient"], blocks, b=words["rstd"], times="b")
        if target is not None:
            _gradient_factors(e, operation, words, blocks, x.elements // x.shape[-1])
            for x_panel, dy_panel in map(loaded, e.builder.steps(panels[::-1], edge=len(slots))):
                e.vector(x_panel.word, x_panel.word, x_panel.per_column, b=words["slope"], times="b")
                e.vector(x_panel.word, x_panel.word, x_panel.per_column, b=words["shift"], plus="b")
                e.vector(dy_panel.word, dy_panel.word, dy_panel.per_column, b=words["scale"], times="b")
                e.vector(dy_panel.word, dy_panel.word, dy_panel.words, b=x_panel.word, plus="b")
                deliver(dy_panel, take)
        for name, update in updates.items():
            deliver(column.at(words[f"{name}_gradient"]), update)


def _groups(e: Emitter, x: Tensor, room: int, slots: int, most_blocks: int) -> list[list[Panel]]:
    """Groups of channels, each as panels of at most ``room`` words that cover the batch: as many
    channels as leave a group in ``slots`` panels, or, where not even one block does, as many as
    possible."""
    pixels, width, lanes = x.elements // x.shape[-1], x.shape[-1], e.config.vector_lanes
    most = max(1, min(-(-width // lanes), room, most_blocks) if width % lanes == 0 else 1)
    resident = [blocks for blocks in range(1, most + 1) if -(-pixels // (room // blocks)) <= slots]
    blocks = max(resident, default=most)
    rows = room // blocks
    return [[Panel(row=row, rows=min(rows, pixels - row), column=column, width=width, lanes=lanes,
                   columns=min(blocks * lanes, width - column)) for row in range(0, pixels, rows)]
            for column in range(0, width, blocks * lanes)]


def _load(e: Emitter, column: Panel, words: Mapping[str, int], tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if name in words:
            column.at(words[name]).load(e, tensor)


def _add(e: Emitter, total: int, word: int, panel: Panel) -> None:
    """Adds a panel to running sums; the first one, which is the largest, begins them."""
    if panel.row == 0:
        e.vector(total, word, panel.words)
    else:
        e.vector(total, total, panel.words, b=word, plus="b")


def _statistics(e: Emitter, operation: BatchNorm, work: Work, column: Panel, words: Mapping[str, int], n: int) -> None:
    """From the sums of x and x² to mean and variance; the running ones follow."""
    mean, variance, t, blocks = words["mean"], words["variance"], words["t"], column.blocks
    e.vector(mean, mean, blocks, times=1 / n)
    e.vector(t, mean, blocks, b=mean, times="b")
    e.vector(variance, variance, blocks, times=1 / n, b=t, plus="b", negate_addend=True)
    e.vector(variance, variance, blocks, function=Function.MAXIMUM, plus=0.0)  # rounding may leave less
    for name, batch, share in (("running_mean", mean, 1.0), ("running_var", variance, n / (n - 1))):
        running, momentum = words[name], operation.momentum
        e.vector(running, running, blocks, times=1 - momentum)
        e.vector(running, batch, blocks, times=momentum * share, b=running, plus="b")
        column.at(running).store(e, work.buffers[name])
    column.at(mean).store(e, work.saved["mean"])


def _scale_and_shift(e: Emitter, operation: BatchNorm, work: Work, column: Panel, words: Mapping[str, int]) -> None:
    """scale = weight·rstd and shift = bias − mean·scale."""
    rstd, scale, shift, blocks = words["rstd"], words["scale"], words["shift"], column.blocks
    e.vector(shift, words["variance"], blocks, plus=operation.eps)
    rsqrt(e, rstd, shift, words["t"], blocks)
    if work.training:
        column.at(rstd).store(e, work.saved["rstd"])
    if operation.affine:
        e.vector(scale, rstd, blocks, b=words["weight"], times="b")
    else:
        e.vector(scale, rstd, blocks)
    e.vector(shift, words["mean"], blocks, b=scale, times="b", negate_product=True)
    if operation.affine:
        e.vector(shift, shift, blocks, b=words["bias"], plus="b")


def _gradient_factors(e: Emitter, operation: BatchNorm, words: Mapping[str, int], blocks: int, n: int) -> None:
    """dx = scale·dy + slope·x + shift."""
    scale, slope, shift = words["scale"], words["slope"], words["shift"]
    if operation.affine:
        e.vector(scale, words["rstd"], blocks, b=words["weight"], times="b")
    else:
        e.vector(scale, words["rstd"], blocks)
    e.vector(slope, words["weight_gradient"], blocks, b=words["rstd"], times="b")
    e.vector(slope, slope, blocks, b=scale, times="b")
    e.vector(slope, slope, blocks, times=-1 / n)
    e.vector(shift, words["mean"], blocks, b=slope, times="b")
    e.vector(words["mean"], words["bias_gradient"], blocks, b=scale, times="b")
    e.vector(shift, words["mean"], blocks, times=-1 / n, b=shift, plus="b", negate_addend=True)
