"""Processes that train copies of one model."""

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel


class Replicas:
    """The processes of a ``DistributedDataParallel`` model; of any other model this process alone.

    What predictors learn and predict from is averaged over them, as DistributedDataParallel averages true
    gradients, so that the copies of the model stay the same in Phase GP too.
    """

    def __init__(self, model: nn.Module | None = None):
        self._group = model.process_group if isinstance(model, DistributedDataParallel) else None

    def mean(self, tensor: torch.Tensor) -> torch.Tensor:
        """The mean over the processes, in the place of ``tensor`` if that is contiguous."""
        if self._group is not None:
            tensor = tensor.contiguous()
            distributed.all_reduce(tensor, group=self._group)
            tensor /= distributed.get_world_size(self._group)
        return tensor

    def first(self, tensor: torch.Tensor) -> torch.Tensor:
        """That of the first process, in the place of ``tensor`` if that is contiguous."""
        if self._group is not None:
            tensor = tensor.contiguous()
            distributed.broadcast(tensor, group=self._group, group_src=0)
        return tensor
