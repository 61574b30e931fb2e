"""The rules, in the groups in which they are proved."""

from adagp.spec.config import Design

from . import answers
from .bursts import lengths_of_runs, read_bursts, reads, write_bursts
from .draining import draining
from .handshakes import handshakes
from .lite import lite
from .progress import progress
from .prove import Group
from .subject import FREE
from .writes import responses, writes

_COUNTED = Group(name="data", parts=(draining, writes))
_GROUPS = (
    Group(name="channels", parts=(handshakes, draining, read_bursts, lengths_of_runs, reads, responses)),
    Group(name="writes", parts=(write_bursts,)),
    Group(name="registers", parts=(lite,)),
    Group(name="answers", parts=(answers.answers,), free=answers.FREE),
    Group(name="progress", parts=(progress,), free=(*FREE, "registers")))


def groups_of(design: Design) -> tuple[Group, ...]:
    """What is proved of ``design``. Where bursts to the predictor memory share the writer's queue, what counts the others in it
    is not decided in useful time."""
    return _GROUPS if design.has_predictor_memory else (*_GROUPS, _COUNTED)
