"""A list of commands as a flow of edalize, whose own flows know neither the tools of the Python packages nor OpenSTA."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

from edalize.flows.edaflow import Edaflow, FlowGraph
from edalize.tools.edatool import Edatool
from edalize.utils import EdaCommands

_GOAL = "finished"


class _Commands(Edatool):
    """The one node of the flow: writes the inputs and gives the build runner the commands, one after the other."""

    def __init__(self, inputs: Mapping[str, str], commands: Sequence[Sequence[str]]):
        super().__init__()
        self._inputs = inputs
        self._lines = [[shlex.quote(word).replace("$", "$$") for word in command] for command in commands]

    def setup(self, edam):
        super().setup(edam)
        self.commands = EdaCommands()
        self.commands.add(self._lines, [_GOAL], [])
        self.commands.set_default_target(_GOAL)

    def write_config_files(self):
        for name, text in self._inputs.items():
            self.update_config_file(name, text)


class CommandFlow(Edaflow):
    """Runs ``commands`` in ``folder``, which gets the ``inputs``: file names and their texts."""

    def __init__(self, name: str, inputs: Mapping[str, str], commands: Sequence[Sequence[str]], folder: Path):
        self._node = _Commands(inputs, commands)
        super().__init__({"name": name, "flow_options": {"build_runner": "make"}}, folder)

    def configure_flow(self, flow_options):
        graph = FlowGraph()
        graph.add_node("commands", SimpleNamespace(deps=[], fdto={}, tool="commands", inst=self._node))
        return graph

    def extract_tool_options(self):
        """Edalize would look for the node's class among its own."""
        self.edam["tool_options"] = {}

    def configure_tools(self, graph):
        super().configure_tools(graph)
        self.commands.set_default_target(_GOAL)

    @property
    def build_command(self) -> list[str]:
        """What to run in the folder, once :meth:`configure` has written it."""
        command, arguments = self.build_runner.get_build_command()
        return [command, *arguments]
