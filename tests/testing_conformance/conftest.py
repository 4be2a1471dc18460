from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.testing.conformance import Bench
from holdfast.testing.conformance.classes import shared_bench
from tests.cli.builders import Here


@pytest.fixture(scope="session")
def bench() -> Bench:
    """What forks children, for all tests here."""
    return shared_bench()


@pytest.fixture(scope="session")
def quick_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in memory, where there is one: kills are survived there as on a disk."""
    import tempfile

    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str]) -> Here:
    """Commands, run in this process."""
    return Here(capsys)
