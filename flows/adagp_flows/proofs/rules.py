"""The rules, in the groups in which they are proved."""

from . import answers, completion
from .beats import beats
from .bursts import lengths_of_runs, read_bursts, reads, write_bursts
from .draining import draining, draining_without_loads
from .handshakes import handshakes
from .lite import lite
from .programs import programs
from .progress import progress
from .prove import Group
from .queues import flags, flags_without_loads
from .subject import FREE
from .writes import responses, writes

GROUPS = (
    Group(name="channels", parts=(handshakes, flags, draining, read_bursts, lengths_of_runs, reads, responses)),
    Group(name="writes", parts=(write_bursts,)),
    Group(name="data", parts=(flags, draining, writes, beats)),
    Group(name="completion", parts=(flags_without_loads, draining_without_loads, responses, programs, completion.completion),
          free=completion.FREE),
    Group(name="registers", parts=(lite,)),
    Group(name="answers", parts=(answers.answers,), free=answers.FREE),
    Group(name="counters", parts=(answers.counters,), free=answers.FREE_OF_COUNTERS),
    Group(name="progress", parts=(flags, progress), free=(*FREE, "registers")))
