"""Which layers get approximated weight gradients in which batches, and by which method (Wang and Nelaturu 2019)."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from math import lcm


class Method(Enum):
    """How the weight gradient of a layer is computed in a batch; ``Method("top1")`` is ``Method.TOP1``."""

    FULL = "full"      # by back-propagation
    ZERO = "zero"
    RANDOM = "random"  # normal, of mean 0
    TOP1 = "top1"      # from one output gradient of each image and channel

    @classmethod
    def _missing_(cls, value: object) -> None:
        raise ValueError(f"method must be one of {', '.join(each.value for each in cls)}, not {value!r}")


@dataclass(frozen=True)
class ApproximationSchedule:
    """A table of methods: a row for each layer, a column for each batch, as figure 3 of the paper.

    Each row is repeated for ever; they may be of different lengths. The rows as a whole are repeated over
    the layers, unless ``repeat_layers`` is False: then the model must have exactly as many layers. Names of
    methods may stand for them.
    """

    rows: tuple[tuple[Method, ...], ...]
    repeat_layers: bool = True

    def __init__(self, rows: Iterable[Iterable[Method | str]], *, repeat_layers: bool = True):
        rows = tuple(tuple(map(Method, row)) for row in rows)
        if not rows:
            raise ValueError("ApproximationSchedule.rows must have at least one row, not none")
        for layer, row in enumerate(rows):
            if not row:
                raise ValueError(f"ApproximationSchedule.rows must have a method in every row, not none in row {layer}")
        object.__setattr__(self, "rows", rows)
        object.__setattr__(self, "repeat_layers", repeat_layers)

    @property
    def period(self) -> int:
        """Batches after which all methods come again."""
        return lcm(*map(len, self.rows))

    def method(self, layer: int, batch: int) -> Method:
        """Of layer and batch, both counted from 0."""
        for name, value in (("layer", layer), ("batch", batch)):
            if value < 0:
                raise ValueError(f"ApproximationSchedule.method's {name} must be at least 0, not {value!r}")
        if not self.repeat_layers and layer >= len(self.rows):
            raise ValueError(f"ApproximationSchedule.method's layer must be below the {len(self.rows)} rows, not {layer!r}")
        row = self.rows[layer % len(self.rows)]
        return row[batch % len(row)]

    def approximated(self, layers: int) -> tuple[int, ...]:
        """Those of the first ``layers`` layers that get another gradient than the full one in some batch."""
        self.require_layers(layers)
        return tuple(layer for layer in range(layers) if set(self.rows[layer % len(self.rows)]) != {Method.FULL})

    def require_layers(self, layers: int) -> None:
        """``ValueError`` unless the table is one for a model of ``layers`` layers."""
        if not self.repeat_layers and layers != len(self.rows):
            raise ValueError(f"ApproximationSchedule.rows must be as many as the model's {layers} layers if they "
                             f"are not repeated, not {len(self.rows)}")


class Pattern:
    """The places of a schedule that are approximated, without the method.

    A string for each layer, in it a sign for each batch: ``-`` for the full gradient, ``x`` for the
    approximated one. Rows and columns are repeated.
    """

    def __init__(self, *rows: str):
        if not rows:
            raise ValueError("Pattern must have at least one row, not none")
        for row in rows:
            if not row or set(row) - {"-", "x"}:
                raise ValueError(f"Pattern must have rows of the signs - and x, not {row!r}")
        self.rows = rows

    def using(self, method: Method | str) -> ApproximationSchedule:
        """``method`` in every place marked ``x``."""
        signs = {"-": Method.FULL, "x": Method(method)}
        return ApproximationSchedule([signs[sign] for sign in row] for row in self.rows)


EVERY_FOURTH_LAYER = Pattern("-", "x", "-", "-")
"""The paper's schedule 1, in every batch. The first layer is the one that bears it least, hence from the second on."""

EVERY_OTHER_LAYER_AND_BATCH = Pattern("--", "-x")
"""Its schedule 2; in a network of two convolutions the one that it uses there."""

EVERY_FOURTH_BATCH = Pattern("---x")
"""Its schedule 3, in every layer."""

PATTERNS = {"every-fourth-layer": EVERY_FOURTH_LAYER, "every-other-layer-and-batch": EVERY_OTHER_LAYER_AND_BATCH,
            "every-fourth-batch": EVERY_FOURTH_BATCH}
"""In the order of the paper's numbers."""


def named_approximation(text: str) -> ApproximationSchedule:
    """``text`` is METHOD:SCHEDULE, such as top1:every-fourth-layer or, with the paper's number, top1:1."""
    method, _, schedule = text.partition(":")
    methods = [each.value for each in Method if each is not Method.FULL]
    if method not in methods:
        raise ValueError(f"approximate must be METHOD:SCHEDULE with the method {_either(methods)}, not {text!r}")
    patterns = PATTERNS | {str(number): pattern for number, pattern in enumerate(PATTERNS.values(), 1)}
    if schedule not in patterns:
        raise ValueError(f"approximate must be METHOD:SCHEDULE with the schedule {_either(patterns)}, not {text!r}")
    return patterns[schedule].using(method)


def _either(names: Iterable[str]) -> str:
    *some, last = names
    return f"{', '.join(some)} or {last}"
