"""Power cuts on a real file system: a seed is a new disk, whose power is cut ten times."""

from collections.abc import Iterator
from contextlib import contextmanager

from holdfast.testing.conformance.checks import NotShown
from holdfast.testing.evidence.ways import Found, Play
from holdfast.testing.powercut.campaign import Tally, play
from holdfast.testing.powercut.disk import missing
from holdfast.testing.servers.process import find

__all__ = ("SEED", "power_cuts")

SEED = "campaign"


@contextmanager
def power_cuts(target: str) -> Iterator[Play]:
    """Yield what cuts the power of a store, or of its server, on a file system: `file-ext4`."""
    name, _, file_system = target.rpartition("-")
    if why := missing(file_system) or _no_server(name):
        raise NotShown(why)
    yield lambda seed: _disk(name, file_system, seed)


def _no_server(name: str) -> str:
    programs = {"redis": "redis-server", "postgres": "postgres"}
    return "" if name not in programs or find(programs[name]) else f"{programs[name]} is not installed"


def _disk(name: str, file_system: str, seed: int) -> Found:
    tally = Tally(target=name, file_system=file_system, seed=SEED)
    for cut in play(name, file_system, SEED, seed):
        tally.count(seed, cut)
    counts = {
        "disks": 1, "cuts": tally.cuts, "acknowledged": tally.acknowledged, "cuts broken": tally.failed,
    }  # fmt: skip
    return Found(counts, tuple(tally.violations))
