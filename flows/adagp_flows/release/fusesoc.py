"""The ``.core`` file: the release folder as a core of FuseSoC, with targets that lint and simulate it."""

_CORE = """\
CAPI=2:
name: "{vlnv}"
description: "ADA-GP training accelerator, {summary}"

filesets:
  rtl:
    files: [rtl/adagp.v]
    file_type: verilogSource-2005
  constraints:
    files: [constraints/adagp.sdc]
    file_type: SDC
  bench:
    files:
      - bench/configuration.vh: {{is_include_file: true}}
      - image/image.vh: {{is_include_file: true}}
      - bench/bench_memory.v
      - bench/bench.v
      - image/image.hex: {{file_type: user, copyto: image/image.hex}}
      - image/expected.hex: {{file_type: user, copyto: image/expected.hex}}
      - image/run.hex: {{file_type: user, copyto: image/run.hex}}
    file_type: verilogSource-2005

targets:
  default:
    filesets: [rtl, constraints]
    toplevel: adagp

  lint:
    description: "Verilator's warnings, all of them"
    filesets: [rtl]
    toplevel: adagp
    flow: lint
    flow_options:
      tool: verilator
      verilator_options: [-Wall]

  sim:
    description: "The test image, with Icarus Verilog"
    filesets: [rtl, bench]
    toplevel: bench
    flow: sim
    flow_options:
      tool: icarus
      iverilog_options: [-g2005]

  sim_verilator:
    description: "The test image, with Verilator"
    filesets: [rtl, bench]
    toplevel: bench
    flow: sim
    flow_options:
      tool: verilator
      mode: binary
      verilator_options: [--timing, -j, "0", -CFLAGS, -std=c++20]
"""


def vlnv(name: str, version: str) -> str:
    """How FuseSoC calls the component ``name``."""
    return f"adagp:ip:{name}:{version}"


def core(name: str, version: str, summary: str) -> str:
    """The text for the component ``name``."""
    return _CORE.format(vlnv=vlnv(name, version), summary=summary)
