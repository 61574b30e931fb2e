"""What a fair memory gets to see: addresses and beats that nothing keeps back."""

from amaranth.hdl import Const, Module, Mux, Signal

from .draining import load_reader
from .harness import Harness
from .queues import DATA_POINTER, POINTER, WRITER

_REFUSED = 2  # cycles in a row in which the memory may leave an address or a beat


def progress(harness: Harness, m: Module) -> None:
    """An address or a beat that can be sent is taken within some cycles. Assumes that the memory takes one after three cycles
    at the latest, and nothing of when it answers."""
    refused = {name: _refused(harness, m, name) for name in ("ar", "aw", "w")}
    _addresses_of_reads(harness, m, refused["ar"])
    _writes(harness, m, refused["aw"], refused["w"])
    _offered(harness, m)


def _refused(harness: Harness, m: Module, channel: str) -> Signal:
    """Assumes of a channel that it is fair. Returns the cycles in which what is offered on it has been refused."""
    valid, ready = (harness.core[f"m_axi_{channel}{name}"] for name in ("valid", "ready"))
    refused = Signal(range(_REFUSED + 2), name=f"{channel}_refused")
    m.d.sync += refused.eq(0)
    with m.If(valid & ~ready):
        m.d.sync += refused.eq(refused + 1)
    harness.assume(~valid | ready | (refused != _REFUSED))
    return refused


def _waited(harness: Harness, m: Module, name: str, wants, taken, counts=1) -> Signal:
    """The cycles with ``counts`` since ``wants`` has been high or ``taken`` has last been."""
    waited = Signal(4, name=f"{name}_waited")
    with m.If(~wants | taken | harness.probe("supervisor.clear", 1)):
        m.d.sync += waited.eq(0)
    with m.Elif(counts):
        m.d.sync += waited.eq(waited + 1)
    return waited


def _wanted(harness: Harness, path: str, source: str, room: Signal):
    """``source`` in ``path`` offers a burst for which there is enough of ``room``, and it may be begun."""
    config = harness.config
    low, more = (config.bus_bytes - 1).bit_length(), (config.burst_beats - 1).bit_length()
    burst = harness.probe(f"{path}.{source}.o__payload", 32 - low + more + 1)
    return (harness.probe(f"{path}.{source}.o__valid", 1) & ~harness.probe(f"{path}.halted", 1)
            & (room > burst[32 - low:32 - low + more]))


def _addresses_of_reads(harness: Harness, m: Module, refused: Signal) -> None:
    core, config = harness.core, harness.config
    taken = core["m_axi_arvalid"] & core["m_axi_arready"]
    for i, (path, most) in enumerate(((load_reader(config), _REFUSED + 1), ("fetch.reader", 2 * _REFUSED + 1))):
        mine, shown = core["m_axi_arid"] == i, harness.probe(f"{path}.axi__arvalid", 1)
        wants = shown | _wanted(harness, path, "next_burst", harness.probe(f"{path}.room", config.read_buffer_beats.bit_length()))
        # programs go first
        waited = _waited(harness, m, f"ar_{i}", wants, taken & mine, counts=1 if i else ~core["m_axi_arvalid"] | mine)
        unless = "" if i else ", not counting those in which ARID is 1"
        harness.rule(f"ar_{i}_comes", f"an address with ARID {i} whose beats have room is taken {most} cycles later at the "
                     f"latest{unless}", waited <= most)
        harness.lemma(f"ar_{i}_waits", Mux(shown, waited <= Mux(mine, most - _REFUSED + refused, refused if i else 1), waited == 0))


def _writes(harness: Harness, m: Module, aw_refused: Signal, w_refused: Signal) -> None:
    core, config = harness.core, harness.config
    aw_taken, w_taken = (core[f"m_axi_{name}valid"] & core[f"m_axi_{name}ready"] for name in ("aw", "w"))
    more = (config.burst_beats - 1).bit_length()
    inside, sends_inside = Const(0), Const(0)  # a burst to the predictor memory
    if config.design.has_predictor_memory:
        inside = harness.probe(f"{WRITER}.ends.o__payload", 2)[1]
        sends_inside = harness.probe(f"{WRITER}.lengths.o__payload", more + 1)[more]
    wants = core["m_axi_awvalid"] | (~inside & harness.probe(f"{WRITER}.bursts.i__ready", 1)
                                     & harness.probe(f"{WRITER}.lengths.i__ready", 1)
                                     & _wanted(harness, WRITER, "split", harness.probe(f"{WRITER}.waiting", DATA_POINTER)))
    waited = _waited(harness, m, "aw", wants, aw_taken)
    harness.rule("aw_comes", f"the address of a burst whose data is there is taken {_REFUSED + 1} cycles later at the latest",
                 waited <= _REFUSED + 1)
    harness.lemma("aw_waits", waited <= Mux(core["m_axi_awvalid"], 1 + aw_refused, 0))
    head, tail = (harness.probe(f"{WRITER}.buffer.{end}", DATA_POINTER) for end in ("head", "tail"))
    begun = harness.probe(f"{WRITER}.lengths.head", POINTER) != harness.probe(f"{WRITER}.lengths.tail", POINTER)
    there = (head != tail) | harness.probe(f"{WRITER}.buffer.o__valid", 1)
    waited = _waited(harness, m, "w", begun & ~sends_inside & there, w_taken)
    harness.rule("w_comes", f"a beat of a burst that was begun is taken {_REFUSED + 1} cycles after it is there at the latest",
                 waited <= _REFUSED + 1)
    harness.lemma("w_waits", waited <= Mux(core["m_axi_wvalid"], 1 + w_refused, 0))
    if not config.design.has_predictor_memory:
        harness.rule("b_ready", "M_AXI_BREADY is high", core["m_axi_bready"])


def _offered(harness: Harness, m: Module) -> None:
    core = harness.core
    for i, path in enumerate((load_reader(harness.config), "fetch.reader")):
        came, waits = (Signal(name=f"beat_{i}_{name}") for name in ("came", "waits"))
        clear = harness.probe("supervisor.clear", 1)
        m.d.sync += [came.eq(core["m_axi_rvalid"] & (core["m_axi_rid"] == i) & ~clear), waits.eq(came & ~clear)]
        count = harness.config.read_buffer_beats.bit_length()
        head, tail = (harness.probe(f"{path}.buffer.{end}", count) for end in ("head", "tail"))
        stored = Signal(name=f"beat_{i}_stored")
        m.d.sync += stored.eq((head != tail) & ~clear)
        harness.rule(f"beats_{i}_drain", f"behind a beat with RID {i} that is taken inside, the next one is offered at once",
                     ~stored | harness.probe(f"{path}.buffer.o__valid", 1))
        harness.rule(f"beat_{i}_is_offered", f"two cycles after a beat with RID {i} it or an earlier one is offered inside",
                     ~waits | harness.probe(f"{path}.buffer.o__valid", 1))
