"""Sphinx: the pages of this folder, and what is made from the sources. ``nox -s docs`` leaves them in build/docs.

The pages are Markdown that GitHub shows too; the docstrings are reStructuredText, which Sphinx reads as they are.
"""

from importlib.metadata import version as version_of
from pathlib import Path

from sphinx.application import Sphinx

project = "ADA-GP"
author = "the ADA-GP authors"
version = release = version_of("adagp")
html_title = f"ADA-GP {version}"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
myst_heading_anchors = 3  # as on GitHub

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True  # as they are written, not as they print

html_theme = "furo"
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["adagp.css"]

PARTS = Path(__file__).parents[1] / "build/docs-parts"
"""Where the pages include the references from."""


def write_parts(app: Sphinx) -> None:
    """The references of registers and instructions, which are those of a release folder."""
    from adagp.files import replace_file
    from adagp.spec.registers import field
    from adagp_flows.release import instructions, register_page

    registers = register_page.content().replace("<table>", '<table class="docutils">')  # as the theme knows tables
    texts = {"registers.html": registers,
             "instructions.md": instructions.reference(str(field("INTERFACE", "instruction_set").reset))}
    for name, text in texts.items():
        replace_file(PARTS / name, lambda path, text=text: path.write_text(text, encoding="utf-8"))


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", write_parts)
