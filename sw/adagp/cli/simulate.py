"""Train on the simulated hardware, checked bit for bit against PyTorch.

By default a small convolutional network learns scikit-learn's handwritten digits, in six runs: on
each design with the paper's schedule, on the largest one with a k that the machine adapts, and with
learned feedback in place of the paper's predictor. With --designs, --schedule or --predictor: those
designs with that schedule and predictor. Runs go side by side; the machine runs whole epochs by
itself. A table is printed; report.json, table.txt and training.png are left in the output folder.
Batches of Phase BP and Phase GP are recorded: timeline-<design>-<phase>.json opens in
https://ui.perfetto.dev, timeline.png compares what the engines of the designs did.
"""

import argparse
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

from adagp.spec.config import AcceleratorConfig, Design
from adagp.spec.named_schedule import named_schedule
from adagp.spec.schedule import Schedule

from . import UserError
from .accelerator import add_sizes, chosen_sizes
from .schedules import SCHEDULES, add_adaptive_options, chosen_rule
from .user_model import user_model

_DESIGNS = [design.name.lower() for design in Design]


@dataclass(frozen=True)
class _Choice:
    """What tells one run from another."""

    design: Design
    schedule: str = "paper"
    predictor: str = "paper"

    @property
    def name(self) -> str:
        if self.design is Design.BASELINE:
            return "baseline"
        feedback = ["feedback"] if self.predictor == "feedback" else []
        return " ".join([self.design.name.lower(), *feedback, *([] if self.schedule == "paper" else [self.schedule])])


_COMPARISON = (*map(_Choice, Design), _Choice(Design.MAX, "adaptive"), _Choice(Design.EFFICIENT, "4:1", "feedback"))


def configure(parser: argparse.ArgumentParser) -> None:
    add_sizes(parser)
    runs = parser.add_argument_group("runs")
    runs.add_argument("--designs", nargs="+", choices=_DESIGNS, help="default: all")
    runs.add_argument("--schedule", metavar="S", help=f"{SCHEDULES} (default: paper)")
    runs.add_argument("--predictor", choices=("paper", "feedback"), help="default: paper")
    train = parser.add_argument_group("training")
    train.add_argument("--model", metavar="PACKAGE:FUNCTION", help="a function that returns a torch.nn.Module "
                       "which gives logits (default: a network for the digits)")
    train.add_argument("--data", type=Path, metavar="FILE.npz", help="arrays data, labels, test_data, test_labels "
                       "(default: scikit-learn's digits)")
    for name, value, text in (("batch", 32, "samples in a batch"), ("epochs", 6, "length of the run"),
                              ("seed", 0, "of weights and data order")):
        train.add_argument(f"--{name}", type=int, default=value, metavar="N", help=f"{text} (default: %(default)s)")
    train.add_argument("--warmup", type=int, metavar="N", help="warm-up batches, with K:M and adaptive (default: "
                       "a ninth of the run, as in the paper)")
    for name, value, text in (("lr", 0.1, "of SGD"), ("momentum", 0.5, "of SGD"), ("predictor-lr", 1e-3, "of Adam")):
        train.add_argument(f"--{name}", type=float, default=value, metavar="X", help=f"{text} (default: %(default)s)")
    train.add_argument("--predictor-size", type=int, default=4, metavar="N",
                       help="pooled height and width (default: %(default)s)")
    train.add_argument("--predictor-channels", type=int, default=2, metavar="N", help="default: %(default)s")
    add_adaptive_options(parser)
    memory = parser.add_argument_group("external memory")
    memory.add_argument("--latency", type=int, default=30, metavar="N", help="cycles of a read (default: %(default)s)")
    memory.add_argument("--interval", type=int, default=1, metavar="N", help="cycles per beat (default: %(default)s)")
    memory.add_argument("--stalls", type=float, default=0.0, metavar="P",
                        help="probability of a stall, per channel and cycle (default: %(default)s)")
    parser.add_argument("--timeline", type=int, default=1, metavar="N", help="batches of each phase that the timeline "
                        "shows; 0: no timeline (default: %(default)s)")
    parser.add_argument("-o", "--output", type=Path, default=Path("build/sim"), metavar="FOLDER",
                        help="default: %(default)s")


