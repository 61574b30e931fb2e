"""Rules of AXI4 bursts, and what a memory promises."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal

from adagp_hdl.bus.burst_writer import OPERAND_BYTES

from .draining import load_reader
from .harness import Harness

_INCR = 1


def memory(harness: Harness, m: Module):
    """Assumes that the memory answers what was asked and no more: beats and bursts of each read identifier, the last beat
    with RLAST, one response per written burst. Beats of one identifier come in the order of its requests; nothing
    else is assumed of order, time, data or errors. Returns the beats and the bursts that it owes, by identifier."""
    core, config = harness.core, harness.config
    most = config.read_buffer_beats
    beats = Array(Signal(range(4 * most), name=f"beats_owed_{i}") for i in range(2))
    bursts = Array(Signal(range(4 * most), name=f"bursts_owed_{i}") for i in range(2))
    asked, given = core["m_axi_arvalid"] & core["m_axi_arready"], core["m_axi_rvalid"] & core["m_axi_rready"]
    for i in range(2):
        asks, gives = asked & (core["m_axi_arid"] == i), given & (core["m_axi_rid"] == i)
        m.d.sync += [
            beats[i].eq(beats[i] + Mux(asks, core["m_axi_arlen"] + 1, 0) - gives),
            bursts[i].eq(bursts[i] + asks - (gives & core["m_axi_rlast"]))]
    owed, left = beats[core["m_axi_rid"]], bursts[core["m_axi_rid"]]
    harness.assume(~core["m_axi_rvalid"] | Mux(
        core["m_axi_rlast"], ((left != 1) | (owed == 1)) & (owed >= left) & (left != 0), owed > left))
    return beats, bursts


def read_bursts(harness: Harness, m: Module) -> None:
    """Bursts of reads are legal."""
    _bursts(harness, "ar")


def write_bursts(harness: Harness, m: Module) -> None:
    """Bursts of writes are legal, and their strobes are those of whole operands."""
    _bursts(harness, "aw")
    core, config = harness.core, harness.config
    harness.rule("aw_id", "M_AXI_AWID is 0", ~core["m_axi_awvalid"] | (core["m_axi_awid"] == 0))
    operands = [core["m_axi_wstrb"].word_select(i, OPERAND_BYTES) for i in range(config.bus_bytes // OPERAND_BYTES)]
    harness.rule("w_operands", f"M_AXI_WSTRB enables all {OPERAND_BYTES} bytes of an operand or none of them",
                 ~core["m_axi_wvalid"] | Cat(each.all() | ~each.any() for each in operands).all())


def _bursts(harness: Harness, channel: str) -> None:
    config, port = harness.config, f"M_AXI_{channel.upper()}"
    low = (config.bus_bytes - 1).bit_length()
    valid, address, length, kind, size, lock = (
        harness.core[f"m_axi_{channel}{name}"] for name in ("valid", "addr", "len", "burst", "size", "lock"))
    for name, text, holds in (
            ("incr", f"{port}BURST is INCR", kind == _INCR),
            ("full_width", f"{port}SIZE is the width of the bus", size == low),
            ("aligned", f"{port}ADDR is a multiple of the width of the bus", address[:low] == 0),
            ("length", f"{port}LEN is below the configured length of bursts", length < config.burst_beats),
            ("4_kib", f"no burst on {port} crosses 4 KiB", address[low:12] + length < 4096 // config.bus_bytes),
            ("ordinary", f"no locked access on {port}", ~lock)):
        harness.rule(f"{channel}_{name}", text, ~valid | holds)


def reads(harness: Harness, m: Module) -> None:
    """What is asked for can be taken. Assumes a :func:`memory`."""
    config, core = harness.config, harness.core
    beats, bursts = memory(harness, m)
    depth = config.read_buffer_beats
    harness.rule("r_ready", "M_AXI_RREADY is high", core["m_axi_rready"])
    for i, reader in enumerate((load_reader(config), "fetch.reader")):
        level = asked_and_kept(harness, reader, beats[i], bursts[i])
        harness.rule(f"reads_{i}_have_room", f"each beat with RID {i} has room in the read buffer",
                     ~(core["m_axi_rvalid"] & (core["m_axi_rid"] == i)) | (level != depth))
        harness.rule(f"reads_{i}_in_flight", f"the beats of ARID {i} in flight are at most what the read buffer holds",
                     beats[i] <= depth)


def asked_and_kept(harness: Harness, reader: str, beats: Signal, bursts: Signal):
    """Lemmas: the places of ``reader``'s buffer are free, or for the ``beats`` in ``bursts`` that the memory owes it, or taken.
    Returns how many lie in the queue."""
    def probe(path: str, bits: int) -> Signal:
        return harness.probe(f"{reader}.{path}", bits)

    count = harness.config.read_buffer_beats.bit_length()  # bits of a number of beats
    level, noted = ((probe(f"{fifo}.tail", count) - probe(f"{fifo}.head", count))[:count] for fifo in ("buffer", "bursts"))
    shown, offered = probe("axi__arvalid", 1), probe("bursts.o__valid", 1)
    harness.lemma(f"{reader}_room", probe("room", count) + probe("freed", 1) + beats + Mux(shown, probe("axi__arlen", 8) + 1, 0)
                  + level + probe("buffer.o__valid", 1) == harness.config.read_buffer_beats)
    harness.lemma(f"{reader}_noted", noted + offered == bursts + shown)
    harness.lemma(f"{reader}_unoffered", offered | (noted <= shown))
    harness.lemma(f"{reader}_owed", (beats >= bursts) & ((beats == 0) == (bursts == 0)))
    return level


def lengths_of_runs(harness: Harness, m: Module) -> None:
    """Loads ask for runs that are no longer than what was checked, or shorter than a block of bursts."""
    config = harness.config
    block = config.burst_beats * config.bus_bytes
    reader = load_reader(config)

    def right(request: Signal):
        size, extent = request[32:64], request[64:96]
        return (size == extent) | (size != 0) & (size <= (1 << 32) - block)

    harness.lemma("wanted", harness.probe("load_engine.wanted.i__ready", 1) | right(harness.probe("load_engine.wanted.kept", 96)))
    harness.lemma("checked", ~harness.probe(f"{reader}.check.held", 1) | right(harness.probe(f"{reader}.check.checked", 96)))
    low, more = (config.bus_bytes - 1).bit_length(), (config.burst_beats - 1).bit_length()
    for name, owner in (("load", reader), ("fetch", "fetch.reader")):
        for place, there, burst in (("block", harness.probe(f"{owner}.split.o__valid", 1), "split.o__payload"),
                                    ("next", ~harness.probe(f"{owner}.next_burst.i__ready", 1), "next_burst.kept")):
            payload = harness.probe(f"{owner}.{burst}", 32 - low + more + 1)
            harness.lemma(f"{place}_{name}", ~there
                          | (payload[:more] + payload[32 - low:32 - low + more] < config.burst_beats))
        address, length = harness.probe(f"{owner}.axi__araddr", 32), harness.probe(f"{owner}.axi__arlen", 8)
        harness.lemma(f"burst_{name}", ~harness.probe(f"{owner}.axi__arvalid", 1)
                      | (address[low:low + more] + length < config.burst_beats))
