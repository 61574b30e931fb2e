"""The tables of Wang and Nelaturu 2019, filled with what was measured, next to the paper's own figures."""

from statistics import mean

from .approximation_kernels import LayerTime

ROWS = {"full": "Full gradient", "zero": "Zero gradient", "random": "Random gradient", "top1": "Approximated gradient"}
"""Methods and their names in the tables."""

PAPER_LAYERS = {(256, 8): 1.7, (128, 16): 3.2, (512, 4): 0.8, (512, 2): 10.4, (64, 32): 5.2, (16, 32): 4.2, (32, 16): 4.0,
                (64, 8): 3.7}
"""Table 1: channels, and height and width, to the speed-up on a Titan Xp, of a batch size that it does not say."""

PAPER_TRADE_OFFS = {
    "2-layer CNN": {"zero": (-5.7, 0.2), "random": (-38.0, -0.8), "top1": (-6.6, 1.0)},
    "ResNet-20": {"zero": (7.1, 1.5), "random": (-1.4, 1.8), "top1": (3.5, 0.75), "ResNet-14": (22.0, 1.0)},
    "VGG-19": {"zero": (7.3, 1.0), "random": (None, 0.1), "top1": (1.5, 0.7)}}
"""Tables 2 to 4, on CIFAR-10: time saved in percent, accuracy lost in points. VGG-19's random gradients took more
than twice the time."""

PAPER_ACCURACY = {"full": (91.8,), "zero": (90.3, 91.6, 91.1), "random": (90.0, 88.8, 87.9), "top1": (91.1, 91.6, 91.7),
                  "ResNet-14": (90.8,)}
"""Table 5, of ResNet-20: percent with schedules 1 to 3; where one stands alone, there is no schedule."""


def layer_table(times: list[LayerTime]) -> str:
    """Table 1."""
    rows = [[str(each.inputs), str(each.outputs), str(each.size), f"{each.dense:.2f}", f"{each.kernel:.2f}",
             f"{each.copies:.2f}", f"{each.total:.2f}", f"{each.factor:.1f}", f"{each.factor_channels_last:.1f}",
             str(PAPER_LAYERS.get((each.inputs, each.size), ""))] for each in times]
    return table("Table 1. Weight gradient of a layer, milliseconds",
                 ["in", "out", "size", "dense", "kernel", "copies", "total", "factor", "channels last", "paper"], rows)


def trade_off_table(number: int, network: str, runs: dict[str, dict], schedule: int) -> str:
    """Tables 2 to 4: of ``network``, with the methods under ``schedule``, from what study() has measured."""
    paper, full, rows = PAPER_TRADE_OFFS[network], runs["full"], []
    for name, title in [*ROWS.items(), *((each, each) for each in runs if each in paper and each not in ROWS)]:
        run = runs.get(f"{name} {schedule}", runs.get(name))
        saved = 100 * (1 - run["seconds_per_batch"] / full["seconds_per_batch"])
        lost = 100 * (mean(full["accuracy"]) - mean(run["accuracy"]))
        speed, accuracy = paper.get(name, (0.0, 0.0))
        rows.append([title, f"{1000 * run['seconds_per_batch']:.1f}", f"{saved:.1f} %",
                     "< -100 %" if speed is None else f"{speed:.1f} %", f"{lost:.1f}", f"{accuracy:g}"])
    return table(f"Table {number}. {network}, schedule {schedule}: time saved, accuracy lost in points",
                 ["", "ms per batch", "speed-up", "paper", "accuracy loss", "paper"], rows)


def schedule_table(network: str, runs: dict[str, dict], schedules: tuple[int, ...]) -> str:
    """Table 5."""
    rows = []
    for name, title in [*ROWS.items(), *((each, each) for each in runs if each in PAPER_ACCURACY and each not in ROWS)]:
        alone = name in runs
        measured = [runs[name if alone else f"{name} {each}"]["accuracy"] for each in schedules[:1 if alone else None]]
        rows.append([title, *_filled([f"{100 * mean(each):.1f} %" for each in measured], len(schedules)),
                     *_filled([f"{each:.1f} %" for each in PAPER_ACCURACY[name]], 3)])
    return table(f"Table 5. Accuracy of {network} by schedule",
                 ["", *(f"schedule {each}" for each in schedules), "paper 1", "2", "3"], rows)


def _filled(cells: list[str], count: int) -> list[str]:
    return cells + [""] * (count - len(cells))


def table(title: str, header: list[str], rows: list[list[str]]) -> str:
    """Text, the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows)]
    lines = [("  " + "  ".join(cell.rjust(width) if place else cell.ljust(width)
                               for place, (cell, width) in enumerate(zip(row, widths)))).rstrip() for row in (header, *rows)]
    return "\n".join([title, *lines])
