"""A reset by register waits until the bus is quiet."""

from amaranth.hdl import Module

from adagp.spec.config import AcceleratorConfig
from adagp_hdl.bus.burst_writer import BURSTS

from .harness import Harness


def load_reader(config: AcceleratorConfig) -> str:
    """The path of the component that reads the data of loads."""
    return "load_engine.reader" + (".external" if config.design.has_predictor_memory else "")


def draining(harness: Harness, m: Module) -> None:
    """What is cleared by a reset by register has nothing under way."""
    _drains(harness, "load", load_reader(harness.config))
    draining_without_loads(harness, m)


def draining_without_loads(harness: Harness, m: Module) -> None:
    """The same where the load engine is free."""
    _drains(harness, "fetch", "fetch.reader")
    _drains(harness, "store", "store_engine.writer")
    halt, halted = (harness.probe(f"supervisor.{name}", 1) for name in ("halt", "halted"))
    harness.lemma("clears_once", ~harness.probe("supervisor.clear", 1) | halt & halted)


def _drains(harness: Harness, name: str, path: str) -> None:
    """The reader or writer in ``path``."""
    clear, halt, halted = (harness.probe(f"supervisor.{name}", 1) for name in ("clear", "halt", "halted"))
    own, offered = harness.probe(f"{path}.halted", 1), harness.probe(f"{path}.bursts.o__valid", 1)
    if name == "store":
        depth, unsent = BURSTS, harness.probe(f"{path}.axi__awvalid", 1) | harness.probe(f"{path}.lengths.o__valid", 1)
    else:
        depth, unsent = harness.config.read_buffer_beats, harness.probe(f"{path}.axi__arvalid", 1)
    head, tail = (harness.probe(f"{path}.bursts.{end}", depth.bit_length()) for end in ("head", "tail"))
    harness.lemma(f"{name}_halts", ~(halt & halted) | own)
    harness.lemma(f"{name}_is_offered", (head == tail) | offered | unsent)
    harness.lemma(f"{name}_is_quiet", ~clear | (head == tail) & ~offered & ~unsent & own)
