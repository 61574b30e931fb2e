"""IP-XACT (IEEE 1685-2014): the register map that PeakRDL writes, and around it interfaces, ports and files."""

import tempfile
import xml.etree.ElementTree as tree
from pathlib import Path

from adagp.spec.registers import SOURCE

from .ports import INTERFACES, PARAMETERS, Port

SPACE = "http://www.accellera.org/XMLSchema/IPXACT/1685-2014"
VENDOR, LIBRARY = "adagp", "ip"

#: Bus types as (vendor, library, name, version), each with its abstraction: AMBA's and, as the standard
#: has none, those of the Vivado catalogue for single signals.
_AXI4 = ("amba.com", "AMBA4", "AXI4", "r0p0_0"), ("amba.com", "AMBA4", "AXI4_rtl", "r0p0_0")
_AXI4_LITE = ("amba.com", "AMBA4", "AXI4-Lite", "r0p0_0"), ("amba.com", "AMBA4", "AXI4-Lite_rtl", "r0p0_0")
_SIGNALS = {name: (("xilinx.com", "signal", name, "1.0"), ("xilinx.com", "signal", f"{name}_rtl", "1.0"))
            for name in ("clock", "reset", "interrupt")}

_FILE_SETS = {
    "rtl": (("rtl/adagp.v", "verilogSource"),),
    "driver": (("driver/adagp.c", "cSource"), ("driver/adagp.h", "cSource"), ("driver/adagp_registers.h", "cSource"))}


def component(name: str, version: str, ports: list[Port]) -> str:
    """The XML of the component ``name``: AXI4, AXI4-Lite, clock, reset and interrupt, all ports, the memory
    map of the registers, and where Verilog and driver lie relative to the release folder's ``ipxact``."""
    tree.register_namespace("ipxact", SPACE)
    root = _registers(name, version)
    maps = root.find(_tag("memoryMaps"))
    at = list(root).index(maps)
    root.insert(at, _address_spaces())
    root.insert(at, _bus_interfaces(ports, maps.find(f"{_tag('memoryMap')}/{_tag('name')}").text))
    root.append(_model(ports))
    root.append(_file_sets())
    _element(root, "description", text="ADA-GP training accelerator")
    tree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tree.tostring(root, encoding="unicode") + "\n"


def _registers(name: str, version: str) -> tree.Element:
    """The component that PeakRDL makes of the description: registers and nothing else."""
    from peakrdl_ipxact import IPXACTExporter
    from systemrdl import RDLCompiler

    compiler = RDLCompiler()
    compiler.compile_file(str(SOURCE))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "registers.xml")
        IPXACTExporter(vendor=VENDOR, library=LIBRARY, version=version).export(
            compiler.elaborate(), str(file), component_name=name)
        return tree.parse(file).getroot()


def _bus_interfaces(ports: list[Port], memory_map: str) -> tree.Element:
    interfaces = tree.Element(_tag("busInterfaces"))
    members = {name: {port.signal: port.name for port in ports if port.interface == name} for name in INTERFACES}
    clocked = {"ACLK": "aclk", "ARESETn": "aresetn"}
    subordinate = _bus_interface(interfaces, "s_axil", _AXI4_LITE, clocked | members["s_axil"], "slave")
    _element(subordinate, "memoryMapRef", memoryMapRef=memory_map)
    manager = _bus_interface(interfaces, "m_axi", _AXI4, clocked | members["m_axi"], "master")
    _element(manager, "addressSpaceRef", addressSpaceRef="memory")
    _bus_interface(interfaces, "aclk", _SIGNALS["clock"], {"CLK": "aclk"}, "slave", **PARAMETERS["aclk"])
    _bus_interface(interfaces, "aresetn", _SIGNALS["reset"], {"RST": "aresetn"}, "slave", **PARAMETERS["aresetn"])
    _bus_interface(interfaces, "irq", _SIGNALS["interrupt"], {"INTERRUPT": "irq"}, "master", **PARAMETERS["irq"])
    return interfaces


def _bus_interface(interfaces: tree.Element, name: str, types, ports: dict[str, str], mode: str,
                   **parameters: str) -> tree.Element:
    """Adds an interface with the port of each logical signal; returns the element of its mode."""
    interface = _element(interfaces, "busInterface")
    _element(interface, "name", text=name)
    keys = ("vendor", "library", "name", "version")
    bus, abstraction = (dict(zip(keys, each, strict=True)) for each in types)
    _element(interface, "busType", **bus)
    kind = _element(_element(interface, "abstractionTypes"), "abstractionType")
    _element(kind, "abstractionRef", **abstraction)
    maps = _element(kind, "portMaps")
    for logical, physical in ports.items():
        port = _element(maps, "portMap")
        _element(_element(port, "logicalPort"), "name", text=logical)
        _element(_element(port, "physicalPort"), "name", text=physical)
    role = _element(interface, mode)
    if parameters:
        values = _element(interface, "parameters")
        for key, value in parameters.items():
            parameter = _element(values, "parameter", parameterId=f"{name}_{key}", type="string")
            _element(parameter, "name", text=key)
            _element(parameter, "value", text=value)
    return role


def _address_spaces() -> tree.Element:
    """What the manager reaches: 4 GiB of bytes."""
    spaces = tree.Element(_tag("addressSpaces"))
    space = _element(spaces, "addressSpace")
    for name, text in (("name", "memory"), ("range", "'h100000000"), ("width", "32")):
        _element(space, name, text=text)
    return spaces


def _model(ports: list[Port]) -> tree.Element:
    model = tree.Element(_tag("model"))
    view = _element(_element(model, "views"), "view")
    _element(view, "name", text="rtl")
    _element(view, "envIdentifier", text="verilogSource::")
    _element(view, "componentInstantiationRef", text="verilog")
    instantiation = _element(_element(model, "instantiations"), "componentInstantiation")
    for name, text in (("name", "verilog"), ("language", "verilog"), ("moduleName", "adagp")):
        _element(instantiation, name, text=text)
    _element(_element(instantiation, "fileSetRef"), "localName", text="rtl")
    listed = _element(model, "ports")
    for port in ports:
        each = _element(listed, "port")
        _element(each, "name", text=port.name)
        wire = _element(each, "wire")
        _element(wire, "direction", text="out" if port.output else "in")
        if port.width > 1:
            vector = _element(_element(wire, "vectors"), "vector")
            _element(vector, "left", text=str(port.width - 1))
            _element(vector, "right", text="0")
    return model


def _file_sets() -> tree.Element:
    sets = tree.Element(_tag("fileSets"))
    for name, files in _FILE_SETS.items():
        one = _element(sets, "fileSet")
        _element(one, "name", text=name)
        for path, kind in files:
            file = _element(one, "file")
            _element(file, "name", text=f"../{path}")
            _element(file, "fileType", text=kind)
    return sets


def _element(parent: tree.Element, name: str, /, *, text: str | None = None, **attributes: str) -> tree.Element:
    element = tree.SubElement(parent, _tag(name), attributes)
    element.text = text
    return element


def _tag(name: str) -> str:
    return f"{{{SPACE}}}{name}"
