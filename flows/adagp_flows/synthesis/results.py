"""What synthesis gives, as typed records; ``as_json`` has the names of ``report.json``."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields


@dataclass(frozen=True, kw_only=True)
class ModuleArea:
    """One module: its ``instances`` in the design; what one of them costs, ``own`` without and ``total`` with the
    instances in it, by the field names of the target's record; the modules that one instantiates, with how often."""

    module: str
    instances: int
    own: Mapping[str, float]
    total: Mapping[str, float]
    children: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Result:
    """``tools``: the version of each one that was used. ``modules``: parents before their children, the top first;
    empty where the target does not tell modules apart."""

    tools: Mapping[str, str]
    modules: tuple[ModuleArea, ...] = ()

    def as_json(self) -> dict:
        """All fields that have a value but ``tools`` and ``modules``."""
        return {each.name: value for each in fields(self)
                if each.name not in ("tools", "modules") and (value := getattr(self, each.name)) is not None}


@dataclass(frozen=True, kw_only=True)
class Xc7(Result):
    """On a 7-series FPGA, before placement; ``device`` is ``any`` where the size of the FPGA was not asked about. ``lut``
    counts all LUTs: of logic and inverters, of ``srl`` shift registers, and of ``lutram``, in both of which a LUT is what
    one six-input LUT of a SLICEM holds. ``estimate_mhz`` is the clock by :mod:`.paths`, with speed grade -2; None where
    Vivado has placed and routed the design, which alone gives ``fmax_mhz`` and ``power_w``."""

    device: str
    lut: int
    ff: int
    ramb36: int
    ramb18: int
    dsp: int
    srl: int
    lutram: int
    muxf7: int
    muxf8: int
    carry4: int
    estimate_mhz: float | None = None
    fmax_mhz: float | None = None
    power_w: float | None = None


@dataclass(frozen=True, kw_only=True)
class Ecp5(Result):
    """On an ECP5, placed and routed. ``fmax_mhz`` is the median of ``fmax_by_seed``, ``estimate_mhz`` the clock by
    :mod:`.paths` before that; ``lut`` counts LUT4, those of carry
    chains and distributed memory included, ``bram`` blocks of 18 Kbit (DP16KD), ``dsp`` MULT18X18D."""

    device: str
    fmax_mhz: float
    fmax_by_seed: Mapping[int, float]
    lut: int
    ff: int
    bram: int
    dsp: int
    estimate_mhz: float | None = None
    critical_path: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Ice40(Result):
    """On an iCE40, placed and routed. A logic cell holds one ``lut`` and one ``ff``; ``bram`` blocks are of 4 Kbit, ``spram``
    of 256 Kbit."""

    device: str
    fmax_mhz: float
    fmax_by_seed: Mapping[int, float]
    lut: int
    ff: int
    bram: int
    spram: int
    dsp: int
    estimate_mhz: float | None = None
    critical_path: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Cells(Result):
    """In standard cells, before placement. Memories are macros that are in neither ``area_um2`` nor ``power_w``;
    ``memory_bits`` counts their bits. ``power_w`` is None without recorded ``activity``, which says whose it was."""

    library: str
    clock_ns: float
    area_um2: float
    slack_ns: float
    power_w: float | None
    cells: int
    ff: int
    memory_bits: int
    activity: str | None = None
    critical_path: tuple[str, ...] = ()

    @property
    def fmax_mhz(self) -> float:
        """The clock at which the slack of the same cells is 0."""
        return 1000 / (self.clock_ns - self.slack_ns)
