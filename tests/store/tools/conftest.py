"""Servers that the tests of the tools share."""

from collections.abc import Iterator

import pytest

from holdfast.testing.servers.park import Park
from tests.conftest import in_memory


@pytest.fixture(scope="session")
def park() -> Iterator[Park]:
    """A server of each kind, started when it is first needed."""
    with Park(folder=in_memory()) as park:
        yield park
