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
    clear, halt, halted = (harness.probe(f"supervisor.{name}", 1) for name in ("clear", "halt", "halted"))
    depth = harness.config.read_buffer_beats
    for name, path, valid, queue in (("load", load_reader(harness.config), "axi__arvalid", depth),
                                     ("fetch", "fetch.reader", "axi__arvalid", depth),
                                     ("store", "store_engine.writer", "axi__awvalid", BURSTS)):
        own = harness.probe(f"{path}.halted", 1)
        head, tail = (harness.probe(f"{path}.bursts.{end}", queue.bit_length()) for end in ("head", "tail"))
        offered, unsent = harness.probe(f"{path}.bursts.o__valid", 1), harness.probe(f"{path}.{valid}", 1)
        if name == "store":
            unsent |= harness.probe(f"{path}.lengths.o__valid", 1)
        harness.lemma(f"{name}_halts", ~(halt & halted) | own)
        harness.lemma(f"{name}_is_offered", (head == tail) | offered | unsent)
        harness.lemma(f"{name}_is_quiet", ~clear | (head == tail) & ~offered & ~unsent & own)
    harness.lemma("clears_once", ~clear | halt & halted)
