"""What the pages refer to is there, and each page is reached."""

import re

import pytest
from pages import DOCS, PAGES, ROOT, fragments, name, prose

each_page = pytest.mark.parametrize("page", PAGES, ids=name)
FOLDERS = "sw|hdl|tb|flows|tests|docs|examples|constraints"


def children(page):
    """The pages in the tables of contents of ``page``."""
    entries = [line for block in fragments(page, "{toctree}") for line in block.splitlines() if line and line[0] != ":"]
    return [page.parent / f"{entry}.md" for entry in entries]


def test_each_page_is_reached_from_the_index_once():
    reached = [DOCS / "index.md"]
    for page in reached:
        reached += children(page)
    assert sorted(reached) == [page for page in PAGES if page.parent != ROOT]


@each_page
def test_links_and_pictures_are_there(page):
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", prose(page))]
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert not missing


@each_page
def test_files_that_the_text_names_are_there(page):
    named = re.findall(rf"`((?:{FOLDERS})/[\w./-]+)`", prose(page))
    generated = {"docs/instructions.md"}  # in a release folder
    assert not [path for path in named if path not in generated and not (ROOT / path).exists()]


@each_page
def test_tests_that_the_text_names_are_there(page):
    functions = {found for path in (ROOT / "tests").rglob("test_*.py") for found in re.findall(r"^def (test_\w+)", path.read_text(), re.M)}
    assert set(re.findall(r"`(test_\w+)`", prose(page))) <= functions


def test_pages_that_extend_the_machine_name_files_and_tests():
    text = prose(DOCS / "extending.md")
    assert len(set(re.findall(rf"`((?:{FOLDERS})/[\w./-]+)`", text))) > 40 and len(set(re.findall(r"`(test_\w+)`", text))) > 5


def test_readme_is_one_page():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 60
    commands, = fragments(ROOT / "README.md", "sh")
    assert [line.split("#")[0].strip() for line in commands.splitlines()] == ["pip install nox", "nox -s sim", "nox -s tests"]
