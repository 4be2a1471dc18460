"""Two of everything: an exchange, a nursery and a folder for each of this machine's two cores."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

import pytest

from holdfast.testing.trial import Ground

T = TypeVar("T")

MEMORY = Path("/dev/shm")
"""Where there is such a place, trials are held in it: SIGKILL says nothing about the disk anyway."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.crash)


@pytest.fixture(scope="session")
def trials_folder() -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="holdfast-tests-", dir=MEMORY if MEMORY.is_dir() else None)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


class Grounds:
    """A pool of grounds: whoever judges a trial has one of them to itself."""

    def __init__(self, grounds: Sequence[Ground]) -> None:
        self.one = grounds[0]
        self._nurseries = {ground.nursery for ground in grounds}
        self._free: SimpleQueue[Ground] = SimpleQueue()
        self._count = len(grounds)
        for ground in grounds:
            self._free.put(ground)

    @property
    def killed(self) -> int:
        """How many bots were killed on them so far."""
        return sum(nursery.killed for nursery in self._nurseries)

    def judge(self, cells: Sequence[T], judgement: Callable[[Ground, T], str]) -> None:
        """Try all cells, two at a time; fails with what each broken one says."""

        def one(cell: T) -> str:
            ground = self._free.get()
            try:
                said = judgement(ground, cell)
            except Exception as error:
                said = f"{type(error).__name__}: {error}"
            finally:
                self._free.put(ground)
            return f"{cell}: {said}" if said else ""

        with ThreadPoolExecutor(self._count) as pool:
            broken = [said for said in pool.map(one, cells) if said]
        assert not broken, f"{len(broken)} of {len(cells)} cells:\n" + "\n".join(broken)


@pytest.fixture(scope="session")
def grounds(trials_folder: str) -> Iterator[Grounds]:
    with ExitStack() as stack:
        yield Grounds([stack.enter_context(Ground(folder=trials_folder)) for _ in range(2)])


@pytest.fixture(autouse=True)
def count_kills(grounds: Grounds, record_property: Callable[[str, object], None]) -> Iterator[None]:
    before = grounds.killed
    yield
    record_property("kills", grounds.killed - before)
