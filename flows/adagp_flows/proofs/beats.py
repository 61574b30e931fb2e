"""The beats of a burst are in the write buffer when it is begun."""

from amaranth.hdl import Module, Mux

from .harness import Harness
from .queues import DATA_POINTER, WRITER, Tally, unsent_bursts


def beats(harness: Harness, m: Module) -> None:
    """Lemmas: the beats of the bursts that were begun, less what was sent of the oldest one, are those of the write buffer that
    are not ``waiting`` for a burst; so where there is such a burst, a beat is offered. For a reset by register see
    :func:`~adagp_flows.proofs.draining.draining`."""
    queue, more = unsent_bursts(harness)
    put, entry = queue.puts
    begun = Tally("begun", [Mux(there, each[:more] + 1, 0)
                            for there, each in zip(queue.occupied(m), queue.entries, strict=True)])
    begun.update(m, adds=(Mux(put, entry[:more] + 1, 0), queue.tail),
                 takes=(Mux(queue.takes, queue.entries[queue.oldest][:more] + 1, 0), queue.oldest))
    begun.lemmas(harness)
    head, tail, waiting = (harness.probe(f"{WRITER}.{name}", DATA_POINTER) for name in ("buffer.head", "buffer.tail", "waiting"))
    level, offered = (tail - head)[:DATA_POINTER], harness.probe(f"{WRITER}.buffer.o__valid", 1)
    sent = harness.probe(f"{WRITER}.sent", more)
    harness.lemma("begun_total", begun.total + waiting == level + offered + sent)
    harness.lemma("buffer_level", (level <= 1 << DATA_POINTER - 1) & (waiting <= level + offered))
    harness.lemma("buffer_offers", offered | (level <= 1) & (waiting == level))
