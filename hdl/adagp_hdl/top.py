"""The accelerator: registers, control, engines, memories and buses, wired together."""

from amaranth.hdl import ClockDomain, ClockSignal, DomainRenamer, Module, Mux, ResetSignal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from adagp.spec.config import AcceleratorConfig, ArrayShape
from adagp.spec.identity import identity
from adagp.spec.isa import Engine

from .array.engine import ArrayEngine
from .bus.arbiter import ReadArbiter
from .control.counters import Counters
from .control.dispatch import Dispatch
from .control.fetch import Fetch
from .control.phase import PhaseController
from .control.registers import RegisterFile
from .control.supervisor import Supervisor
from .interfaces import AxiLiteSignature, AxiReadSignature, AxiWriteSignature
from .load.engine import LoadEngine
from .memory.operand import OperandMemory
from .memory.predictor import PredictorMemory
from .memory.vector import VectorMemory
from .store.engine import StoreEngine
from .vector.unit import VectorUnit


class Accelerator(wiring.Component):
    """The whole machine. One clock ``aclk``, a reset ``aresetn`` that is low-active and synchronous
    to it, an AXI4-Lite subordinate ``s_axil_*`` for the registers, an AXI4 manager ``m_axi_*`` of
    ``config.bus_bits`` for programs (ARID 1) and data (ARID 0), and a level interrupt ``irq``."""

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        self._axil = _flat("s_axil", AxiLiteSignature())
        self._read = _flat("m_axi", AxiReadSignature(config.bus_bits, id_bits=1))
        self._write = _flat("m_axi", AxiWriteSignature(config.bus_bits, id_bits=1))
        super().__init__({"aclk": In(1), "aresetn": In(1), **self._axil, **self._read, **self._write, "irq": Out(1)})

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.domains.sync = ClockDomain()  # what a reset by register reaches
        m.domains.host = ClockDomain()  # what it leaves alone
        engines = {Engine.LOAD: LoadEngine(config), **self._arrays(),
                   Engine.VECTOR: VectorUnit(config), Engine.STORE: StoreEngine(config)}
        registers, supervisor = RegisterFile(), Supervisor(faults=len(engines) + 2, quiet=len(engines) + 2)
        counters = Counters(most_macs=config.rows * config.columns, bus_bytes=config.bus_bytes)
        m.d.comb += [
            ClockSignal("sync").eq(self.aclk), ResetSignal("sync").eq(~self.aresetn | supervisor.clear),
            ClockSignal("host").eq(self.aclk), ResetSignal("host").eq(~self.aresetn)]
        for name, component in (("registers", registers), ("supervisor", supervisor), ("counters", counters)):
            m.submodules[name] = DomainRenamer("host")(component)
        fetch, dispatch = Fetch(config), Dispatch(config)
        phases, arbiter = PhaseController(), ReadArbiter(config.bus_bits)
        memories = self._memories()
        for name, component in {
                "fetch": fetch, "dispatch": dispatch, "phases": phases, "arbiter": arbiter, **memories,
                **{f"{engine.name.lower()}_engine": each for engine, each in engines.items()}}.items():
            m.submodules[name] = component

        self._wire_buses(m, registers, arbiter, fetch, engines)
        self._wire_memories(m, engines, memories)
        self._wire_batches(m, registers, supervisor, phases, fetch, dispatch, counters)
        self._wire_engines(m, registers, supervisor, fetch, dispatch, engines)
        m.d.comb += [fault.eq(source.fault) for fault, source in zip(
            supervisor.faults, (*engines.values(), fetch, dispatch), strict=True)]
        m.d.comb += [quiet.eq(source.quiet) for quiet, source in zip(
            supervisor.quiet, (*engines.values(), fetch, phases), strict=True)]
        self._wire_status(m, registers, supervisor, phases)
        self._wire_counters(m, registers, counters, supervisor, phases, dispatch, arbiter, engines)
        return m

    def _arrays(self) -> dict[Engine, ArrayEngine]:
        """The main array, and in a design that has it the predictor's."""
        config = self._config

        def engine(shape: ArrayShape, **options) -> ArrayEngine:
            return ArrayEngine(rows=shape.rows, columns=shape.columns, stream_lanes=shape.stream_lanes,
                               stationary_lanes=shape.stationary_lanes, vector_lanes=config.vector_lanes,
                               vector_words=config.vector_words, vector_banks=config.vector_banks,
                               vector_latency=VectorMemory.LATENCY, **options)

        main, own = config.array, config.predictor_array
        if not config.design.has_predictor_array:
            return {Engine.ARRAY: engine(main)}
        ahead = ArrayEngine.latency(main.rows, main.columns) - ArrayEngine.latency(own.rows, own.columns)
        return {Engine.ARRAY: engine(main), Engine.PREDICTOR: engine(own, yields_after=ahead)}

    def _memories(self) -> dict[str, wiring.Component]:
        """The memories on chip by their names."""
        config, design = self._config, self._config.design
        memories = {"vector": VectorMemory(words=config.vector_words, lanes=config.vector_lanes,
                                           banks=config.vector_banks, predictor=design.has_predictor_array)}
        for prefix, shape, there in (("", config.array, True), ("predictor_", config.predictor_array, design.has_predictor_array)):
            if there:
                memories[f"{prefix}stream"] = OperandMemory(lanes=shape.stream_lanes, elements=shape.stream_elements)
                memories[f"{prefix}stationary"] = OperandMemory(
                    lanes=shape.stationary_lanes, elements=shape.stationary_elements)
        if design.has_predictor_memory:
            memories["predictor_memory"] = PredictorMemory(config)
        return memories

    def _wire_buses(self, m: Module, registers, arbiter, fetch, engines):
        connect(m, engines[Engine.LOAD].axi, arbiter.load)
        connect(m, fetch.axi, arbiter.fetch)
        for members, port in ((self._axil, registers.bus), (self._read, arbiter.axi),
                              (self._write, engines[Engine.STORE].axi)):
            for name, member in members.items():
                outer, inner = getattr(self, name), getattr(port, name.split("_")[-1])
                m.d.comb += outer.eq(inner) if member.flow is Out else inner.eq(outer)

    def _wire_memories(self, m: Module, engines, memories):
        load, unit, store = (engines[engine] for engine in (Engine.LOAD, Engine.VECTOR, Engine.STORE))
        vector = memories["vector"]
        for a, b in ((load.vector_write, vector.load_write), (store.vector_read, vector.store_read),
                     (unit.read_a, vector.vector_read_a), (unit.read_b, vector.vector_read_b),
                     (unit.write, vector.vector_write)):
            connect(m, a, b)
        for engine, array in engines.items():
            if engine not in (Engine.ARRAY, Engine.PREDICTOR):
                continue
            name = engine.name.lower()
            connect(m, array.accumulator_read, getattr(vector, f"{name}_read"))
            connect(m, array.accumulator_write, getattr(vector, f"{name}_write"))
            for kind in ("stream", "stationary"):
                memory = kind if engine is Engine.ARRAY else f"predictor_{kind}"
                connect(m, getattr(load, f"{memory}_write"), memories[memory].write)
                connect(m, getattr(array, kind), memories[memory].read)
        if self._config.design.has_predictor_memory:
            connect(m, load.local_read, memories["predictor_memory"].read)
            connect(m, store.local_write, memories["predictor_memory"].write)
        if self._config.design.has_predictor_array:
            m.d.comb += engines[Engine.PREDICTOR].claimed.eq(engines[Engine.ARRAY].claim)

    def _wire_batches(self, m: Module, registers, supervisor, phases, fetch, dispatch, counters):
        connect(m, phases.request, fetch.request)
        connect(m, fetch.o, dispatch.i)
        connect(m, phases.table, registers.table)
        m.d.comb += [
            phases.start.eq(supervisor.go), supervisor.finished.eq(phases.finished), phases.halt.eq(supervisor.halt),
            phases.ready.eq(counters.ready), phases.write_back.eq(registers.control.write_back),
            phases.batch_done.eq(dispatch.done), fetch.skip.eq(dispatch.done),
            *(getattr(phases, name).eq(getattr(registers.mode, name)) for name in ("evaluate", "adaptive", "stay")),
            *(getattr(phases, name).eq(getattr(registers, name)) for name in (
                "batches", "warmup_batches", "batch", "batch_written", "epoch_batches", "order", "order_step")),
            *(getattr(phases, name).eq(getattr(registers, f"adaptive_{register}")) for name, register in (
                ("bounds", "bounds"), ("raise_at", "raise"), ("lower_at", "lower"), ("patience", "patience"))),
            phases.quality.eq(registers.quality_0)]

    def _wire_engines(self, m: Module, registers, supervisor, fetch, dispatch, engines):
        report = engines[Engine.VECTOR].report
        m.d.comb += [registers.report_valid.eq(report.valid), registers.report_index.eq(report.index),
                     registers.report_value.eq(report.value)]
        for engine, component in engines.items():
            port = getattr(dispatch, engine.name.lower())
            connect(m, port.instruction, component.instruction)
            m.d.comb += [port.done.eq(component.done), component.halt.eq(supervisor.halt)]
        m.d.comb += [fetch.halt.eq(supervisor.halt), dispatch.halt.eq(supervisor.halt)]
        load, store = engines[Engine.LOAD], engines[Engine.STORE]
        for component in (load, store):
            m.d.comb += [each.eq(getattr(registers, f"base_{i}")) for i, each in enumerate(component.bases)]
        for component in (load, store, fetch):
            m.d.comb += [component.window_first.eq(registers.window_first),
                         component.window_last.eq(registers.window_last)]

    def _wire_status(self, m: Module, registers, supervisor, phases):
        for name, value in identity(self._config).items():
            m.d.comb += Value.cast(getattr(registers, name.lower())).eq(value)
        m.d.comb += [
            registers.predictor.gp.eq(Mux(phases.k > 0xFF, 0xFF, phases.k)),
            supervisor.phase.eq(phases.phase),
            supervisor.start.eq(registers.control.start), supervisor.reset.eq(registers.control.reset),
            registers.status.eq(supervisor.status), registers.fault_cause.eq(supervisor.fault_cause),
            registers.fault_address.eq(supervisor.fault_address),
            supervisor.interrupt_enable.eq(registers.interrupt_enable),
            supervisor.interrupt_pending.eq(registers.interrupt_pending),
            registers.interrupt_pending_set.eq(supervisor.interrupt_pending_set),
            registers.interrupt_pending_clear.eq(supervisor.clear), self.irq.eq(supervisor.irq)]

    def _wire_counters(self, m: Module, registers, counters, supervisor, phases, dispatch, arbiter, engines):
        array, store = engines[Engine.ARRAY], engines[Engine.STORE]
        m.d.comb += [
            counters.clear.eq(registers.control.clear_counters & supervisor.idle),
            counters.running.eq(phases.running & ~supervisor.halt), counters.phase.eq(phases.phase),
            counters.batch_done.eq(dispatch.done), counters.dispatched.eq(dispatch.dispatched),
            counters.tag.eq(array.tag), counters.layer.eq(array.layer), counters.macs.eq(array.macs),
            counters.shown_layer.eq(registers.layer),
            counters.loaded.eq(arbiter.load.rvalid & arbiter.load.rready),
            counters.fetched.eq(arbiter.fetch.rvalid & arbiter.fetch.rready),
            counters.stored.eq(store.axi.wvalid & store.axi.wready),
            *(counters.busy[engine].eq(component.busy) for engine, component in engines.items()),
            counters.read.eq(registers.counter_read), counters.index.eq(registers.counter_index),
            registers.counter_valid.eq(counters.valid), registers.counter_value.eq(counters.value)]


def _flat(prefix: str, signature: wiring.Signature) -> dict:
    return {f"{prefix}_{name}": member for name, member in signature.members.items()}
