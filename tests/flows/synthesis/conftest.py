"""What several tests of synthesis need."""

import pytest

from adagp_flows.synthesis import tools


@pytest.fixture
def no_vivado(monkeypatch):
    """Without what is on PATH but in the system's folders."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    tools.find.cache_clear()
    yield
    tools.find.cache_clear()
