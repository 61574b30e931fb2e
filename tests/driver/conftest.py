import pytest

from binding import Driver
from job import job


@pytest.fixture(scope="session")
def driver(tmp_path_factory) -> Driver:
    """The compiled driver with the definitions of the job."""
    return Driver(tmp_path_factory.mktemp("driver"), job().definitions())