def run(arguments: argparse.Namespace) -> None:
    config = chosen_sizes(arguments)
    if arguments.timeline < 0:
        raise UserError(f"--timeline must be at least 0, not {arguments.timeline}")
    choices = _choices(arguments)
    from adagp_flows import simulation, simulation_report  # imports torch: only after the options are known

    timing = simulation.MemoryTiming(latency=arguments.latency, interval=arguments.interval,
                                     stall_probability=arguments.stalls, seed=arguments.seed)
    workload = _workload(arguments)
    try:
        runs = {choice.name: (replace(config, design=choice.design), _chosen(workload, choice, arguments))
                for choice in choices}
    except ValueError as error:
        raise UserError(error) from error
    results = _simulate(runs, timing, arguments.timeline)
    print(simulation_report.write(results, arguments.output))
    print(f"\nreport, table, pictures and timelines: {arguments.output}")


def _choices(arguments: argparse.Namespace) -> list[_Choice]:
    if not (arguments.designs or arguments.schedule or arguments.predictor):
        return list(_COMPARISON)
    return [_Choice(Design[name.upper()], arguments.schedule or "paper", arguments.predictor or "paper")
            for name in dict.fromkeys(arguments.designs or _DESIGNS)]


def _chosen(workload, choice: _Choice, arguments: argparse.Namespace):
    """``workload`` with the choice's schedule and predictor."""
    from adagp.compiler import FeedbackConfig

    schedule = named_schedule(choice.schedule, batches=workload.batches, epoch=workload.epoch,
                              warmup=arguments.warmup, adaptive=chosen_rule(arguments))
    return replace(workload, schedule=schedule,
                   predictor=FeedbackConfig() if choice.predictor == "feedback" else workload.predictor)


def _workload(arguments: argparse.Namespace):
    import torch
    from adagp.compiler import SGD, Adam, PredictorConfig
    from adagp_flows.workload import DigitsNetwork, Workload, digits

    torch.manual_seed(arguments.seed)
    try:
        model = user_model(arguments.model) if arguments.model else DigitsNetwork()
        data, labels, test_data, test_labels = _user_data(arguments.data) if arguments.data else digits(arguments.seed)
        return Workload(
            model=model, data=data, labels=labels, test_data=test_data, test_labels=test_labels,
            batch=arguments.batch, epochs=arguments.epochs, seed=arguments.seed,
            schedule=Schedule(warmup=0), optimizer=SGD(lr=arguments.lr, momentum=arguments.momentum),
            predictor_optimizer=Adam(lr=arguments.predictor_lr),
            predictor=PredictorConfig(size=arguments.predictor_size, channels=arguments.predictor_channels))
    except ValueError as error:
        raise UserError(error) from error


def _user_data(path: Path):
    import numpy
    import torch

    names = ("data", "labels", "test_data", "test_labels")
    try:
        with numpy.load(path, allow_pickle=False) as arrays:
            missing = [name for name in names if name not in arrays]
            if missing:
                raise UserError(f"--data {path} must hold arrays {', '.join(names)}; {', '.join(missing)} missing")
            return tuple(torch.from_numpy(arrays[name]).to(torch.float32 if "data" in name else torch.int64)
                         for name in names)
    except (OSError, ValueError) as error:
        raise UserError(f"--data {path}: {error}") from error


def _simulate(runs: dict, timing, record: int):
    """Results by run, each in a process of its own, with a progress bar each. The first run of each
    design is recorded."""
    from adagp.compiler import CompileError
    from adagp_flows.simulation import compile_workload

    try:
        for config, workload in runs.values():
            compile_workload(workload, config)  # what cannot be mapped is refused before anything is generated
    except CompileError as error:
        raise UserError(error) from error
    first = {config.design: name for name, (config, _) in reversed(runs.items())}
    width = max(map(len, runs))
    with ProcessPoolExecutor(min(len(runs), os.cpu_count()), mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(_simulate_one, config, workload, timing, record if first[config.design] == name else 0,
                               name.ljust(width), position): name
                   for position, (name, (config, workload)) in enumerate(runs.items())}
        done = {waiting[future]: future.result() for future in as_completed(waiting)}
    return {name: done[name] for name in runs}


def _simulate_one(config: AcceleratorConfig, workload, timing, record: int, title: str, position: int):
    import torch
    from tqdm import tqdm
    from adagp_flows.simulation import simulate

    torch.set_num_threads(1)
    with tqdm(total=workload.batches, desc=title, unit="batch", position=position) as bar:
        def progress(batches: int, accuracy: float) -> None:
            bar.set_postfix_str(f"accuracy {accuracy:.3f}", refresh=False)
            bar.update(batches - bar.n)
        return simulate(workload, config, timing, progress, record=record)
