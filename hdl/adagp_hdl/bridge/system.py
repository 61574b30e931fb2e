"""The accelerator with a memory on the chip, for a host at the other end of a serial line."""

from amaranth.hdl import ClockDomain, ClockSignal, DomainRenamer, Module, ResetSignal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from adagp.spec.config import AcceleratorConfig

from ..bus.fifo import Fifo
from ..interfaces import AxiLiteSignature, AxiReadSignature, AxiWriteSignature
from ..top import Accelerator
from .commands import CommandPort
from .memory import AxiMemory
from .uart import UartReceiver, UartTransmitter
from .words import LiteManager

RECEIVED_AHEAD = 16
"""Bytes that are kept while an access to the registers takes its time."""

TIMEOUT_CYCLES = 4096
"""Registers answer within 300 cycles, also while the machine clears them after a reset."""


class HostedAccelerator(wiring.Component):
    """``rx`` and ``tx`` speak the protocol of :mod:`adagp.spec.bridge` at ``divisor`` cycles of ``clk`` per bit.

    The machine's external memory are the ``memory_bytes`` of an :class:`AxiMemory`, which the host reaches
    too. ``silence_cycles`` without a byte end a request that broke off. ``irq`` is the machine's interrupt,
    ``busy`` is high while a request is served. ``rst`` is synchronous; nothing needs it at power-up.
    """

    def __init__(self, config: AcceleratorConfig, *, memory_bytes: int, divisor: int, silence_cycles: int):
        self._config, self._memory_bytes = config, memory_bytes
        self._divisor, self._silence = divisor, silence_cycles
        super().__init__({"clk": In(1), "rst": In(1), "rx": In(1, init=1), "tx": Out(1, init=1), "irq": Out(1), "busy": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.domains.bridge = ClockDomain()  # the accelerator brings domains of its own
        receiver, transmitter = UartReceiver(self._divisor), UartTransmitter(self._divisor)
        received, manager = Fifo(8, RECEIVED_AHEAD), LiteManager()
        commands = CommandPort(memory_bytes=self._memory_bytes, silence_cycles=self._silence,
                               timeout_cycles=TIMEOUT_CYCLES)
        memory = AxiMemory(self._memory_bytes, bus_bits=self._config.bus_bits)
        for name, component in {"receiver": receiver, "received": received, "commands": commands, "manager": manager,
                                "memory": memory, "transmitter": transmitter}.items():
            m.submodules[name] = DomainRenamer("bridge")(component)
        m.submodules.accelerator = accelerator = Accelerator(self._config)
        connect(m, receiver.o, received.i)
        connect(m, received.o, commands.i)
        connect(m, commands.o, transmitter.i)
        connect(m, commands.registers, manager.access)
        connect(m, commands.memory, memory.host)
        for prefix, signature, port in (
                ("s_axil", AxiLiteSignature(), manager.bus),
                ("m_axi", AxiReadSignature(self._config.bus_bits, 1), memory.read),
                ("m_axi", AxiWriteSignature(self._config.bus_bits, 1), memory.write)):
            for name, member in signature.members.items():
                outer, inner = getattr(accelerator, f"{prefix}_{name}"), getattr(port, name)
                m.d.comb += inner.eq(outer) if member.flow is Out else outer.eq(inner)
        m.d.comb += [
            receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx), commands.line_error.eq(receiver.error),
            ClockSignal("bridge").eq(self.clk), ResetSignal("bridge").eq(self.rst),
            accelerator.aclk.eq(self.clk), accelerator.aresetn.eq(~self.rst),
            self.irq.eq(accelerator.irq), self.busy.eq(commands.busy)]
        return m
