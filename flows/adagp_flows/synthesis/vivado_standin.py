"""Stands in for Vivado where that is not installed: the same command line and Tcl, but its commands do nothing.

``python vivado_standin.py -mode batch -source SCRIPT.tcl [PROJECT.xpr]`` ends with an error for Tcl that does not parse, an
unknown command, a file that is not there, a top that no file has, a port in constraints that the top has not got;
otherwise it leaves the project's file, and reports and bitstream without contents.
"""

import fnmatch
import json
import re
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tkinter import Tcl, TclError  # some systems have it in a package of its own

_OBJECTS = ("current_run", "current_fileset", "current_design", "get_runs", "get_filesets", "get_nets",
            "get_pins", "get_cells", "get_clocks", "all_outputs", "all_inputs", "list_property")
_ACTIONS = ("set_property", "create_clock", "set_false_path", "set_max_delay", "wait_on_run", "open_run", "reset_runs")
_SPECIAL = ("create_project", "current_project", "read_verilog", "read_xdc", "get_ports", "get_property", "launch_runs",
            "report_utilization", "report_timing_summary", "report_power", "exit")


@dataclass
class _Project:
    """What lasts from one call of Vivado to the next, in the project's file."""

    name: str = ""
    top: str = ""
    verilog: list[str] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)
    """Runs that are done."""


class StandinError(Exception):
    """What is wrong with a project."""


class Standin:
    """Vivado in the present folder, with the project in the file ``project`` if there is one."""

    def __init__(self, project: str | None):
        self.project = _Project(**json.loads(Path(project).read_text())) if project else _Project()
        self._tcl = Tcl()
        self._error: StandinError | None = None  # on its way through Tcl, which would lose it
        for name in _OBJECTS + _ACTIONS + _SPECIAL:
            self._tcl.createcommand(name, lambda *words, name=name: self._command(name, words))

    def run(self, script: Path) -> None:
        """:class:`StandinError`."""
        try:
            self._tcl.eval(script.read_text())
        except TclError as error:
            raise self._error or StandinError(f"{script}: {error}") from None

    def save(self) -> None:
        Path(f"{self.project.name}.xpr").write_text(json.dumps(asdict(self.project)))

    def _command(self, name: str, words: tuple[str, ...]) -> str:
        try:
            return getattr(self, f"_{name}")(*words) if name in _SPECIAL else self._ordinary(name, words)
        except StandinError as error:
            self._error = error
            raise

    def _ordinary(self, name: str, words: tuple[str, ...]) -> str:
        if name == "set_property" and words[0] == "top":
            self.project.top = words[1]
        return words[0] if name.startswith("get_") and words else name

    def _create_project(self, name, *options):
        self.project.name = name
        return name

    def _current_project(self):
        return self.project.name

    def _read_verilog(self, name):
        self.project.verilog.append(_existing(name))
        return name

    def _read_xdc(self, name):
        self.project.constraints.append(_existing(name))
        return name

    def _get_ports(self, *words):
        pattern = words[-1]
        found = [port for port in self._ports() if fnmatch.fnmatchcase(port, pattern)]
        if not found:
            raise StandinError(f"the top {self.project.top} has no port {pattern}")
        return " ".join(found)

    def _get_property(self, name, of):
        done = "100%" if of in self.project.finished else "0%"
        return {"PROGRESS": done, "NEEDS_REFRESH": "0", "STATUS": done, "DIRECTORY": str(Path.cwd()),
                "top": self.project.top}.get(name, "")

    def _launch_runs(self, run, *options):
        if run in self.project.finished:
            raise StandinError(f"the run {run} is already done")
        if run == "synth_1":
            for constraints in self.project.constraints:
                self.run(Path(constraints))
        self.project.finished.append(run)
        if "write_bitstream" in options:
            Path(f"{self.project.top}.bit").touch()
        return ""

    def _report_utilization(self, *options):
        Path(options[options.index("-file") + 1]).touch()
        return ""

    _report_timing_summary = _report_power = _report_utilization

    def _exit(self, code="0"):
        raise StandinError(f"the script ended with status {code}")

    def _ports(self) -> list[str]:
        """Of the top, whose header has names only, as Yosys writes it, or whole declarations."""
        text = "\n".join(Path(name).read_text() for name in self.project.verilog)
        header = re.search(rf"^module\s+{re.escape(self.project.top)}\s*\((.*?)\);", text, re.MULTILINE | re.DOTALL)
        if not header:
            raise StandinError(f"no Verilog file has the top {self.project.top}")
        return [port.split()[-1] for port in header[1].split(",")]


def _existing(name: str) -> str:
    if not Path(name).is_file():
        raise StandinError(f"there is no file {name}")
    return name


def main(words: list[str]) -> int:
    project = next((word for word in words if word.endswith(".xpr")), None)
    standin = Standin(project)
    for script in [word for word in words if word.endswith(".tcl")]:
        try:
            standin.run(Path(script))
        except StandinError as error:
            print(f"ERROR: {error}", file=sys.stderr)
            return 1
    standin.save()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
