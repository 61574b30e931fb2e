"""The documentation is built without a warning, and has what is made from the sources."""

import subprocess
import sys
from html import unescape

import pytest
from pages import DOCS, PAGES, ROOT

from adagp.spec.isa import INSTRUCTIONS
from adagp.spec.registers import REGISTERS

pytestmark = pytest.mark.xdist_group("docs")  # the site is built once, and what it includes lies in one place


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    subprocess.run([sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", DOCS, folder],
                   check=True, timeout=600)
    return folder


def test_each_page_is_built_and_shows_its_title(site):
    for page in PAGES:
        if page.parent != ROOT:
            title = page.read_text().partition("\n")[0].removeprefix("# ")
            assert f"<h1>{title}" in unescape((site / page.relative_to(DOCS).with_suffix(".html")).read_text())


def test_references_have_every_register_and_every_instruction(site):
    registers, instructions = ((site / f"{name}.html").read_text() for name in ("registers", "instructions"))
    assert all(f'id="{path}"' in registers for path in REGISTERS if "[" not in path)
    assert all(f'id="{kind.__name__.lower()}"' in instructions for kind in INSTRUCTIONS.values())


@pytest.mark.parametrize("page, names", [
    ("compiler", ["adagp.compiler.compile_training", "adagp.golden.GoldenMachine.run"]),
    ("spec", ["adagp.spec.config.AcceleratorConfig", "adagp.spec.schedule.Schedule"]),
    ("training", ["adagp.training.adagp.AdaGP.backward"]), ("hardware", ["adagp_hdl.verilog.generate"]),
    ("cost", ["adagp.cost.machine.network_cost"]), ("flows", ["adagp_flows.simulation.simulate"])])
def test_python_pages_are_made_from_the_docstrings(site, page, names):
    text = (site / f"api/{page}.html").read_text()
    assert all(f'id="{name}"' in text for name in names)
