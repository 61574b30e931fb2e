"""The rules, in the groups in which they are proved."""

from .bursts import lengths_of_runs, read_bursts, reads, write_bursts
from .draining import draining
from .handshakes import handshakes
from .lite import lite
from .prove import Group
from .writes import writes

GROUPS = (
    Group(name="channels", parts=(handshakes, draining, read_bursts, lengths_of_runs, reads, writes)),
    Group(name="writes", parts=(write_bursts,)),
    Group(name="registers", parts=(lite,)))
