"""The code in the documentation runs, and its commands exist."""

import re
import shlex
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.util import find_spec

import pytest
from pages import DOCS, PAGES, ROOT, fragments, name

from adagp import cli, driver

_TRAINING = """
import torch
from torch import nn
from adagp.compiler import compile_training
from adagp.spec.config import preset
from adagp.spec.schedule import Schedule
model = nn.Sequential(nn.Conv2d(3, 2, 3, stride=8), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 4 * 4, 3))
config, batches, epochs, schedule = preset("tiny"), 2, 2, Schedule(warmup=4)
"""
_COMPILED = _TRAINING + """
import numpy as np
training = compile_training(model, config, batch=2, input_shape=(3, 32, 32))
images = samples = torch.randn(4, 3, 32, 32)
labels = torch.tensor([0, 1, 2, 0])
memory = np.zeros(training.image_bytes(batches), np.uint8)
"""
PREPARED = {
    "docs/pytorch.md": """
import torch
from torch import nn
model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))
optimizer, criterion = torch.optim.SGD(model.parameters(), 0.1), nn.CrossEntropyLoss()
loader = [(torch.randn(3, 4), torch.tensor([0, 1, 0]))] * 4
""",
    "docs/evaluation.md": _TRAINING,
    "docs/integration.md": _COMPILED + f"""
import sys
sys.path.append({str(ROOT / "flows/adagp_flows/release/litex")!r})
""",
    "docs/boards.md": _COMPILED + """
from adagp import host
from adagp.golden import GoldenMachine
host.open_serial = host.Link = lambda *options: None
host.HostedMachine = lambda link, config: GoldenMachine(config, memory.size)  # it has the same interface
"""}
"""What fragments take as given that are parts of something larger, by page."""

PYTHON = [(page, index) for page in PAGES for index in range(len(fragments(page, "python")))]


def run(page, index: int) -> str:
    code = PREPARED.get(name(page), "") + fragments(page, "python")[index]
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("page, index", [
    (page, index) for page, index in PYTHON if (name(page), index) != ("docs/first_steps.md", 0)],
    ids=lambda value: name(value) if hasattr(value, "parts") else str(value))
def test_python_runs(page, index):
    run(page, index)


def test_own_network_trains_bit_exactly_in_all_phases():
    lines = run(DOCS / "first_steps.md", 0).splitlines()
    result = {line.split()[0]: line.split()[1:] for line in lines}
    assert {phase: int(words[0]) for phase, words in result.items() if words[0] != "0"} == {
        "WARMUP": 5, "BP": 2, "GP": 8, "ENTER": 3, "LEAVE": 3}
    cycles = {phase: float(words[3]) for phase, words in result.items() if words[0] != "0"}
    assert 0 < cycles["GP"] < cycles["BP"] and result["EVALUATE"] == ["0", "batches", "of", "None", "cycles"]


C = [fragment for page in PAGES for fragment in fragments(page, "c")]


@pytest.mark.parametrize("fragment", C, ids=range(len(C)))
def test_c_compiles_against_the_driver(fragment, tmp_path):
    for file, text in driver.files().items():
        (tmp_path / file).write_text(text)
    (tmp_path / "test_image.h").write_text(  # as a release folder has it
        '#include "adagp.h"\n#define TEST_BATCHES 3u\n'
        "static const struct adagp_image test_image;\nstatic const struct adagp_schedule test_schedule;\n")
    (tmp_path / "fragment.c").write_text(fragment)
    subprocess.run(["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", tmp_path / "fragment.c"], check=True)


def commands(page) -> list[list[str]]:
    """The words of each line of its shell fragments."""
    lines = "".join(fragments(page, "sh")).splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=name)
def test_commands_and_their_options_exist(page, monkeypatch):
    for module in cli.COMMANDS:
        monkeypatch.setattr(import_module(f"adagp.cli.{module}"), "run", lambda arguments: None)
    sessions = re.findall(r"^def (\w+)\(run: nox", (ROOT / "noxfile.py").read_text(), re.MULTILINE)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for words in commands(page):
        match words:
            case ["adagp", *arguments]:
                assert cli.main(arguments) == 0, words
            case ["nox", "-s", session, *_]:
                assert session in sessions, words
            case ["python", "-m", module, *_]:
                assert find_spec(module), words
            case ["python", file, *_]:
                assert (ROOT / file).exists(), words
            case ["pip", "install", "-e", what]:
                assert set(re.findall(r"\w+", what)) <= extras.keys(), words
            case ["pip", "install", "nox"] | ["openFPGALoader" | "vivado", *_]:
                pass
            case _:
                pytest.fail(f"a command that this test does not know: {' '.join(words)}")
