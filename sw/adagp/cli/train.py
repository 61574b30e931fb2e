"""Train a PyTorch model with predicted gradients.

By default a small network learns scikit-learn's handwritten digits with the paper's predictor and
schedule. The output folder gets checkpoint.pt, from which --resume continues the run bit for bit,
whatever ended it; report.json and curves.png, what became of it; log, for TensorBoard. SIGINT
(Ctrl-C) and SIGTERM end a run after the batch that is on its way, with a checkpoint.
"""

import argparse
import ast
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields, replace
from pathlib import Path

from . import UserError
from .schedules import SCHEDULES, add_adaptive_options
from .user_model import user_model

_DEFAULT_FOLDER = Path("build/train/run")
_MOST_THREADS = 1024


def _number(text: str) -> int | float:
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = None
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise argparse.ArgumentTypeError(f"must be NAME=NUMBER, and {text!r} is no number")
    return value


def _option(text: str) -> tuple[str, int | float]:
    name, _, value = text.partition("=")
    return name, _number(value)


def _interval(text: str) -> tuple[int | None, float | None]:
    """Batches and seconds between checkpoints, one of them None."""
    count, seconds = text.removesuffix("s"), text.endswith("s")
    if not count.isascii() or not count.isdecimal() or int(count) < 1:
        raise argparse.ArgumentTypeError(f"must be a number of batches such as 500, or of seconds such as 600s, not {text!r}")
    return (None, float(count)) if seconds else (int(count), None)


_GROUPS = {
    "what is trained": {
        "model": (str, "NAME", "a network of adagp.models, or PACKAGE:FUNCTION, a function that returns a torch.nn.Module "
                               "(default: digits)"),
        "form": (str, "NAME", "of the network, such as imagenet or cifar (default: its usual one)"),
        "data": (str, "NAME", "a data set of adagp.data (default: digits)")},
    "prediction": {
        "predictor": (str, "NAME", "paper, remapped, feedback; the controls skip, zero, random, last; or none: back-propagation "
                                   "(default: paper)"),
        "schedule": (str, "S", f"{SCHEDULES} (default: paper)"),
        "warmup": (int, "N", "epochs of warm-up (default: a ninth of the run, as in the paper)"),
        "gate": (float, "X", "layers whose predictions have a cosine below X are not updated by them (default: all are)"),
        "gp_rate": (float, "X", "multiplies the learning rate in Phase GP (default: 1.0)"),
        "gp_clip": (float, "X", "most of a predicted gradient's norm over that of the true ones; inf: no limit (default: 1.0)"),
        "approximate": (str, "METHOD:SCHEDULE", "approximates weight gradients of convolutions: zero, random or top1; "
                        "every-fourth-layer, every-other-layer-and-batch or every-fourth-batch, or their numbers 1 to 3; "
                        "only with --predictor none (default: none)"),
        "predictor_lr": (float, "X", "of the Adam that trains the predictor (default: 0.0001)")},
    "training": {
        "epochs": (int, "N", "length of the run (default: 20)"),
        "batch": (int, "N", "samples in a batch (default: 32)"),
        "accumulate": (int, "N", "batches that make one step (default: 1)"),
        "seed": (int, "N", "of weights and data order (default: 0)"),
        "optimizer": (str, "NAME", "sgd or adam (default: sgd)"),
        "lr": (float, "X", "learning rate (default: 0.01)"),
        "momentum": (float, "X", "of SGD (default: 0.9)"),
        "weight_decay": (float, "X", "of the optimiser (default: 0.0)"),
        "lr_schedule": (str, "NAME", "of the model: none, plateau, multistep or cosine (default: none)"),
        "predictor_lr_schedule": (str, "NAME", "of the predictor, from the same (default: none)"),
        "lr_factor": (float, "X", "of plateau and multistep (default: 0.1)"),
        "lr_patience": (int, "N", "epochs that plateau waits (default: 10)"),
        "plateau": (str, "NAME", "the loss that the model's plateau is one of: training or test (default: training)"),
        "amp": (str, "NAME", "automatic mixed precision: none, bf16 or fp16 (default: none)")}}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--preset", metavar="NAME", help="what the options below are by default: paper (ADA-GP's), or "
                        "remapping (the tensor re-mapping paper's)")
    for title, options in _GROUPS.items():
        group = parser.add_argument_group(title)
        for name, (kind, metavar, text) in options.items():
            group.add_argument(_flag(name), type=kind, metavar=metavar, help=text)
        if "data" in options:
            group.add_argument("--data-options", nargs="+", type=_option, metavar="NAME=NUMBER",
                               help="of the data set, such as size=299 for imagenet")
        if "predictor" in options:
            group.add_argument("--predictor-options", nargs="+", type=_option, metavar="NAME=NUMBER",
                               help="of the predictor, such as size=8 channels=16")
            group.add_argument("--exclude", nargs="+", metavar="LAYER", help="layers, or modules "
                               "with layers, that only Phase BP updates, or that are not approximated")
        if "lr_schedule" in options:
            group.add_argument("--lr-milestones", nargs="+", type=float, metavar="X", help="of multistep, shares of the run "
                               "(default: 1/3 8/9)")
            group.add_argument("--channels-last", action="store_true", default=None, help="memory format of images")
    add_adaptive_options(parser)
    run = parser.add_argument_group("run")
    run.add_argument("-o", "--output", type=Path, default=_DEFAULT_FOLDER, metavar="FOLDER", help="default: %(default)s")
    where = run.add_mutually_exclusive_group()
    where.add_argument("--resume", action="store_true", help="continue the run in the output folder; options that are "
                       "not given are its own, and of others only --epochs may differ")
    where.add_argument("--overwrite", action="store_true", help="begin anew where the output folder holds a run")
    where.add_argument("--evaluate", action="store_true", help="only test the checkpoint in the output folder")
    run.add_argument("--data-root", type=Path, default=Path("data"), metavar="FOLDER", help="default: %(default)s")
    run.add_argument("--device", default="cpu", metavar="NAME", help="such as cuda (default: %(default)s)")
    run.add_argument("--threads", type=int, metavar="N", help="of PyTorch on the CPU; a run that goes on has its own unless "
                     "told otherwise, since other numbers round otherwise")
    run.add_argument("--workers", type=int, default=0, metavar="N", help="processes that load data (default: %(default)s)")
    run.add_argument("--checkpoint-every", type=_interval, default=(None, 600.0), metavar="N|Ns", help="batches, or "
                     "seconds, besides the end of each epoch (default: 600s)")
    run.add_argument("--no-log", action="store_true", help="nothing for TensorBoard")


