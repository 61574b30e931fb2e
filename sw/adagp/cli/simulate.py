"""Train on the simulated hardware, checked bit for bit against PyTorch.

By default a small convolutional network learns scikit-learn's handwritten digits on the baseline
and on the LOW design: warm-up, then Phases GP and BP in turn. The designs run side by side. A
table is printed; report.json, table.txt and training.png are left in the output folder. The first
batches of Phase BP and Phase GP are recorded: timeline-<design>-<phase>.json opens in
https://ui.perfetto.dev, timeline.png compares what the engines of the designs did.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path

from adagp.spec.config import AcceleratorConfig, Design

from . import UserError
from .accelerator import add_sizes, chosen_sizes


def configure(parser: argparse.ArgumentParser) -> None:
    add_sizes(parser)
    parser.add_argument("--designs", nargs="+", choices=[design.name.lower() for design in Design],
                        default=[design.name.lower() for design in Design], help="default: all")
    run = parser.add_argument_group("training")
    run.add_argument("--model", metavar="PACKAGE:FUNCTION", help="a function that returns a torch.nn.Module "
                     "which gives logits (default: a network for the digits)")
    run.add_argument("--data", type=Path, metavar="FILE.npz", help="arrays data, labels, test_data, test_labels "
                     "(default: scikit-learn's digits)")
    for name, value, text in (("batch", 32, "samples in a batch"), ("batches", 176, "length of the run"),
                              ("warmup", 44, "warm-up batches"), ("gp", 2, "batches of a Phase GP, k"),
                              ("bp", 1, "batches of a Phase BP, m"), ("seed", 0, "of weights and data order")):
        run.add_argument(f"--{name}", type=int, default=value, metavar="N", help=f"{text} (default: %(default)s)")
    run.add_argument("--lr", type=float, default=0.05, metavar="X", help="of momentum SGD (default: %(default)s)")
    run.add_argument("--predictor-lr", type=float, default=1e-3, metavar="X", help="of Adam (default: %(default)s)")
    run.add_argument("--predictor-size", type=int, default=4, metavar="N",
                     help="pooled height and width (default: %(default)s)")
    run.add_argument("--predictor-channels", type=int, default=2, metavar="N", help="default: %(default)s")
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
    from adagp_flows import simulation, simulation_report  # imports torch: only after the options are known

    timing = simulation.MemoryTiming(latency=arguments.latency, interval=arguments.interval,
                                     stall_probability=arguments.stalls, seed=arguments.seed)
    workload = _workload(arguments)
    results = _simulate(workload, config, [Design[name.upper()] for name in dict.fromkeys(arguments.designs)], timing,
                        arguments.timeline)
    print(simulation_report.write(results, arguments.output))
    print(f"\nreport, table, pictures and timelines: {arguments.output}")


def _workload(arguments: argparse.Namespace):
    import torch
    from adagp.compiler import SGD, Adam, PredictorConfig
    from adagp.spec.schedule import Schedule
    from adagp_flows.workload import DigitsNetwork, Workload, digits

    torch.manual_seed(arguments.seed)
    try:
        model = _user_model(arguments.model) if arguments.model else DigitsNetwork()
        data, labels, test_data, test_labels = _user_data(arguments.data) if arguments.data else digits(arguments.seed)
        return Workload(
            model=model, data=data, labels=labels, test_data=test_data, test_labels=test_labels,
            batch=arguments.batch, batches=arguments.batches, seed=arguments.seed,
            schedule=Schedule(warmup=arguments.warmup, gp=arguments.gp, bp=arguments.bp),
            optimizer=SGD(lr=arguments.lr), predictor_optimizer=Adam(lr=arguments.predictor_lr),
            predictor=PredictorConfig(size=arguments.predictor_size, channels=arguments.predictor_channels))
    except ValueError as error:
        raise UserError(error) from error


def _user_model(name: str):
    package, _, function = name.partition(":")
    try:
        return getattr(import_module(package), function)()
    except (ImportError, AttributeError, TypeError) as error:
        raise UserError(f"--model must be PACKAGE:FUNCTION, a function without arguments, not {name!r}: {error}") from error


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


def _simulate(workload, config: AcceleratorConfig, designs: list[Design], timing, record: int):
    """Results by design, each in a process of its own, with one progress bar each."""
    from adagp.compiler import CompileError
    from adagp_flows.simulation import compile_workload

    configs = {design.name.lower(): replace(config, design=design) for design in designs}
    try:
        for one in configs.values():
            compile_workload(workload, one)  # what cannot be mapped is refused before anything is generated
    except CompileError as error:
        raise UserError(error) from error
    with ProcessPoolExecutor(len(configs), mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(_simulate_one, workload, one, timing, record, name, position): name
                   for position, (name, one) in enumerate(configs.items())}
        done = {waiting[future]: future.result() for future in as_completed(waiting)}
    return {name: done[name] for name in configs}


def _simulate_one(workload, config, timing, record: int, name: str, position: int):
    import torch
    from tqdm import tqdm
    from adagp_flows.simulation import simulate

    torch.set_num_threads(1)
    with tqdm(total=workload.batches, desc=name.ljust(8), unit="batch", position=position) as bar:
        def progress(result) -> None:
            bar.set_postfix(phase=result.phase.name.lower(), loss=f"{result.loss:.3f}", cycles=result.cycles)
            bar.update()
        return simulate(workload, config, timing, progress, record=record)
