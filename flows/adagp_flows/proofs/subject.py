"""The delivered Verilog with the parts that no rule of the bus depends on set free."""

import re
from dataclasses import dataclass

_MODULE = re.compile(r"^module (\w+)\(.*?^endmodule", re.MULTILINE | re.DOTALL)
_INSTANCE = re.compile(r"^  (\w+) (\w+) \(\n    \.", re.MULTILINE)

#: Instances whose outputs may take any value in any cycle. What is proved without them holds whatever they do.
FREE = (
    "counters", "dispatch", "phases", "array_engine", "vector_engine", "predictor_engine", "vector", "stream", "stationary",
    "predictor_stream", "predictor_stationary", "predictor_memory", "registers.memory",
    *(f"load_engine.{name}" for name in (
        "runs.loops", "runs.walk", "groups", "chunker", "aligner", "transposer", "writer")),
    *(f"store_engine.{name}" for name in ("groups", "pieces", "assembler")))


@dataclass(frozen=True, kw_only=True)
class Hierarchy:
    """The modules of a Verilog text by their instances' paths below the top, ``""``."""

    modules: dict[str, str]

    @classmethod
    def of(cls, verilog: str, top: str) -> "Hierarchy":
        texts = {match[1]: match[0] for match in _MODULE.finditer(verilog)}
        modules = {}

        def visit(path: str, kind: str) -> None:
            modules[path] = kind
            for child, name in _INSTANCE.findall(texts[kind]):
                if child in texts:
                    visit(f"{path}.{name}".lstrip("."), child)

        visit("", top)
        return cls(modules=modules)

    def kinds_of(self, instances: tuple[str, ...]) -> list[str]:
        """The modules of those of ``instances`` that there are. ValueError if another instance is of one of them."""
        chosen = {path: kind for path, kind in self.modules.items() if path in instances}
        for path, kind in self.modules.items():
            inside = any(path == other or path.startswith(f"{other}.") for other in chosen)
            if kind in chosen.values() and not inside:
                raise ValueError(f"a freed module must have freed instances only, but {kind} is also {path}")
        return sorted(set(chosen.values()))


def blackboxed(verilog: str, top: str, kinds: list[str]) -> str:
    """The module ``top`` and those in it; of the modules ``kinds`` only the ports."""
    texts = {match[1]: match[0] for match in _MODULE.finditer(verilog)}
    texts |= {kind: _shell(texts[kind]) for kind in kinds}
    waiting, reached = [top], {}
    while waiting:
        kind = waiting.pop()
        reached[kind] = texts[kind]
        waiting += [child for child, _ in _INSTANCE.findall(texts[kind]) if child in texts and child not in reached]
    return "\n\n".join(reached.values()) + "\n"


def _shell(module: str) -> str:
    ports = re.findall(r"^  (?:in|out)put .*;$", module, re.MULTILINE)
    header = module.partition(";\n")[0] + ";"
    return "\n".join(["(* blackbox *)", header, *ports, "endmodule"])
