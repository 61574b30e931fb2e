"""A training run as scalars for TensorBoard."""

from pathlib import Path

from .records import BatchRecord, EpochRecord, Hooks


class TensorBoardLog:
    """Writes what a run tells into ``folder``. ImportError without the package ``tensorboard``.

    A run that goes on at its batch number ``step``, after the epochs ``history``, hides what a former
    process has logged beyond that point, so that nothing appears twice. Figures of a batch are at its
    number, figures of an epoch at the number of batches until its end.
    """

    def __init__(self, folder: Path, *, metric: str, step: int = 0, history: tuple[EpochRecord, ...] = ()):
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(folder, purge_step=step)
        self._metric, self._step = metric.replace(" ", "_"), step
        if history and history[-1].steps == step:  # at the step itself, so hidden as well
            self._log_epoch(history[-1])
        self.hooks = Hooks(batch=self._log_batch, epoch=self._log_epoch, notice=self._log_notice,
                           checkpoint=self._writer.flush)

    def close(self) -> None:
        self._writer.close()

    def _log_batch(self, record: BatchRecord) -> None:
        self._step = record.step
        self._add({"loss/batch": record.loss, "phase": int(record.phase), "cosine/mean": record.cosine}, record.step)

    def _log_epoch(self, record: EpochRecord) -> None:
        self._add({"loss/training": record.loss, "loss/test": record.test_loss, self._metric: record.metric,
                   "learning_rate/model": record.learning_rate,
                   "learning_rate/predictor": record.predictor_learning_rate}, record.steps)
        for name, layer in record.quality.items():
            self._add({f"cosine/{name}": layer.cosine, f"mse/{name}": layer.mse, f"mape/{name}": layer.mape},
                      record.steps)

    def _log_notice(self, text: str) -> None:
        self._writer.add_text("notice", text, self._step)

    def _add(self, scalars: dict[str, float | None], step: int) -> None:
        for tag, value in scalars.items():
            if value is not None:
                self._writer.add_scalar(tag, value, step)
