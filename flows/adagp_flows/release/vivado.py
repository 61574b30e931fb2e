"""What Vivado's IP packager goes by: attributes of the ports in the Verilog (UG994), and a script that packages the core
and compares the interfaces that Vivado has found with those that there are."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from adagp_flows.synthesis.tools import Tool

from .ports import PARAMETERS, Port

SCRIPT = "vivado/package_ip.tcl"
"""In a release folder."""

_AXI = "xilinx.com:interface:aximm:1.0"
_SIGNALS = {"aclk": ("clock", "CLK", "slave"), "aresetn": ("reset", "RST", "slave"), "irq": ("interrupt", "INTERRUPT", "master")}
"""Kind, logical name and mode of the interfaces that are one port."""


class PackagerError(Exception):
    """Vivado does not take the core, or finds other interfaces; the text is its first error."""


@dataclass(frozen=True, kw_only=True)
class Interface:
    """An interface as Vivado has it: type as vendor:library:name:version, ports by their logical names."""

    name: str
    bus: str
    mode: str
    ports: dict[str, str]
    parameters: dict[str, str]


def interfaces(ports: list[Port], *, burst_beats: int) -> list[Interface]:
    """All of them; each port is in one."""
    single = [Interface(name=name, bus=f"xilinx.com:signal:{kind}:1.0", mode=mode, ports={logical: name},
                        parameters=PARAMETERS[name]) for name, (kind, logical, mode) in _SIGNALS.items()]
    axi = [Interface(name=name, bus=_AXI, mode=mode, parameters=parameters,
                     ports={port.signal: port.name for port in ports if port.interface == name})
           for name, mode, parameters in (
               ("s_axil", "slave", {"PROTOCOL": "AXI4LITE"}),
               ("m_axi", "master", {"PROTOCOL": "AXI4", "SUPPORTS_NARROW_BURST": "0", "MAX_BURST_LENGTH": str(burst_beats)}))]
    return single + axi


def annotated(verilog: str, members: list[Interface]) -> str:
    """``verilog`` with the attributes of each port of its top in a line before the port."""
    for interface in members:
        parameters = ", ".join([f"XIL_INTERFACENAME {interface.name}", *(
            f"{name} {value}" for name, value in interface.parameters.items())])
        for index, (logical, port) in enumerate(interface.ports.items()):
            attributes = [f'  (* X_INTERFACE_INFO = "{interface.bus} {interface.name} {logical}" *)\n']
            if index == 0:  # one port stands for the interface
                attributes.append(f'  (* X_INTERFACE_PARAMETER = "{parameters}" *)\n')
            declaration = rf"^(?=  (?:in|out)put (?:\[\d+:0\] )?{port} ?;$)"
            verilog = re.sub(declaration, "".join(attributes), verilog, count=1, flags=re.MULTILINE)
    return verilog


_SCRIPT = """\
# Packages the core for Vivado's IP catalogue, and compares the interfaces that Vivado finds with those that it has:
#
#     vivado -mode batch -source vivado/package_ip.tcl -tclargs FOLDER
#
# FOLDER, which is new, becomes a repository of IP with the core in it. Vivado ends with an error otherwise.

if {{$argc != 1}} {{
    error "package_ip.tcl needs the folder of the IP repository, as: -tclargs FOLDER"
}}
set folder [file normalize [lindex $argv 0]]
set release [file dirname [file dirname [file normalize [info script]]]]
if {{[file exists $folder]}} {{
    error "the folder of the IP repository must be new, and $folder is not"
}}

# name, type, mode, logical and physical names of its ports, names and values of its parameters
set interfaces {{
{table}}}

proc expect {{what wanted found}} {{
    if {{$found ne $wanted}} {{
        error "$what must be '$wanted', and Vivado has '$found'"
    }}
}}

create_project {name} [file join $folder project]
add_files -norecurse [file join $release rtl adagp.v]
set_property top adagp [current_fileset]
update_compile_order -fileset sources_1

ipx::package_project -root_dir [file join $folder {name}] -vendor adagp -library ip -taxonomy /UserIP -import_files
set core [ipx::current_core]
set_property name {name} $core
set_property display_name {{{title}}} $core
set_property description {{{title}}} $core
set_property version {version} $core
set_property core_revision {revision} $core

expect "number of interfaces" {count} [llength [ipx::get_bus_interfaces -of_objects $core]]
foreach {{name type mode ports parameters}} $interfaces {{
    set interface [ipx::get_bus_interfaces $name -of_objects $core]
    expect "number of interfaces $name" 1 [llength $interface]
    expect "type of $name" $type [get_property bus_type_vlnv $interface]
    expect "mode of $name" $mode [get_property interface_mode $interface]
    foreach {{logical physical}} $ports {{
        expect "port $logical of $name" $physical [get_property physical_name [ipx::get_port_maps $logical -of_objects $interface]]
    }}
    foreach {{parameter value}} $parameters {{
        expect "$parameter of $name" $value [get_property value [ipx::get_bus_parameters $parameter -of_objects $interface]]
    }}
}}

ipx::create_xgui_files $core
ipx::update_checksums $core
ipx::check_integrity $core
ipx::save_core $core
close_project
"""


def script(name: str, version: str, title: str, members: list[Interface]) -> str:
    """``package_ip.tcl`` of the component ``name``, in a folder of the release folder."""
    major, minor, revision = version.split(".")
    table = "".join(f"    {each.name} {each.bus} {each.mode}\n        {{{_pairs(each.ports)}}}\n        {{{_pairs(each.parameters)}}}\n"
                    for each in members)
    return _SCRIPT.format(name=name, version=f"{major}.{minor}", revision=revision, title=title, table=table, count=len(members))


def _pairs(pairs: dict[str, str]) -> str:
    return " ".join(f"{name} {value}" for name, value in pairs.items())


def package_ip(vivado: Tool, release: Path, folder: Path) -> None:
    """Lets ``vivado`` package the core of ``release`` as IP in the new ``folder``, and compare the interfaces;
    :class:`PackagerError`."""
    command = [vivado.command, "-mode", "batch", "-nojournal", "-nolog", "-source", release / SCRIPT, "-tclargs", folder.absolute()]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if result.returncode:
        errors = re.findall(r"^ERROR: .*", result.stdout + result.stderr, re.MULTILINE)
        raise PackagerError(errors[0] if errors else f"Vivado ended with status {result.returncode}")
