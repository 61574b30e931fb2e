"""Stands in for Vivado's IP packager: the commands that ``package_ip.tcl`` uses, on interfaces that are inferred by the
attributes of a Verilog file, as UG994 describes them."""

import re
import sys
from pathlib import Path
from tkinter import Tcl, TclError

_SILENT = ("create_project", "update_compile_order", "ipx::create_xgui_files", "ipx::update_checksums", "ipx::check_integrity",
           "close_project", "set_property")


class Packager:
    """A Tcl interpreter with the packager's commands. ``ports`` are those of the packaged top, ``interfaces`` what was
    inferred: name → type, mode, ports by logical name, parameters. ``saved``: the core was packaged to the end."""

    def __init__(self):
        self.ports: dict[str, str] = {}
        self.interfaces: dict[str, dict] = {}
        self.saved = False
        self._files: list[str] = []
        self._tcl = Tcl()
        for name in _SILENT:
            self._command(name, lambda *words: "")
        self._command("add_files", lambda *words: self._files.append(words[-1]) or "")
        self._command("current_fileset", lambda: "fileset")
        self._command("ipx::package_project", self._package)
        self._command("ipx::current_core", lambda: "core")
        self._command("ipx::get_bus_interfaces", lambda *words: " ".join(
            self.interfaces if words[0] == "-of_objects" else [words[0]] if words[0] in self.interfaces else []))
        self._command("ipx::get_port_maps", lambda logical, _, name: f"ports {name} {logical}")
        self._command("ipx::get_bus_parameters", lambda parameter, _, name: f"parameters {name} {parameter}")
        self._command("get_property", self._property)
        self._command("ipx::save_core", lambda core: setattr(self, "saved", True) or "")

    def run(self, script: Path, *arguments: str) -> str:
        """The error that the script ends with, or nothing."""
        self._tcl.eval(f"set argv {{{' '.join(arguments)}}}; set argc {len(arguments)}")
        try:
            self._tcl.eval(f"source {{{script}}}")
        except TclError as error:
            return str(error) or "the stand-in itself failed"
        return ""

    def _command(self, name, function):
        if "::" in name:
            self._tcl.eval(f"namespace eval {name.rpartition('::')[0]} {{}}")
        self._tcl.createcommand(name, function)

    def _property(self, name, of):
        where, *rest = of.split()
        if rest:
            return self.interfaces[rest[0]][where].get(rest[1], "")
        return self.interfaces[where][{"bus_type_vlnv": "type", "interface_mode": "mode"}[name]]

    def _package(self, *options):
        top = re.search(r"^module adagp\(.*?^endmodule", Path(self._files[0]).read_text(), re.MULTILINE | re.DOTALL)[0]
        for attributes, direction, port in re.findall(
                r"^((?:  \(\* .*? \*\)\n)*)  (in|out)put (?:\[\d+:0\] )?(\w+) ?;$", top, re.MULTILINE):
            self.ports[port] = direction
            for attribute, value in re.findall(r'\(\* (\w+) = "(.*?)" \*\)', attributes):
                self._attribute(attribute, value, port, direction)
        return ""

    def _attribute(self, attribute, value, port, direction):
        if attribute == "X_INTERFACE_INFO":
            kind, name, logical = value.split()
            one = self.interfaces.setdefault(name, {"ports": {}, "parameters": {}})
            one["type"] = kind
            one["ports"][logical] = port
            if logical in ("AWVALID", "CLK", "RST", "INTERRUPT"):
                one["mode"] = "master" if direction == "out" else "slave"
        elif attribute == "X_INTERFACE_PARAMETER":
            (_, name), *parameters = (item.split() for item in value.split(", "))
            self.interfaces.setdefault(name, {"ports": {}, "parameters": {}})["parameters"].update(parameters)


def main(words: list[str]) -> int:
    """Vivado's command line, as far as it names script and arguments."""
    error = Packager().run(Path(words[words.index("-source") + 1]), *words[words.index("-tclargs") + 1:])
    if error:
        print(f"ERROR: {error}")
    return 1 if error else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
