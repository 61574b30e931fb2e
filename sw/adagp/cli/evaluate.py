"""Tell what training a network costs: cycles, speed-ups, energy, pipelines.

Cost models in closed form, for any array; by default VGG13 on ImageNet with the paper's 12×15
elements, batches of 128, schedule and predictor. Of --network, --dataset, --dataflow and --design
several may be given, and all of each with the word all.

With --machine instead the accelerator of this project: the network is compiled for it, and its
programs are followed instruction by instruction. The cycles are those of the RTL to about one in a
thousand, the bytes its own. Large networks and batches take minutes to compile; with --estimate they
are not compiled, and the cycles are right to some 5 %.
"""

import argparse
from pathlib import Path

from . import UserError
from .networks import ALL, SHAPE, models, pairs, shape
from .user_model import user_model

_SAMPLES = 50_000  # of CIFAR, for networks that come without a data set


_GROUPS = {
    "network": {
        "network": (str, "NAME", None, "of adagp.models (default: vgg13)"),
        "dataset": (str, "NAME", None, "cifar10, cifar100, imagenet, multi30k, voc (default: imagenet, or "
                                        "what the network is for)"),
        "model": (str, "PACKAGE:FUNCTION", None, "instead: a function that returns a torch.nn.Module"),
        "input": (None, "SHAPE", None, SHAPE),
        "samples": (int, "N", None, f"of an epoch (default: the data set's; of --model {_SAMPLES:,})")},
    "run": {
        "batch": (int, "N", 128, "samples in a batch"),
        "epochs": (int, "N", 90, "length of the run"),
        "schedule": (str, "S", None, "after warm-up: paper (k:m = 4:1, 3:1, 2:1 for four epochs each, then 1:1), K:M such as "
                                     "4:1, or K:Me in whole epochs (default: paper)"),
        "warmup": (int, "N", None, "epochs, of K:M and K:Me (default: a ninth of the run); paper has ten"),
        "trace": (Path, "FILE", None, "instead of a schedule: report.json of adagp train, or its folder")},
    "accelerator": {
        "dataflow": (str, "NAME", ["WS"], "WS, RS, IS, OS: weight, row, input or output stationary"),
        "design": (str, "NAME", [ALL], "low, efficient, max"),
        "rows": (int, "N", 12, "of the array"),
        "columns": (int, "N", 15, "of the array"),
        "predictor_rows": (int, "N", 8, "of the predictor's own array, on max"),
        "predictor_columns": (int, "N", 10, "of the same"),
        "bus_bytes": (int, "N", 16, "that the memory bus moves in a cycle"),
        "buffer_bytes": (int, "N", None, "of the buffer beside the array (default: what any layer needs)"),
        "predictor_size": (int, "N", 8, "pooled height and width"),
        "predictor_channels": (int, "N", 16, "of its convolution"),
        "predict": (str, "KIND", [ALL], "layers that are predicted for: convolution, transposed, linear"),
        "energy": (str, "TABLE", None, "eyeriss, horowitz-low, horowitz-high, cacti-8kB, cacti-64kB, cacti-108kB or cacti-1MB")},
    "this project's machine": {
        "machine": (str, "PRESET", None, "instead of any array; --dataflow, --rows, --columns, --bus-bytes, --energy and "
                                         "--pipeline have no meaning then"),
        "latency": (int, "N", 30, "cycles until its memory answers")},
    "several devices": {
        "pipeline": (str, "NAME", [], "gpipe, dapple, chimera"),
        "devices": (int, "N", 4, "each with an array, and some layers"),
        "micro_batches": (int, "N", 4, "of a batch")}}
"""Type, metavar, default and help of the options."""
_SEVERAL = "network", "dataset", "input", "dataflow", "design", "predict", "pipeline"


