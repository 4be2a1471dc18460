"""Every backend that can be tried here, its server once for all tests, and processes to put on it.

Each hazard is shown where it can show itself, and no more often. `HOLDFAST_HAZARDS=all pytest tests/hazards` tries
every hazard on every backend, twice as often each; `python -m holdfast.testing.campaign --store redis` (or postgres,
sqlite, a URL) kills bots at random points for as long as it is let.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path

import pytest

from holdfast.testing.servers.park import KINDS, Kind, Park
from holdfast.testing.trial import Ground
from tests.conftest import in_memory
from tests.crash.conftest import Grounds, count_kills, trials_folder
from tests.hazards.crowd import Crowd

__all__ = ("count_kills", "trials_folder")


NAMES = tuple(KINDS)
SHARED = tuple(name for name in NAMES if KINDS[name].shared)
SERVED = tuple(name for name in NAMES if KINDS[name].server)
REAL = tuple(name for name in NAMES if KINDS[name].shows_durability)
"""Those that are what users run: the others are tried a little, and show nothing of durability."""
ALL = os.environ.get("HOLDFAST_HAZARDS") == "all"
"""Whether every hazard is tried on every backend."""
QUICK = "connect_timeout=1&read_timeout=1&commit_timeout=1"
DRIVERS = [module for kind in KINDS.values() for module in kind.drivers]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.crash)


def backends(*names: str, of: Sequence[str] = ()) -> list[object]:
    """Return the parameters of a test over these backends, and over all `of` where everything is asked for.

    Each is skipped where its server is not installed.
    """
    chosen = of if ALL and of else names
    return [
        pytest.param(name, marks=[pytest.mark.server(name)] if KINDS[name].server else []) for name in chosen
    ]


def points_of(kind: Kind) -> list[str]:
    """Return the crash points of a backend."""
    return sorted(import_module(kind.points).POINTS)


def quick(url: str) -> str:
    """Return a URL with time-outs that a test can wait for."""
    options = {"file:": "", "adapter:": "", "sqlite:": "busy_timeout=0.3"}.get(
        f"{url.partition(':')[0]}:", QUICK
    )
    return f"{url}{'&' if '?' in url else '?'}{options}" if options else url


def much(backend: str, count: int) -> int:
    """Return how much is to be asked of a backend: little of one that is slow and shows nothing."""
    count *= 2 if ALL else 1
    return count if backend in REAL else max(count // 4, 1)


def both(names: Sequence[str], others: Sequence[str]) -> list[str]:
    """Return the names that are among the others too."""
    return [name for name in names if name in others]


def trials_of(park: Park, backend: str) -> str:
    """Return what `Ground.trial` makes stores of, for a backend."""
    return park.server(backend).url if KINDS[backend].server else f"{backend}:"


@pytest.fixture(scope="session")
def grounds(trials_folder: str, crowd: Crowd) -> Iterator[Grounds]:
    with ExitStack() as stack:
        grounds = [Ground(folder=trials_folder, nursery=crowd.nursery) for _ in range(2)]
        yield Grounds([stack.enter_context(ground) for ground in grounds])


@pytest.fixture(scope="session")
def park() -> Iterator[Park]:
    with Park(folder=in_memory()) as park:
        yield park


@pytest.fixture(scope="session")
def crowd() -> Iterator[Crowd]:
    with Crowd(8, preload=DRIVERS) as crowd:
        yield crowd
