"""Tests run on as many processes as there are cores, on tensors so small that threads wait for each other
longer than they work. So each process, and each that it starts, has one."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported, which reads it

import torch  # noqa: E402

torch.set_num_threads(1)
