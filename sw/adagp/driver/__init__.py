"""The C driver of the accelerator: ``adagp.h``, ``adagp.c``, and what it is told about an image."""

from pathlib import Path

from adagp.spec import header

SOURCES = tuple(Path(__file__).with_name(name) for name in ("adagp.h", "adagp.c"))
"""The files that are the same for all cores."""


def files() -> dict[str, str]:
    """The whole driver, text by file name: :data:`SOURCES` and the header of the registers."""
    return {source.name: source.read_text() for source in SOURCES} | {header.FILE: header.header()}
