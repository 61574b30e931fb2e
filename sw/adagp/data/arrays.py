"""Data sets that lie in memory, one's own among them."""

import numpy as np
import torch

from .datasets import DataSet
from .sources import ArraySource, Transform
from .tasks import CLASSIFICATION


def arrays(data: torch.Tensor | np.ndarray, labels: torch.Tensor | np.ndarray, test_data: torch.Tensor | np.ndarray,
           test_labels: torch.Tensor | np.ndarray, *, name: str = "arrays", classes: int | None = None,
           transform: Transform | None = None, test_transform: Transform | None = None) -> DataSet:
    """A data set for classification from (samples, …) and class numbers (samples).

    ``classes`` is by default one more than the largest label. The transforms get the data of a batch
    and a generator for all that is random; they may change the type of the data but not its shape.
    """
    data, labels = _checked("data", data, "labels", labels)
    test_data, test_labels = _checked("test_data", test_data, "test_labels", test_labels)
    if test_data.shape[1:] != data.shape[1:]:
        raise ValueError(f"test_data must hold samples of the shape {tuple(data.shape[1:])} of data's, "
                         f"not {tuple(test_data.shape[1:])}")
    if classes is None:
        classes = int(max(labels.max(), test_labels.max())) + 1
    for which, values in (("labels", labels), ("test_labels", test_labels)):
        for worst in (values.min(), values.max()):
            if not 0 <= worst < classes:
                raise ValueError(f"{which} must be class numbers from 0 to {classes - 1}, not {int(worst)}")
    return DataSet(name=name, task=CLASSIFICATION, train=ArraySource(data, labels, transform),
                   test=ArraySource(test_data, test_labels, test_transform), classes=classes,
                   shape=tuple(data.shape[1:]))


def _checked(name: str, data: torch.Tensor | np.ndarray, labels_name: str, labels: torch.Tensor | np.ndarray
             ) -> tuple[torch.Tensor, torch.Tensor]:
    data, labels = torch.as_tensor(data), torch.as_tensor(labels)
    if not data.numel():
        raise ValueError(f"{name} must not be empty, but has the shape {tuple(data.shape)}")
    if labels.ndim != 1 or labels.dtype.is_floating_point or labels.dtype.is_complex or labels.dtype == torch.bool:
        raise ValueError(f"{labels_name} must be one-dimensional integers, not {labels.dtype} of the shape "
                         f"{tuple(labels.shape)}")
    if len(labels) != len(data):
        raise ValueError(f"{labels_name} must be as many as the {len(data)} samples of {name}, not {len(labels)}")
    return data, labels.long()
