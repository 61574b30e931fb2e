"""Evaluations of networks as text, JSON and CSV."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from adagp.cost.energy import EnergyTable, table
from adagp.cost.networks import LayerCost
from adagp.files import replace_file
from adagp.spec.config import Design
from adagp.spec.isa import Pass
from adagp.spec.schedule import Phase

from .evaluation import DesignCost, Evaluation, Question

_UNITS = {"J": "J", "MAC": "MAC energies"}
_LAYER_COLUMNS: dict[str, Callable[[LayerCost], object]] = {
    "layer": lambda layer: layer.name, "forward": lambda layer: layer.forward,
    "input gradient": lambda layer: layer.cycles[Pass.INPUT_GRADIENT],
    "weight gradient": lambda layer: layer.cycles[Pass.WEIGHT_GRADIENT], "b": lambda layer: layer.b,
    "predict": lambda layer: layer.predict, "train": lambda layer: layer.train, "alpha": lambda layer: layer.alpha,
    "predict, own array": lambda layer: layer.predict_beside, "train, own array": lambda layer: layer.train_beside}
"""Cycles of a batch, of layers and of the predictor for them."""


def text(evaluation: Evaluation, question: Question, *, layers: bool = False) -> str:
    """A paragraph for the network and dataflow, a column for each design; then, if asked for, its layers."""
    shares = question.shares
    lines = [
        f"{evaluation.subject.title}, {evaluation.dataflow.value} on {question.hardware.array}: "
        f"b = {evaluation.b:.3f}, alpha = {evaluation.alpha:.4f}",
        f"{evaluation.batches:,} batches of {question.batch} samples: warm-up {float(shares.warmup):.1%}, "
        f"Phase BP {float(shares.bp):.1%}, Phase GP {float(shares.gp):.1%}", "",
        _aligned([["", *(design.name.lower() for design in evaluation.designs)], *_facts(evaluation, question)])]
    if layers:
        lines += ["", _aligned([list(_LAYER_COLUMNS), *(_layer_cells(layer) for layer in evaluation.layers)])]
    return "\n".join(lines)


def _facts(evaluation: Evaluation, question: Question) -> list[list[str]]:
    costs = evaluation.designs.values()

    def row(title: str, fact: Callable[[DesignCost], object], form: str) -> list[str]:
        return [title, *("–" if fact(cost) is None else format(fact(cost), form) for cost in costs)]

    rows = [row("cycles of a batch of warm-up, Phase BP", lambda cost: cost.cycles[Phase.BP], ",d"),
            row("cycles of a batch of Phase GP", lambda cost: cost.cycles.get(Phase.GP), ",d"),
            row("cycles of the run", lambda cost: cost.run_cycles, ".4g"),
            row("speed-up", lambda cost: cost.speedup, ".3f")]
    if question.energy is not None:
        source = table(question.energy)
        unit = f"{_UNITS[source.unit]} a batch ({source.name})"
        rows += [row(f"memory, {unit}", lambda cost: cost.energy.memory, ".4g"),
                 row(f"arithmetic, {unit}", lambda cost: cost.energy.arithmetic, ".4g"),
                 row("saving of memory energy", lambda cost: cost.saving and cost.saving["memory"], ".1%"),
                 row("saving of energy", lambda cost: cost.saving and cost.saving["total"], ".1%")]
    for pipeline in question.pipelines:
        name = f"speed-up, {question.devices} devices, {pipeline.value}"
        rows += [row(f"{name}: GP and BP in "
                     "turn", lambda cost: cost.pipelines and cost.pipelines[pipeline].pair or None, ".3f"),
                 row(f"{name}: schedule", lambda cost: cost.pipelines and cost.pipelines[pipeline].schedule or None, ".3f")]
    return rows


def _layer_cells(layer: LayerCost) -> list[str]:
    values = [column(layer) for column in _LAYER_COLUMNS.values()]
    return [f"{value:,}" if isinstance(value, int) else f"{value:.4f}" if isinstance(value, float) else value
            for value in values]


def _aligned(cells: Sequence[Sequence[str]]) -> str:
    """The first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return "\n".join("  ".join(cell.rjust(width) if column else cell.ljust(width)
                               for column, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in cells)


def as_json(evaluations: Sequence[Evaluation], question: Question) -> dict:
    """Everything that was asked and found, with an entry for each network and dataflow."""
    hardware, shares = question.hardware, question.shares
    source = table(question.energy) if question.energy is not None else None
    return {
        "hardware": {"array": [hardware.array.rows, hardware.array.columns], "bus_bytes": hardware.bus_bytes,
                     "predictor_array": [hardware.predictor_array.rows, hardware.predictor_array.columns],
                     "buffer_bytes": hardware.buffer_bytes},
        "predictor": {"size": question.predictor.size, "channels": question.predictor.channels},
        "batch": question.batch, "epochs": question.epochs, "devices": question.devices,
        "micro_batches": question.micro_batches,
        "shares": {name: float(getattr(shares, name)) for name in ("warmup", "bp", "gp")},
        "energy_table": source and _table_as_json(source),
        "evaluations": [_evaluation_as_json(evaluation) for evaluation in evaluations]}


def _table_as_json(source: EnergyTable) -> dict:
    return {"name": source.name, "source": source.source, "unit": source.unit}


def _evaluation_as_json(evaluation: Evaluation) -> dict:
    return {
        "network": evaluation.subject.network, "dataset": evaluation.subject.dataset, "dataflow": evaluation.dataflow.value,
        "batches": evaluation.batches, "b": evaluation.b, "alpha": evaluation.alpha,
        "designs": {design.name: _design_as_json(cost) for design, cost in evaluation.designs.items()},
        "layers": [{name: column(layer) for name, column in _LAYER_COLUMNS.items()} for layer in evaluation.layers]}


def _design_as_json(cost: DesignCost) -> dict:
    return {"cycles": {phase.name.lower(): cycles for phase, cycles in cost.cycles.items()}, "run_cycles": cost.run_cycles,
            "speedup": cost.speedup, "energy": cost.energy and cost.energy.as_dict(), "energy_saving": cost.saving,
            "pipelines": {pipeline.value: {"speedup": gain.pair, "speedup_with_schedule": gain.schedule}
                          for pipeline, gain in cost.pipelines.items()}}


def write(evaluations: Sequence[Evaluation], question: Question, path: Path, *, layers: bool = False) -> None:
    """As JSON, or as CSV with a row for each network, dataflow and design (with ``layers``: and layer), as the suffix of
    ``path`` says; ValueError for another one."""
    require_suffix(path)
    if path.suffix == ".json":
        report = json.dumps(as_json(evaluations, question), indent=1) + "\n"
        replace_file(path, lambda partial: partial.write_text(report))
    else:
        replace_file(path, lambda partial: _write_csv(_layer_rows(evaluations) if layers else _rows(evaluations), partial))


def require_suffix(path: Path) -> None:
    if path.suffix not in (".json", ".csv"):
        raise ValueError(f"output must end in .json or .csv, not {str(path)!r}")


def _write_csv(rows: Sequence[dict], path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, max(rows, key=len))  # the baseline's have fewer columns
        writer.writeheader()
        writer.writerows(rows)


def _key(evaluation: Evaluation) -> dict:
    subject = evaluation.subject
    return {"network": subject.network, "dataset": subject.dataset, "dataflow": evaluation.dataflow.value}


def _layer_rows(evaluations: Sequence[Evaluation]) -> list[dict]:
    return [_key(evaluation) | {name: column(layer) for name, column in _LAYER_COLUMNS.items()}
            for evaluation in evaluations for layer in evaluation.layers]


def _rows(evaluations: Sequence[Evaluation]) -> list[dict]:
    return [_key(evaluation) | {"b": evaluation.b, "alpha": evaluation.alpha} | _row(design, cost)
            for evaluation in evaluations for design, cost in evaluation.designs.items()]


def _row(design: Design, cost: DesignCost) -> dict:
    row = {"design": design.name, "bp_cycles": cost.cycles[Phase.BP], "gp_cycles": cost.cycles.get(Phase.GP),
           "run_cycles": cost.run_cycles, "speedup": cost.speedup}
    if cost.energy:
        row |= {"memory_energy": cost.energy.memory, "arithmetic_energy": cost.energy.arithmetic,
                "energy_unit": cost.energy.unit}
        row |= {f"{name}_saving": cost.saving[name] if cost.saving else None for name in ("memory", "total")}
    for pipeline, gain in cost.pipelines.items():
        row |= {f"{pipeline.value}_speedup": gain.pair, f"{pipeline.value}_speedup_with_schedule": gain.schedule}
    return row