def configure(parser: argparse.ArgumentParser) -> None:
    for title, options in _GROUPS.items():
        group = parser.add_argument_group(title)
        for name, (kind, metavar, default, text) in options.items():
            shown = " ".join(default) if isinstance(default, list) else default
            group.add_argument(f"--{name.replace('_', '-')}", type=kind or shape, metavar=metavar, default=default,
                               nargs="+" if name in _SEVERAL else None, help=f"{text} (default: {shown})" if shown else text)
    parser.add_argument("--estimate", action="store_true", help="with --machine: without compiling")
    parser.add_argument("--layers", action="store_true", help="tell of every layer")
    parser.add_argument("-o", "--output", type=Path, nargs="+", default=[], metavar="FILE", help=".json: everything; "
                        ".csv: a row for each network, dataflow and design, or with --layers for each layer")


def run(arguments: argparse.Namespace) -> None:
    _require_positive(arguments)
    try:
        _evaluate(arguments)
    except ValueError as error:
        raise UserError(error) from error


def _require_positive(arguments: argparse.Namespace) -> None:
    for name in ("batch", "epochs", "samples", "rows", "columns", "predictor_rows", "predictor_columns", "bus_bytes",
                 "buffer_bytes", "devices", "micro_batches", "latency"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise UserError(f"--{name.replace('_', '-')} must be at least 1, not {value}")


def _evaluate(arguments: argparse.Namespace) -> None:
    from adagp_flows import evaluation_report  # imports torch: only when the options are known to be well formed
    from adagp_flows.evaluation import evaluate

    for path in arguments.output:
        evaluation_report.require_suffix(path)
    if arguments.machine is not None:
        _evaluate_machine(arguments)
        return
    if arguments.estimate:
        raise UserError("--estimate is for --machine; everything else is in closed form")
    question = _question(arguments)
    evaluations = []
    for subject in _subjects(arguments):
        for evaluation in evaluate(subject, question):
            evaluations.append(evaluation)
            print(evaluation_report.text(evaluation, question, layers=arguments.layers), end="\n\n", flush=True)
    for path in arguments.output:
        evaluation_report.write(evaluations, question, path, layers=arguments.layers)
        print(f"written: {path}")


def _evaluate_machine(arguments: argparse.Namespace) -> None:
    import json
    import sys

    from adagp.compiler import CompileError, PredictorConfig
    from adagp.cost.grid import DESIGNS
    from adagp.cost.machine import ExternalMemory
    from adagp.files import replace_file
    from adagp.spec.config import PRESETS
    from adagp_flows import machine_evaluation

    if arguments.machine not in PRESETS:
        raise UserError(f"--machine must be {', '.join(PRESETS)}, not {arguments.machine!r}")
    if any(path.suffix != ".json" for path in arguments.output):
        raise UserError(f"--output of --machine must end in .json, not {' '.join(map(str, arguments.output))}")
    config = PRESETS[arguments.machine]
    designs = _chosen("design", arguments.design, {each.name.lower(): each for each in DESIGNS})
    predictor = PredictorConfig(size=arguments.predictor_size, channels=arguments.predictor_channels)
    found = []
    for title, make, shape in models(arguments):
        try:
            evaluation = machine_evaluation.evaluate(
                make(), config, batch=arguments.batch, input_shape=shape, shares=_shares(arguments), predictor=predictor,
                memory=ExternalMemory(latency=arguments.latency), designs=designs, estimated=arguments.estimate,
                progress=lambda text: print(f"{title}, {text}", file=sys.stderr, flush=True))
        except CompileError as error:
            raise UserError(f"{title} has no mapping on this machine: {error}") from error
        found.append(machine_evaluation.as_json(title, evaluation))
        print(machine_evaluation.text(title, evaluation, layers=arguments.layers), end="\n\n", flush=True)
    for path in arguments.output:
        replace_file(path, lambda partial: partial.write_text(json.dumps(found, indent=1) + "\n"))
        print(f"written: {path}")


def _subjects(arguments: argparse.Namespace) -> list:
    import torch
    from adagp_flows.evaluation import named_subject, own_subject

    if arguments.model:
        if arguments.network or arguments.dataset:
            raise UserError("--model is instead of --network and --dataset")
        if not arguments.input:
            raise UserError("--model needs --input, the shape of a sample such as 3x32x32")
        inputs = [(torch.long if integers else torch.float32, shape) for integers, shape in arguments.input]
        return [own_subject(arguments.model, user_model(arguments.model), inputs, arguments.samples or _SAMPLES)]
    return [named_subject(network, dataset, arguments.samples) for network, dataset in pairs(arguments)]


def _question(arguments: argparse.Namespace):
    """What is asked of every network."""
    from adagp.cost.array_size import ArraySize
    from adagp.cost.dataflows import Dataflow
    from adagp.cost.energy import TABLES
    from adagp.cost.grid import DESIGNS
    from adagp.cost.hardware import Hardware
    from adagp.cost.pipelines import Pipeline
    from adagp.cost.predictor_work import KINDS, Predictor
    from adagp_flows.evaluation import Question

    if arguments.energy not in (None, *TABLES):
        raise UserError(f"--energy must be {', '.join(TABLES)}, not {arguments.energy!r}")
    pipelines = _chosen("pipeline", arguments.pipeline, {each.value: each for each in Pipeline})
    for pipeline in pipelines:
        pipeline.check(arguments.devices, arguments.micro_batches)
    return Question(
        shares=_shares(arguments), batch=arguments.batch, epochs=arguments.epochs, energy=arguments.energy,
        hardware=Hardware(array=ArraySize(rows=arguments.rows, columns=arguments.columns), bus_bytes=arguments.bus_bytes,
                          predictor_array=ArraySize(rows=arguments.predictor_rows, columns=arguments.predictor_columns),
                          buffer_bytes=arguments.buffer_bytes),
        predictor=Predictor(size=arguments.predictor_size, channels=arguments.predictor_channels,
                            kinds=tuple(_chosen("predict", arguments.predict, {kind.split()[0]: kind for kind in KINDS}))),
        dataflows=_chosen("dataflow", arguments.dataflow, {each.value: each for each in Dataflow}),
        designs=_chosen("design", arguments.design, {each.name.lower(): each for each in DESIGNS}),
        pipelines=pipelines, devices=arguments.devices, micro_batches=arguments.micro_batches)

def _chosen(option: str, given: list[str], known: dict[str, object]) -> list:
    if given == [ALL]:
        return list(known.values())
    for name in given:
        if name not in known:
            raise UserError(f"--{option} must be {', '.join(known)} or {ALL}, not {name!r}")
    return [known[name] for name in dict.fromkeys(given)]


def _shares(arguments: argparse.Namespace):
    """How the run's batches divide into phases."""
    from adagp.cost.schedules import Shares
    from adagp.spec.named_schedule import named_schedule
    from adagp.spec.schedule import Schedule

    schedule, epochs = arguments.schedule or "paper", arguments.epochs
    if arguments.trace is not None:
        if arguments.schedule or arguments.warmup is not None:
            raise UserError("--trace is instead of --schedule and --warmup")
        try:
            return Shares.recorded(arguments.trace)
        except ValueError as error:
            raise UserError(f"--trace: {error}") from error
    if schedule == "adaptive":
        raise UserError("--schedule adaptive is known when it has run: give --trace, what adagp train leaves")
    if arguments.warmup is not None and not 0 <= arguments.warmup <= epochs:
        raise UserError(f"--warmup must be from 0 to the epochs, {epochs}, not {arguments.warmup}")
    if schedule == "paper":
        if arguments.warmup is not None:
            raise UserError("--warmup is of K:M and K:Me; paper has ten epochs")
        return Shares.paper(epochs)
    row, = named_schedule(schedule, batches=epochs, epoch=1).rows
    unit = 1 if schedule.endswith("e") else row.gp + row.bp  # an epoch, or as many whole cycles for each
    warmup = Schedule.paper_warmup(epochs) if arguments.warmup is None else arguments.warmup
    return Shares.of(Schedule(warmup=warmup * unit, rows=(row,)), epochs * unit)
