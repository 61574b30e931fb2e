import sys
from types import ModuleType

import pytest
from torchvision_reader import Files


@pytest.fixture
def files(monkeypatch):
    """The fake torchvision.datasets, to be filled."""
    datasets = Files()
    module = ModuleType("torchvision")
    module.datasets = datasets
    monkeypatch.setitem(sys.modules, "torchvision", module)
    return datasets