def run(arguments: argparse.Namespace) -> None:
    import torch  # slow: only when the options are known to be well formed

    from adagp.training import checkpoint
    from adagp.training.trainer import NotFinite
    from adagp_flows import training_report

    if arguments.threads is not None and not 1 <= arguments.threads <= _MOST_THREADS:
        raise UserError(f"--threads must be from 1 to {_MOST_THREADS}, not {arguments.threads}")
    folder, path = arguments.output, arguments.output / "checkpoint.pt"
    if (arguments.resume or arguments.evaluate) and not path.exists():
        raise UserError(f"{folder} holds no checkpoint.pt")
    with ExitStack() as stack:
        try:
            if not arguments.evaluate:
                stack.enter_context(_alone_in(folder))
            stored = _stored(path, arguments)
            threads = arguments.threads or (stored and stored[0].get("threads"))
            if threads:
                torch.set_num_threads(threads)  # another number adds in another order
            training = _prepared(stored and stored[0], arguments)
            if stored:
                checkpoint.require_same(path, _comparable(stored[0]), _comparable(training.description))
                training.trainer.load_state_dict(stored[1])
        except ValueError as error:
            raise UserError(error) from error
        if arguments.overwrite:
            for name in ("report.json", "curves.png"):
                (folder / name).unlink(missing_ok=True)
        if arguments.evaluate:
            loss, metric = training.trainer.evaluate()
            print(f"{training.task.metric} {metric:.4f}, loss {loss:.4f} after {_place(training)}")
            return
        try:
            _fit(training, path, arguments)
        except NotFinite as error:
            raise UserError(f"{error}; {path} is from before") from error
        except ValueError as error:  # such as a layer that runs twice in a batch
            raise UserError(error) from error
        finally:
            training_report.write(training, folder)
        print(training_report.summary(training, tuple(training.trainer.history)))
        print(f"checkpoint, report and curves: {folder}")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Refuses a folder that another process is training in."""
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"another process is training in {folder}") from error
        yield
    finally:
        os.close(descriptor)


def _stored(path: Path, arguments: argparse.Namespace) -> tuple[dict, dict] | None:
    """Description and state of the run that is to go on."""
    from adagp.training import checkpoint

    if not (arguments.resume or arguments.evaluate):
        if path.exists() and not arguments.overwrite:
            raise UserError(f"{path.parent} holds a run already; --resume continues it, --overwrite begins anew")
        return None
    return checkpoint.load(path)


def _prepared(description: dict | None, arguments: argparse.Namespace):
    """The run that the options describe, on top of the stored one's, the preset's or the defaults."""
    from adagp.training.presets import PRESETS, Settings
    from adagp_flows.training_run import prepare

    if arguments.preset is not None and arguments.preset not in PRESETS:
        raise UserError(f"--preset must be {' or '.join(PRESETS)}, not {arguments.preset!r}")
    names = [field.name for field in fields(Settings)]
    given = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    for name, kind in (("data_options", dict), ("predictor_options", dict), ("exclude", tuple), ("lr_milestones", tuple)):
        if name in given:
            given[name] = kind(given[name])
    base = PRESETS[arguments.preset] if arguments.preset else Settings()
    if description is not None and not arguments.preset:
        missing = [name for name in names if name not in description]
        if missing:
            raise UserError(f"the checkpoint is not of adagp train: its description has no {missing[0]}")
        base = Settings(**{name: description[name] for name in names})
    for name in ("data", "predictor"):
        if given.get(name, getattr(base, name)) != getattr(base, name):
            base = replace(base, **{f"{name}_options": {}})
    settings = replace(base, **given)
    brought = ":" in settings.model
    if brought and settings.form is not None:
        raise UserError(f"--form is of networks of adagp.models, not of {settings.model}")
    return prepare(settings, root=arguments.data_root, device=arguments.device, workers=arguments.workers,
                   make_model=(lambda: user_model(settings.model)) if brought else None)


def _comparable(description: dict) -> dict:
    """A run may become longer, as long as nothing in it depends on its length, and move to another machine."""
    return {name: value for name, value in description.items() if name not in ("epochs", "threads")}


def _fit(training, path: Path, arguments: argparse.Namespace) -> None:
    """Trains to the end, or until a signal, which ends the process."""
    from adagp.training.checkpoint import Checkpoints

    trainer, epochs = training.trainer, training.settings.epochs
    batches, seconds = arguments.checkpoint_every
    trainer.checkpoints = Checkpoints(path, training.description, batches=batches, seconds=seconds)
    with ExitStack() as stack:
        if not arguments.no_log:
            log = _log(path.parent / "log", training)
            if log:
                stack.callback(log.close)
                trainer.hooks.append(log.hooks)
        progress = stack.enter_context(_progress(training))
        trainer.hooks.append(progress)
        received = stack.enter_context(_signals(trainer.stop))
        trainer.fit(epochs)
    if trainer.epoch < epochs:
        print(f"adagp train: stopped by {received[0].name} after {_place(training)}; --resume continues", file=sys.stderr)
        sys.exit(128 + received[0])


def _log(folder: Path, training):
    from adagp.training.log import TensorBoardLog

    trainer = training.trainer
    try:
        return TensorBoardLog(folder, metric=training.task.metric, step=trainer.batches_done, history=tuple(trainer.history))
    except ImportError as error:
        print(f"no log for TensorBoard: {error}", file=sys.stderr)
        return None


@contextmanager
def _progress(training) -> Iterator:
    """A bar over the batches of the run, on a terminal, and a line per epoch."""
    from adagp.training.records import Hooks
    from adagp.training.trainer import TITLES
    from adagp_flows.training_report import epoch_line
    from tqdm import tqdm

    trainer, metric = training.trainer, training.task.metric
    total = training.settings.epochs * trainer.batches_per_epoch
    with tqdm(total=total, initial=trainer.batches_done, unit="batch", disable=None) as bar:
        latest: dict[str, str] = {}

        def batch(record) -> None:
            for name, value in (("loss", record.loss), ("cosine", record.cosine)):
                if value is not None:
                    latest[name] = f"{value:.3f}"
            bar.set_description(f"epoch {record.epoch + 1}/{training.settings.epochs}, {TITLES[record.phase]}", refresh=False)
            bar.set_postfix(latest, refresh=False)
            bar.update()

        def epoch(record) -> None:
            latest[metric] = f"{record.metric:.3f}"
            bar.write(epoch_line(training, record))

        yield Hooks(batch=batch, epoch=epoch, notice=bar.write)


@contextmanager
def _signals(stop) -> Iterator[list[signal.Signals]]:
    """Calls ``stop`` at the first SIGINT or SIGTERM, and lists it; a second one ends the process as usual."""
    received: list[signal.Signals] = []

    def handle(number: int, _) -> None:
        received.append(signal.Signals(number))
        restore()
        stop()

    former = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in former.items():
            signal.signal(number, handler)

    try:
        yield received
    finally:
        restore()


def _place(training) -> str:
    trainer = training.trainer
    if not trainer.batch:
        return f"epoch {trainer.epoch}"
    return f"batch {trainer.batch} of {trainer.batches_per_epoch} in epoch {trainer.epoch + 1}"
