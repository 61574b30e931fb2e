"""A training run as a picture: loss, metric, and the quality of the predictions over the epochs."""

from pathlib import Path

from adagp.files import replace_file
from adagp.training.records import EpochRecord

_COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee8866", "#777777")
_MEAN = "#222222"
_NAMED_LAYERS = 8
"""More layers than that are drawn without a name each."""


def picture(history: tuple[EpochRecord, ...], metric: str, path: Path) -> None:
    """``history`` is of one epoch at least. Cosines are drawn where something was predicted."""
    import matplotlib  # slow to import, and only needed here
    matplotlib.use("Agg")
    from matplotlib import pyplot

    predicted = any(record.quality for record in history)
    style = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "axes.titlelocation": "left",
             "axes.titleweight": "bold", "axes.titlesize": 11}
    with pyplot.rc_context(style):
        figure, axes = pyplot.subplots(1, 3 if predicted else 2, figsize=(13 if predicted else 9, 4), layout="constrained")
        epochs = [record.epoch for record in history]
        for name, values, colour in (("training", [record.loss for record in history], _COLOURS[0]),
                                     ("test", [record.test_loss for record in history], _COLOURS[1])):
            axes[0].plot(epochs, _drawn(values), color=colour, label=name, marker=".")
        axes[0].set(title="Loss", ylim=(0, None))
        axes[0].legend(frameon=False)
        axes[1].plot(epochs, [record.metric for record in history], color=_COLOURS[0], marker=".")
        axes[1].set(title=f"{metric.capitalize()} on the test samples")
        if predicted:
            _draw_cosines(axes[2], epochs, history)
        for each in axes:
            each.set(xlabel="epoch")
            each.xaxis.get_major_locator().set_params(integer=True)
            each.grid(color="#e6e6e6", linewidth=0.8)
            each.set_axisbelow(True)
        replace_file(path, lambda partial: figure.savefig(partial, dpi=120))
        pyplot.close(figure)


def _draw_cosines(axes, epochs: list[int], history: tuple[EpochRecord, ...]) -> None:
    layers = list(dict.fromkeys(name for record in history for name in record.quality))
    named = len(layers) <= _NAMED_LAYERS
    for index, layer in enumerate(layers):
        values = [record.quality[layer].cosine if layer in record.quality else None for record in history]
        axes.plot(epochs, _drawn(values), color=_COLOURS[index % len(_COLOURS)] if named else _COLOURS[-1],
                  linewidth=1.2 if named else 0.6, label=layer if named else None, marker="." if named else None)
    axes.plot(epochs, _drawn([record.cosine for record in history]), color=_MEAN, linewidth=2, label="mean of layers",
              marker=".")
    axes.set(title="Cosine of predicted and true gradients")
    axes.legend(frameon=False, fontsize=8.5, loc="center left", bbox_to_anchor=(1, 0.5))


def _drawn(values: list[float | None]) -> list[float]:
    """With a gap where there is no value."""
    return [float("nan") if value is None else value for value in values]
