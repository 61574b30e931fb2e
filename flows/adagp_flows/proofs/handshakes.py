"""Rules of the handshake, alike for every channel on which the core is the source."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Signal

from .harness import Harness


@dataclass(frozen=True)
class Channel:
    """``prefix`` is that of the port names; ``payload`` what goes with ``valid``."""

    name: str
    prefix: str
    payload: tuple[str, ...]

    def signals(self, harness: Harness):
        """valid, ready, payload."""
        core = harness.core
        return (core[f"{self.prefix}valid"], core[f"{self.prefix}ready"],
                Cat(core[f"{self.prefix}{name}"] for name in self.payload))


_REQUEST = ("id", "addr", "len", "size", "burst", "lock", "cache", "prot", "qos")

CHANNELS = (
    Channel("ar", "m_axi_ar", _REQUEST), Channel("aw", "m_axi_aw", _REQUEST), Channel("w", "m_axi_w", ("data", "strb", "last")),
    Channel("lite_r", "s_axil_r", ("data", "resp")), Channel("lite_b", "s_axil_b", ("resp",)))


def handshakes(harness: Harness, m: Module) -> None:
    """What was offered stays until it is taken; nothing is offered right after a reset."""
    for channel in CHANNELS:
        valid, ready, payload = channel.signals(harness)
        waits, offered = Signal(name=f"{channel.name}_waits"), Signal.like(payload, name=f"{channel.name}_offered")
        m.d.sync += [waits.eq(valid & ~ready), offered.eq(payload)]
        port = channel.prefix.upper()
        harness.rule(f"{channel.name}_stays_valid", f"{port}VALID stays high until {port}READY", ~waits | valid)
        harness.rule(f"{channel.name}_payload_stays", f"what goes with {port}VALID stays until {port}READY",
                     ~waits | (payload == offered))
        harness.rule(f"{channel.name}_idle_after_reset", f"{port}VALID is low after a reset", ~harness.fresh | ~valid)
