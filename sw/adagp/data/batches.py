"""Batches of a source that can be resumed anywhere."""

import os
import signal
from collections.abc import Iterator
from hashlib import blake2b
from threading import Thread
from typing import Any

import torch
from torch.utils.data import DataLoader

from .datasets import Source


def seeded(*key: int | str) -> torch.Generator:
    """A generator whose state depends on ``key`` alone."""
    digest = blake2b(repr(key).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little"))


class Batches:
    """Batches of a source, the same for the same seed whatever was drawn before.

    With ``shuffle`` every epoch has an order of its own. A last batch of fewer than ``batch`` samples
    is left out with ``drop_last``. With ``workers`` that many processes prepare batches ahead; the
    batches are the same. Nothing is drawn from torch's global generator.
    """

    def __init__(self, source: Source, *, batch: int, seed: int = 0, shuffle: bool = True, drop_last: bool = False,
                 workers: int = 0):
        for name, value, least in (("batch", batch, 1), ("seed", seed, 0), ("workers", workers, 0)):
            if not isinstance(value, int) or value < least:
                raise ValueError(f"Batches.{name} must be an integer of at least {least}, not {value!r}")
        if len(source) < (batch if drop_last else 1):
            raise ValueError(f"Batches.source must hold at least one batch of {batch if drop_last else 1} samples, "
                             f"not {len(source)}")
        self.source, self.batch, self.seed, self.workers = source, batch, seed, workers
        self.shuffle, self.drop_last = shuffle, drop_last

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self.source) // self.batch if self.drop_last else -(-len(self.source) // self.batch)

    def order(self, number: int) -> torch.Tensor:
        """The samples of epoch ``number``, in their order."""
        if not self.shuffle:
            return torch.arange(len(self.source))
        return torch.randperm(len(self.source), generator=seeded("order", self.seed, number))

    def epoch(self, number: int, first: int = 0) -> Iterator[tuple[Any, Any]]:
        """Batches ``first`` and following of epoch ``number``: inputs and target.

        Their order depends on the seed and ``number``; what is random in a batch depends on the seed,
        ``number`` and its place in the epoch. So the batches from ``first`` on are the tail of the
        whole epoch, bit for bit, and nothing is done for those before them.
        """
        if not 0 <= first <= len(self):
            raise ValueError(f"Batches.epoch: first must be from 0 to {len(self)}, not {first!r}")
        order = self.order(number).split(self.batch)
        keys = ((("batch", self.seed, number, index), order[index].tolist()) for index in range(first, len(self)))
        prepare = _Preparation(self.source)
        if not self.workers:
            return map(prepare.__getitem__, keys)
        loader = DataLoader(prepare, sampler=keys, batch_size=None, num_workers=self.workers, collate_fn=_as_is,
                            worker_init_fn=_end_with_parent,
                            generator=torch.Generator())  # its own: otherwise it draws from the global one
        former = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))  # the workers inherit it
        try:
            return iter(loader)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, former)


def _end_with_parent(_) -> None:
    """Lets a worker follow SIGTERM from its parent alone.

    Signals to the whole process group, as by Ctrl-C or a scheduler, are for the process that trains: it
    may want its last batches, and PyTorch would raise an error in the midst of whatever it does if a
    worker died.
    """
    def wait() -> None:
        while signal.sigwaitinfo((signal.SIGTERM,)).si_pid != os.getppid():
            pass
        os._exit(0)

    Thread(target=wait, daemon=True).start()


class _Preparation:
    """A batch for a key and its samples' numbers, as torch's DataLoader asks for it."""

    def __init__(self, source: Source):
        self.source = source

    def __getitem__(self, key: tuple[tuple, list[int]]) -> tuple[Any, Any]:
        return self.source.batch(key[1], seeded(*key[0]))


def _as_is(batch: tuple[Any, Any]) -> tuple[Any, Any]:
    return batch
