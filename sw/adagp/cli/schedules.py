"""Options of the schedule, shared by the subcommands that train."""

import argparse
from dataclasses import replace

from adagp.spec.named_schedule import ADAPTIVE
from adagp.spec.schedule import Adaptive

SCHEDULES = ("after warm-up: paper (k:m = 4:1, 3:1, 2:1, then 1:1 for most of the run), K:M such as 4:1, K:Me "
             "in whole epochs, or adaptive")
_RULE = {
    "k_least": ("least", "k to begin with"), "k_most": ("most", "largest k"),
    "raise_at": ("raise_at", "cosine from which on k grows"), "lower_at": ("lower_at", "cosine below which k shrinks"),
    "patience": ("patience", "Phases BP in a row that agree before k moves")}


def add_adaptive_options(parser: argparse.ArgumentParser) -> None:
    """An option per number of the rule; None where it is not given."""
    group = parser.add_argument_group("adaptive schedule", "k of k:1 follows the cosine between predicted and true gradients")
    for name, (field, text) in _RULE.items():
        value = getattr(ADAPTIVE, field)
        group.add_argument(f"--{name.replace('_', '-')}", type=type(value), metavar="X" if isinstance(value, float) else "N",
                           help=f"{text} (default: {value})")


def chosen_rule(arguments: argparse.Namespace) -> Adaptive:
    """What the options of :func:`add_adaptive_options` describe; ValueError."""
    given = {field: getattr(arguments, name) for name, (field, _) in _RULE.items()}
    return replace(ADAPTIVE, **{field: value for field, value in given.items() if value is not None})
