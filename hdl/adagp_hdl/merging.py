"""Equal modules of an RTLIL design become one.

Amaranth emits a module per instance: an array of 180 equal elements would be 180 modules to read,
compile and synthesise.
"""

import re
from dataclasses import dataclass, field

_MODULE = re.compile(r"^module (\S+)\n(.*?)^end\n", re.MULTILINE | re.DOTALL)
_INSTANCE = re.compile(r"^  cell (\\\S+) (\S+)\n(.*?)^  end\n", re.MULTILINE | re.DOTALL)
_CONNECTED_PORT = re.compile(r"(?<=^    connect )\S+", re.MULTILINE)
_PORT = re.compile(r"((?:^  attribute [^\n]*\n)*^  wire width \d+ (?:in|out)put )\d+ +(\\\S+)\n", re.MULTILINE)
_NUMBERED_PORT = re.compile(r"\\port\$\d+\$\d+\Z")
_NAME = re.compile(r"\\[^\s\[\]]+")


@dataclass
class _Kind:
    """A set of equal modules: their text without names of modules, and where they lie."""

    number: int
    paths: list[str] = field(default_factory=list)


def merge_equal_modules(design: str) -> str:
    """RTLIL in which each module of ``design`` is there once, the top first.

    Two modules are equal if their text is, with equal modules instantiated at the same places; the
    order of ports and the numbers that Amaranth puts into the names of some do not matter. A module is called
    ``<top>_<instance>``, without an index at its end if several are equal, or after its whole path
    where that is not distinct.
    """
    modules = dict(_MODULE.findall(design))
    top = next(iter(modules))
    ports = {path: _port_names(body) for path, body in modules.items()}
    kinds: dict[str, _Kind] = {}     # by text
    kind_of: dict[str, _Kind] = {}   # by path

    def visit(path: str) -> _Kind:
        if path in kind_of:
            return kind_of[path]

        def instance(cell: re.Match) -> str:
            child, name, connections = cell.groups()
            renamed = _CONNECTED_PORT.sub(lambda port: ports[child].get(port[0], port[0]), connections)
            ordered = "".join(sorted(renamed.splitlines(keepends=True)))
            return f"  cell \\{visit(child).number} {name}\n{ordered}  end\n"

        text = _NAME.sub(lambda name: ports[path].get(name[0], name[0]), _INSTANCE.sub(instance, modules[path]))
        text = _with_ordered_ports(text)
        kind = kinds.setdefault(text, _Kind(len(kinds)))
        kind.paths.append(path)
        kind_of[path] = kind
        return kind

    visit(top)
    names = _names({kind.number: kind.paths for kind in kinds.values()})
    merged = {}
    for text, kind in reversed(kinds.items()):  # the top was complete last
        body = _INSTANCE.sub(lambda cell: f"  cell {names[int(cell[1][1:])]} {cell[2]}\n{cell[3]}  end\n", text)
        merged[names[kind.number]] = f"module {names[kind.number]}\n{body}end\n"
    return "attribute \\top 1\n" + "\n".join(merged.values())


def _port_names(body: str) -> dict[str, str]:
    """New names of the ports whose names are only numbers."""
    numbered = [name for _, name in _PORT.findall(body) if _NUMBERED_PORT.match(name)]
    return {name: f"\\port${i}" for i, name in enumerate(numbered)}


def _with_ordered_ports(body: str) -> str:
    """The same module with its ports first, by name."""
    ports = sorted(_PORT.findall(body), key=lambda port: port[1])
    return "".join(f"{start}{i} {name}\n" for i, (start, name) in enumerate(ports)) + _PORT.sub("", body)


def _names(members: dict[int, list[str]]) -> dict[int, str]:
    """A distinct name for each kind of module, from the path of its first member."""
    parts = {}
    for number, paths in members.items():
        path = re.sub(r"_?\d+(_\d+)*\Z", "", paths[0]) if len(paths) > 1 else paths[0]
        parts[number] = path.removeprefix("\\").split(".")
    short = {number: "_".join([path[0], *path[1:][-1:]]) for number, path in parts.items()}
    names, taken = {}, set()
    for number in sorted(parts):
        name = short[number] if list(short.values()).count(short[number]) == 1 else "_".join(parts[number])
        name = "\\" + re.sub(r"\W", "_", name)
        names[number] = next(candidate for candidate in (name, *(f"{name}_{i}" for i in range(2, len(parts) + 2)))
                             if candidate not in taken)
        taken.add(names[number])
    return names
