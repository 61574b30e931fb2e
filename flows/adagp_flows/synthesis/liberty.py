"""Standard cells as a Liberty file describes them, and views of them for what a tool should see.

Of Liberty only what cells of static CMOS have: pins, functions, flip-flops, tables of energy.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_TOKEN = re.compile(r'"([^"]*)"|([\w.+\-*/^!&|\[\]]+)|([(){}:;,])')
_SKIPPED = re.compile(r"/\*.*?\*/|\\\n", re.DOTALL)
_AREA = re.compile(r"(\bcell *\( *\"?(\w+)\"? *\) *\{[^{}]*?\barea *: *)[\d.]+")
_MACRO = re.compile(r"^MACRO +(\w+)\b.*?\bSIZE +([\d.]+) +BY +([\d.]+)", re.MULTILINE | re.DOTALL)

UNITS = """\
  delay_model : table_lookup;
  time_unit : "1ns"; voltage_unit : "1V"; current_unit : "1uA"; pulling_resistance_unit : "1kohm";
  leakage_power_unit : "1nW"; capacitive_load_unit (1, pf);
  slew_upper_threshold_pct_rise : 80; slew_lower_threshold_pct_rise : 20;
  slew_upper_threshold_pct_fall : 80; slew_lower_threshold_pct_fall : 20;
  input_threshold_pct_rise : 50; input_threshold_pct_fall : 50;
  output_threshold_pct_rise : 50; output_threshold_pct_fall : 50;
"""
"""What every Liberty file that is written here begins with."""


class LibertyError(ValueError):
    """The text is not what this module reads of Liberty."""


@dataclass(frozen=True)
class Group:
    """``kind (arguments) { attributes groups }``; a complex attribute's value is the list of its arguments."""

    kind: str
    arguments: tuple[str, ...]
    attributes: dict[str, str | list[str]] = field(default_factory=dict)
    groups: list["Group"] = field(default_factory=list)

    def of(self, kind: str) -> list["Group"]:
        """The groups of a kind."""
        return [group for group in self.groups if group.kind == kind]

    @property
    def name(self) -> str:
        return self.arguments[0]

    def number(self, attribute: str, default: float = 0.0) -> float:
        return float(self.attributes.get(attribute, default))


def parse(text: str) -> Group:
    """The ``library`` group of a Liberty file; :class:`LibertyError` where it is none."""
    tokens = (match.lastindex and (match.lastindex, match[match.lastindex])
              for match in _TOKEN.finditer(_SKIPPED.sub(" ", text)))
    tokens = list(tokens)
    try:
        top = Group("file", ())
        _read_into(top, iter([*tokens, (3, "}")]))
        library, = top.of("library")
    except (StopIteration, ValueError) as error:
        raise LibertyError("the text is no Liberty library: braces or parentheses do not match") from error
    return library


def _read_into(group: Group, tokens: Iterator[tuple[int, str]]) -> None:
    """The statements up to the brace that closes ``group``."""
    for kind, name in tokens:
        if (kind, name) == (3, "}"):
            return
        if (kind, name) == (3, ";"):
            continue
        separator = next(tokens)[1]
        if separator == ":":
            group.attributes[name] = next(tokens)[1]
        elif separator == "(":
            arguments = []
            while (token := next(tokens)) != (3, ")"):
                if token != (3, ","):
                    arguments.append(token[1])
            closing = next(tokens)
            if closing == (3, "{"):
                inner = Group(name, tuple(arguments))
                _read_into(inner, tokens)
                group.groups.append(inner)
            elif closing == (3, ";"):
                group.attributes[name] = arguments
            else:
                raise LibertyError(f"{name}({', '.join(arguments)}) is followed by {closing[1]!r}")
        else:
            raise LibertyError(f"{name} is followed by {separator!r}")
    raise LibertyError(f"{group.kind} is not closed")


def with_areas_of_lef(liberty: str, lef: str) -> str:
    """``liberty`` with the area, width times height, that each cell has in ``lef``.

    LEF is what cells are placed by; areas in Liberty are notes, and not always right.
    """
    sizes = {name: float(width) * float(height) for name, width, height in _MACRO.findall(lef)}
    return _AREA.sub(lambda cell: f"{cell[1]}{sizes[cell[2]]:g}" if cell[2] in sizes else cell[0], liberty)
