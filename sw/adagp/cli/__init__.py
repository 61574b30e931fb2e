"""The ``adagp`` command: one module per subcommand.

A subcommand's module has a docstring (its help; the first line is the summary), a function
``configure(parser)`` that adds its options, and ``run(arguments)``. What the user did wrong is
raised as :class:`UserError` and becomes one line on stderr and exit status 2.
"""

import argparse
import sys
from importlib import import_module

COMMANDS = ("verilog", "package", "simulate", "train", "evaluate", "explore")


class UserError(Exception):
    """A mistake in what the command was asked; its text is the one line that the user sees."""


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"{self.prog}: {message}\n")


def main(arguments: list[str] | None = None) -> int:
    """Runs ``adagp`` with ``arguments`` (default: the process's own); returns the exit status."""
    parser = _Parser(prog="adagp", description="Generate, simulate and evaluate the ADA-GP accelerator.")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name in COMMANDS:
        module = import_module(f".{name}", __name__)
        subparser = subparsers.add_parser(name, help=module.__doc__.splitlines()[0], description=module.__doc__)
        module.configure(subparser)
        subparser.set_defaults(run=module.run)
    parsed = parser.parse_args(arguments)
    try:
        parsed.run(parsed)
    except (UserError, OSError) as error:
        print(f"adagp {parsed.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"adagp {parsed.command}: interrupted", file=sys.stderr)
        return 130
    return 0
