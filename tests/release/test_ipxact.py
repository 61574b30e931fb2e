"""The IP-XACT component against Verilog, register map and folder, and the order that its schema asks for."""

import re
import xml.etree.ElementTree as tree

import pytest

from adagp.spec.registers import REGISTERS

SPACE = {"x": "http://www.accellera.org/XMLSchema/IPXACT/1685-2014"}
ORDER = ["vendor", "library", "name", "version", "busInterfaces", "addressSpaces", "memoryMaps", "model", "fileSets", "description"]


@pytest.fixture(scope="module")
def component(release):
    return tree.parse(release / "ipxact/component.xml").getroot()


def number(text):
    return int(text.removeprefix("'h"), 16)


def test_elements_come_in_the_order_of_the_schema(component):
    assert [each.tag.partition("}")[2] for each in component] == ORDER


def test_ports_are_those_of_the_verilog(component, release):
    top = re.search(r"^module adagp\((.*?)^endmodule", (release / "rtl/adagp.v").read_text(), re.MULTILINE | re.DOTALL)[1]
    header = re.findall(r"\w+", top.partition(")")[0])
    found = {}
    for port in component.findall("x:model/x:ports/x:port", SPACE):
        left = port.findtext("x:wire/x:vectors/x:vector/x:left", "0", SPACE)
        found[port.findtext("x:name", "", SPACE)] = (port.findtext("x:wire/x:direction", "", SPACE), int(left))
    assert set(found) == set(header)
    for name, (direction, left) in found.items():
        width = rf"\[{left}:0\] " if left else ""
        assert re.search(rf"^  {direction}put {width}{name} ?;$", top, re.MULTILINE), name


def test_every_port_is_in_an_interface_and_every_interface_complete(component):
    mapped = {}
    for interface in component.findall("x:busInterfaces/x:busInterface", SPACE):
        name = interface.findtext("x:name", "", SPACE)
        mapped[name] = {each.findtext("x:logicalPort/x:name", "", SPACE): each.findtext("x:physicalPort/x:name", "", SPACE)
                        for each in interface.iter(f"{{{SPACE['x']}}}portMap")}
    ports = {each.findtext("x:name", "", SPACE) for each in component.findall("x:model/x:ports/x:port", SPACE)}
    assert set().union(*(each.values() for each in mapped.values())) == ports
    handshakes = {f"{channel}{wire}" for channel in ("AW", "W", "B", "AR", "R") for wire in ("VALID", "READY")}
    for name in ("s_axil", "m_axi"):
        assert handshakes <= mapped[name].keys()
        assert all(port == f"{name}_{signal.lower()}" for signal, port in mapped[name].items() if port not in ("aclk", "aresetn"))
    assert mapped["irq"] == {"INTERRUPT": "irq"}


def test_the_memory_map_has_every_register(component):
    block = component.find("x:memoryMaps/x:memoryMap/x:addressBlock", SPACE)
    assert number(block.findtext("x:baseAddress", "", SPACE)) == 0
    found = {}

    def walk(parent, path, base):
        for kind in ("register", "registerFile"):
            for each in parent.findall(f"x:{kind}", SPACE):
                size = number(each.findtext("x:range", "'h4", SPACE))
                count = each.findtext("x:dim", None, SPACE)
                for index in range(int(count or 1)):
                    name = path + each.findtext("x:name", "", SPACE) + (f"[{index}]" if count else "")
                    at = base + number(each.findtext("x:addressOffset", "", SPACE)) + index * size
                    if kind == "register":
                        found[name] = at, {field.findtext("x:name", "", SPACE): (
                            int(field.findtext("x:bitOffset", "", SPACE)), int(field.findtext("x:bitWidth", "", SPACE)))
                            for field in each.findall("x:field", SPACE)}
                    else:
                        walk(each, f"{name}.", at)

    walk(block, "", 0)
    assert found == {path: (register.offset, {each.name: (each.lsb, each.width) for each in register.fields})
                     for path, register in REGISTERS.items()}


def test_references_lead_somewhere(component, release):
    interfaces = {each.findtext("x:name", "", SPACE): each for each in component.findall("x:busInterfaces/x:busInterface", SPACE)}
    subordinate = interfaces["s_axil"].find("x:slave/x:memoryMapRef", SPACE).get("memoryMapRef")
    assert subordinate == component.findtext("x:memoryMaps/x:memoryMap/x:name", "", SPACE)
    manager = interfaces["m_axi"].find("x:master/x:addressSpaceRef", SPACE).get("addressSpaceRef")
    assert manager == component.findtext("x:addressSpaces/x:addressSpace/x:name", "", SPACE)
    files = [each.text for each in component.findall("x:fileSets/x:fileSet/x:file/x:name", SPACE)]
    assert len(files) == 4 and all((release / "ipxact" / path).is_file() for path in files)
