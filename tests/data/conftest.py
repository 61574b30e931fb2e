import sys
from types import ModuleType

import pytest
import torch
from torchvision_reader import Files


@pytest.fixture
def files(monkeypatch):
    """The fake torchvision.datasets, to be filled."""
    datasets = Files()
    module = ModuleType("torchvision")
    module.datasets = datasets
    monkeypatch.setitem(sys.modules, "torchvision", module)
    return datasets


@pytest.fixture(autouse=True)
def one_thread():
    """Tensors are so small here that threads on busy cores wait for each other longer than they work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
