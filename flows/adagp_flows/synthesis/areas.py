"""From the cells of each module to what the design and its parts cost."""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Mapping

from .jobs import Finished
from .modules import Hierarchy
from .results import ModuleArea

_WITH_CHILDREN = " with children"

STATISTICS = "stat.json"
"""Written by each module's job: ``tee -q -o stat.json stat -json``."""


def areas(hierarchy: Hierarchy, finished: Mapping[str, Finished], resources: Callable[[Counter], Counter]) -> tuple[ModuleArea, ...]:
    """Of all modules, the top first. ``resources`` makes the target's resources of cells counted by type."""
    own = {module: resources(cells(run.read(STATISTICS), module)) for module, run in finished.items()}
    total = hierarchy.with_children(own)
    return tuple(ModuleArea(module=module, instances=instances, own=dict(own[module]), total=dict(total[module]),
                            children=dict(hierarchy.modules[module].children))
                 for module, instances in hierarchy.instances.items())


def cells(statistics: str, module: str) -> Counter:
    """Cells of ``module`` by type, from what ``stat -json`` writes; ValueError if one was not mapped."""
    found = Counter(json.loads(statistics)["modules"][f"\\{module}"].get("num_cells_by_type", {}))
    for cell in found:
        if cell.startswith("$"):
            raise ValueError(f"Yosys left a cell in {module} that no device has: {cell}")
    return found


def table(found: tuple[ModuleArea, ...]) -> str:
    """As CSV, a row per module: instances, resources of one instance alone, and of one with all below it, modules in one."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    resources = list(found[0].own)
    writer.writerow(["module", "instances", *resources, *(resource + _WITH_CHILDREN for resource in resources), "children"])
    for area in found:
        writer.writerow([area.module, area.instances, *(area.own[resource] for resource in resources),
                         *(area.total[resource] for resource in resources),
                         " ".join(f"{count}×{child}" for child, count in area.children.items())])
    return text.getvalue()


def read(text: str) -> tuple[ModuleArea, ...]:
    """What :func:`table` wrote."""
    rows = list(csv.DictReader(io.StringIO(text)))
    resources = [name.removesuffix(_WITH_CHILDREN) for name in rows[0] if name.endswith(_WITH_CHILDREN)]
    return tuple(ModuleArea(
        module=row["module"], instances=int(row["instances"]), own={name: int(row[name]) for name in resources},
        total={name: int(row[name + _WITH_CHILDREN]) for name in resources},
        children={child: int(count) for count, child in (each.split("×") for each in row["children"].split())}) for row in rows)
