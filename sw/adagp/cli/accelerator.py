"""Options that describe an accelerator, shared by the subcommands that need one."""

import argparse
from dataclasses import fields, replace

from adagp.spec.config import PRESETS, AcceleratorConfig, Design

from . import UserError

_SIZES = tuple(field.name for field in fields(AcceleratorConfig) if field.type is int)


def add_options(parser: argparse.ArgumentParser) -> None:
    """``--design`` and the options of :func:`add_sizes`."""
    parser.add_argument("--design", choices=[design.name.lower() for design in Design], default="baseline",
                        help="where the predictor lives and runs (default: %(default)s)")
    add_sizes(parser)


def add_sizes(parser: argparse.ArgumentParser) -> None:
    """``--preset`` and one option per size, which overrides the preset's."""
    group = parser.add_argument_group("accelerator")
    group.add_argument("--preset", choices=PRESETS, default="small", help="sizes to start from (default: %(default)s)")
    for name in _SIZES:
        group.add_argument(f"--{name.replace('_', '-')}", type=int, metavar="N", help=argparse.SUPPRESS
                           if name not in ("rows", "columns", "bus_bits") else f"instead of the preset's {name}")


def chosen(arguments: argparse.Namespace) -> AcceleratorConfig:
    """The configuration that the options of :func:`add_options` describe; :class:`UserError`."""
    return replace(chosen_sizes(arguments), design=Design[arguments.design.upper()])


def chosen_sizes(arguments: argparse.Namespace) -> AcceleratorConfig:
    """The configuration that the options of :func:`add_sizes` describe; :class:`UserError`."""
    sizes = {name: getattr(arguments, name) for name in _SIZES if getattr(arguments, name) is not None}
    try:
        return replace(PRESETS[arguments.preset], **sizes)
    except ValueError as error:
        raise UserError(error) from error
