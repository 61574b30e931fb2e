"""Makes the release folder: all of it, or nothing."""

import tempfile
from importlib.metadata import files, version
from importlib.resources import files as resources
from pathlib import Path

from adagp import driver
from adagp.spec.config import AcceleratorConfig
from adagp.spec.identity import configuration_digest
from adagp.spec.registers import SOURCE, field
from adagp_hdl.verilog import generate

from . import fusesoc, image, instructions, ipxact, manifest, readme, register_page, vivado
from .ports import ports

BENCH = "bench.v", "bench_memory.v"
LITEX = "adagp_litex.py", "example_soc.py"


class FolderNotEmpty(Exception):
    """There is something where the release folder is to be; the text says where."""


def name_of(config: AcceleratorConfig) -> str:
    """The component's name."""
    return f"adagp_{config.design.name.lower()}_{config.rows}x{config.columns}"


def package(config: AcceleratorConfig, folder: Path, *, clock_mhz: float = 100.0) -> None:
    """Writes the release of ``config`` to ``folder``, which is new or empty; the same bytes for the same arguments.

    ``clock_mhz`` is what the constraints ask for. Raises :class:`FolderNotEmpty`, and
    :class:`adagp.compiler.CompileError` if the test image does not fit ``config``. Whatever ends the process,
    ``folder`` is complete or as it was.
    """
    if not clock_mhz > 0:
        raise ValueError(f"clock_mhz must be above 0, not {clock_mhz!r}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FolderNotEmpty(f"the folder of a release must be new or empty, and {folder} is not")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as partial:
        whole = Path(partial, "release")
        _write(config, whole, clock_mhz)
        whole.rename(folder)  # takes the place of an empty folder, of no other


def _write(config: AcceleratorConfig, folder: Path, clock_mhz: float) -> None:
    name, release = name_of(config), version("adagp")
    summary = f"{config.rows} × {config.columns} array, design {config.design.name.lower()}"
    instruction_set = field("INTERFACE", "instruction_set").reset
    image.make(config).write(folder / "image")  # first: it may be refused
    verilog = generate(config)
    pins = ports(verilog)
    interfaces = vivado.interfaces(pins, burst_beats=config.burst_beats)
    own = resources("adagp_flows.release")
    clock = _clock(clock_mhz)
    texts = {
        "README.md": readme.readme(name, fusesoc.vlnv(name, release), summary, config, version=release,
                                   instruction_set=instruction_set, batches=image.BATCHES,
                                   configuration=configuration_digest(config)),
        "LICENSE": _licence(),
        "rtl/adagp.v": vivado.annotated(verilog, interfaces),
        vivado.SCRIPT: vivado.script(name, release, f"ADA-GP training accelerator, {summary}", interfaces),
        f"{name}.core": fusesoc.core(name, release, summary),
        "registers/adagp.rdl": SOURCE.read_text(),
        "registers/registers.html": register_page.page(f"Registers of the ADA-GP accelerator {release}"),
        "ipxact/component.xml": ipxact.component(name, release, pins),
        "docs/instructions.md": instructions.reference(str(instruction_set)),
        "constraints/adagp.sdc": clock, "constraints/adagp.xdc": clock,
        "bench/configuration.vh": f"`define ADAGP_DATA_BITS {config.bus_bits}\n",
        **{f"bench/{file}": (own / "bench" / file).read_text() for file in BENCH},
        **{f"litex/{file}": (own / "litex" / file).read_text() for file in LITEX},
        **{f"driver/{file}": text for file, text in driver.files().items()}}
    for path, text in texts.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    (folder / manifest.FILE).write_text(manifest.manifest(name, config, pins, folder))


def _clock(mhz: float) -> str:
    return ("# One clock; all ports are synchronous to it, the reset too.\n"
            f"create_clock -name aclk -period {1000 / mhz:.3f} [get_ports aclk]\n")


def _licence() -> str:
    """The licence that the installed distribution carries."""
    file, = (each for each in files("adagp") if each.name == "LICENSE")
    return file.locate().read_text()
