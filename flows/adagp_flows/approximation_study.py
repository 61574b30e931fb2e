"""Speed and accuracy of training with approximated weight gradients: the study of Wang and Nelaturu 2019 again."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

import torch
from torch import nn
from torch.nn import functional
from tqdm import tqdm

from adagp.data import Batches, DataSet, MissingData, Source, load
from adagp.files import replace_file
from adagp.models import build
from adagp.training.approximation import Approximation
from adagp.training.approximation_schedule import PATTERNS, Method

from .approximation_kernels import SHAPES, from_report, report, stopwatch, time_layers
from .approximation_tables import layer_table, schedule_table, trade_off_table

SCHEDULES = dict(enumerate(PATTERNS.values(), 1))
PERIOD = 4
"""Batches after which all of them come again."""

LAYERS_BATCH = 128
"""Of the layers that are timed by themselves."""

Builder = Callable[[int, tuple[int, ...]], nn.Module]
"""From the number of classes and the shape of an image."""


class TwoLayerNetwork(nn.Module):
    """Two 5×5 convolutions of 64 channels, pooled and normalised, and three linear layers: the network of
    TensorFlow's CIFAR-10 tutorial, after Krizhevsky, with batch normalisation."""

    def __init__(self, classes: int, shape: tuple[int, ...]):
        super().__init__()
        channels, *size = shape
        self.features = nn.Sequential(
            nn.Conv2d(channels, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2, 1), nn.BatchNorm2d(64),
            nn.Conv2d(64, 64, 5, padding=2), nn.ReLU(), nn.BatchNorm2d(64), nn.MaxPool2d(3, 2, 1))
        height, width = (-(-each // 4) for each in size)
        self.classifier = nn.Sequential(nn.Linear(64 * height * width, 384), nn.ReLU(), nn.Linear(384, 192), nn.ReLU(),
                                        nn.Linear(192, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x).flatten(1))


def _cifar(name: str) -> Builder:
    return lambda classes, shape: build(name, classes=classes, form="cifar", channels=shape[0])


@dataclass(frozen=True, kw_only=True)
class Network:
    """What is trained of a network: the numbers of the schedules, the first of them for its speed against accuracy,
    and the smaller networks to compare with. ``table`` is that of the paper."""

    table: int
    build: Builder
    schedules: tuple[int, ...]
    smaller: tuple[tuple[str, Builder], ...] = ()


NETWORKS = {
    "2-layer CNN": Network(table=2, build=TwoLayerNetwork, schedules=(2,)),
    "ResNet-20": Network(table=3, build=_cifar("resnet20"), schedules=(1, 2, 3), smaller=(("ResNet-14", _cifar("resnet14")),)),
    "VGG-19": Network(table=4, build=_cifar("vgg19"), schedules=(1,))}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Adam, with a learning rate that falls by the factor ``decay`` in each epoch. Accuracy is the best of those
    after ``evaluate_every`` epochs each. Times are medians of ``rounds`` rounds of four batches."""

    epochs: int = 10
    batch: int = 128
    learning_rate: float = 1e-3
    decay: float = 0.9
    evaluate_every: int = 1
    seeds: tuple[int, ...] = (0,)
    rounds: int = 5
    device: str = "cpu"

    def __post_init__(self):
        for name in ("epochs", "batch", "evaluate_every", "rounds"):
            if getattr(self, name) < 1:
                raise ValueError(f"Settings.{name} must be at least 1, not {getattr(self, name)!r}")
        if self.evaluate_every > self.epochs:
            raise ValueError(f"Settings.evaluate_every must be at most the {self.epochs} epochs, not {self.evaluate_every!r}")


@dataclass(frozen=True, kw_only=True)
class Run:
    """A network, and the schedule and method by which its gradients are approximated, if they are."""

    build: Builder
    schedule: int | None = None
    method: Method = Method.FULL

    def model(self, data: DataSet, settings: Settings, seed: int) -> tuple[nn.Module, torch.optim.Optimizer]:
        """Fresh, the same for the same seed whatever the method."""
        torch.manual_seed(seed)
        model = self.build(data.classes, data.shape).to(settings.device)
        if self.schedule:
            Approximation(model, SCHEDULES[self.schedule].using(self.method), exclude=projections(model))
        return model, torch.optim.Adam(model.parameters(), lr=settings.learning_rate)


def projections(model: nn.Module) -> list[str]:
    """Shortcuts with convolutions; the paper's ResNet-20 has none, so it does not count them."""
    return [name for name, _ in model.named_modules() if name.rpartition(".")[2] == "downsample"]


def runs(network: Network) -> dict[str, Run]:
    methods = [method for method in Method if method is not Method.FULL]
    return {"full": Run(build=network.build),
            **{f"{method.value} {number}": Run(build=network.build, schedule=number, method=method)
               for number in network.schedules for method in methods},
            **{name: Run(build=smaller) for name, smaller in network.smaller}}


@dataclass(frozen=True, kw_only=True)
class Part:
    """What a network is trained on. Times are those of batches of ``timed``, without it of ``data``."""

    data: DataSet
    settings: Settings = Settings()
    timed: DataSet | None = None

    def __post_init__(self):
        for name, data in (("data", self.data), ("timed", self.timed or self.data)):
            if len(data.shape) != 3:
                raise ValueError(f"Part.{name} must be images of (channels, height, width), not {data.name} of shape {data.shape!r}")


def run(folder: Path, *, root: Path = Path("data")) -> dict:
    """The whole study at a scale of minutes. Leaves the tables in ``folder``, as approximation.txt, and returns what
    :func:`study` does.

    On a GPU it trains with CIFAR-10 as the paper does, if the files are in ``root``. Otherwise with
    scikit-learn's digits, from which networks learn within the minutes that a CPU takes for them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    result = study(_parts(root))
    replace_file(folder / "approximation.txt", lambda path: path.write_text(tables(result)))
    return result


def _parts(root: Path) -> dict[str, Part]:
    if torch.cuda.is_available():
        try:
            data = load("cifar10", root=root)
        except MissingData:
            pass
        else:
            return {name: Part(data=data, settings=Settings(device="cuda")) for name in NETWORKS}
    noisy, clean = load("digits-noisy", test_copies=2), replace(load("digits-noisy", noise=0), name="digits, moved")
    settings = Settings(batch=32, rounds=3, device="cuda" if torch.cuda.is_available() else "cpu")
    small = Part(data=resized(noisy, 16), settings=settings, timed=resized(noisy, 32))
    # VGG-19 takes no smaller images, nor learns from noisy ones in as few epochs as it can be trained for.
    large = Part(data=resized(clean, 32), settings=replace(settings, epochs=3, learning_rate=3e-4))
    return {name: large if name == "VGG-19" else small for name in NETWORKS}


def study(parts: Mapping[str, Part], *, layers: tuple[tuple[int, int, int], ...] = SHAPES) -> dict:
    """Measures what the paper's tables hold, 1 for ``layers``, 2 to 5 for the networks of ``parts``, and prints them.

    The result can be written as JSON: for every layer its milliseconds, for every network its settings and,
    for each run, its seconds per batch, and for each seed its best accuracy (0 to 1) and those of the epochs.
    """
    if unknown := [name for name in parts if name not in NETWORKS]:
        raise ValueError(f"networks must be among {', '.join(NETWORKS)}, not {unknown[0]!r}")
    result: dict = {"threads": torch.get_num_threads(), "layers": [], "networks": {}}
    if layers:
        device = next((part.settings.device for part in parts.values()), "cpu")
        result["layers"] = report(time_layers(layers, batch=LAYERS_BATCH, device=device))
    for name, part in parts.items():
        timed = part.timed or part.data
        result["networks"][name] = {
            **asdict(part.settings), "data": part.data.name, "shape of timed images": list(timed.shape),
            "runs": measure(name, runs(NETWORKS[name]), part)}
    print(tables(result), end="", flush=True)
    return result


def tables(result: dict) -> str:
    """What :func:`study` returned, as text."""
    texts = [f"batch {LAYERS_BATCH}\n" + layer_table(from_report(result["layers"]))] if result["layers"] else []
    for name, each in result["networks"].items():
        network, size = NETWORKS[name], "×".join(map(str, each["shape of timed images"][1:]))
        texts.append(f"{each['data']}, batch {each['batch']}, {each['epochs']} epochs; times at {size}; the paper: CIFAR-10\n"
                     + trade_off_table(network.table, name, each["runs"], network.schedules[0]))
        if len(network.schedules) > 1:
            texts.append(schedule_table(name, each["runs"], network.schedules))
    return "\n\n".join(texts) + "\n"


def measure(title: str, runs: dict[str, Run], part: Part) -> dict[str, dict]:
    """Of every run its ``seconds_per_batch``, and for each seed its best ``accuracy`` and the ``accuracies``."""
    data, settings = part.data, part.settings
    batches = len(Batches(data.train, batch=settings.batch, drop_last=True))
    timing = (settings.rounds + 1) * PERIOD
    with tqdm(total=len(runs) * (timing + len(settings.seeds) * settings.epochs * batches), desc=title, unit="batch") as bar:
        seconds = time_batches(runs, part.timed or data, settings, bar)
        accuracies = {name: [list(accuracy(run, data, settings, seed, bar)) for seed in settings.seeds]
                      for name, run in runs.items()}
    return {name: {"seconds_per_batch": seconds[name], "accuracy": list(map(max, accuracies[name])),
                   "accuracies": accuracies[name]} for name in runs}


def time_batches(runs: dict[str, Run], data: DataSet, settings: Settings, bar: tqdm) -> dict[str, float]:
    """Seconds per batch. The runs take turns, four batches each, so that what else the machine does meets all alike."""
    inputs, target = next(Batches(data.train, batch=settings.batch, drop_last=True).epoch(0))
    inputs, target = inputs.to(settings.device), target.to(settings.device)
    prepared = {name: run.model(data, settings, seed=0) for name, run in runs.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(settings.rounds + 1):  # the first is for warming up
        for name, (model, optimizer) in prepared.items():
            def period():
                for _ in range(PERIOD):
                    _train(model, optimizer, inputs, target, data)

            seconds = stopwatch(period, torch.device(settings.device)) / PERIOD
            bar.update(PERIOD)
            if number:
                times[name].append(seconds)
    return {name: median(values) for name, values in times.items()}


def accuracy(run: Run, data: DataSet, settings: Settings, seed: int, bar: tqdm) -> Iterator[float]:
    """Of the test samples, after every ``evaluate_every`` epochs."""
    model, optimizer = run.model(data, settings, seed)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, settings.decay)
    train = Batches(data.train, batch=settings.batch, seed=seed, drop_last=True)
    for epoch in range(settings.epochs):
        for inputs, target in train.epoch(epoch):
            _train(model, optimizer, inputs.to(settings.device), target.to(settings.device), data)
            bar.update()
        scheduler.step()
        if (epoch + 1) % settings.evaluate_every == 0:
            yield evaluate(model, data, settings)


def evaluate(model: nn.Module, data: DataSet, settings: Settings) -> float:
    model.eval()
    with torch.no_grad():
        scores = [data.task.score(model(inputs.to(settings.device)), target.to(settings.device))
                  for inputs, target in Batches(data.test, batch=settings.batch, shuffle=False).epoch(0)]
    model.train()
    return sum(score for score, _ in scores) / sum(count for _, count in scores)


def _train(model: nn.Module, optimizer: torch.optim.Optimizer, inputs: torch.Tensor, target: torch.Tensor, data: DataSet):
    data.task.loss(model(inputs), target).backward()
    optimizer.step()
    optimizer.zero_grad()


@dataclass(frozen=True)
class _Resized:
    """Another source's images at ``size``×``size`` pixels."""

    source: Source
    size: int

    def __len__(self) -> int:
        return len(self.source)

    def batch(self, indices: list[int], generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        images, target = self.source.batch(indices, generator)
        return functional.interpolate(images, (self.size, self.size), mode="bilinear"), target


def resized(data: DataSet, size: int) -> DataSet:
    """``data`` with its images at ``size``×``size`` pixels."""
    return replace(data, name=f"{data.name} at {size}×{size}", shape=(data.shape[0], size, size),
                   train=_Resized(data.train, size), test=_Resized(data.test, size))
