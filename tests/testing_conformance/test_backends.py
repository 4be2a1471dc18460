"""The short form of `make conformance`: all levels that each backend and setting claims, a little of each.

And the class of tests that an author of four methods gets, on such an adapter.
"""

import functools
import gc
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.testing.conformance import Level, Pace, PersistConformance, Subject, examine
from holdfast.testing.conformance.checks import NotShown
from holdfast.testing.conformance.four_methods import subject_of
from holdfast.testing.evidence.backends import BACKENDS, backend
from holdfast.testing.powercut import FILE_SYSTEMS, LoopDisk, NoDisk
from holdfast.testing.powercut.room import MemoryDisk
from tests.conftest import need_servers

SHORT = Pace(times=0.25, limit=300.0)
SERVERS = {"redis": ["redis"], "postgres": ["postgres"], "mongo": ["mongo"]}
MODEST = {"memory", "mongo", "redis-everysec", "postgres-off"}
"""Those whose settings let a crash lose what was acknowledged: they claim three levels, and say so."""

STAND_IN = {"mongo": [Level.CORE, Level.ATOMIC]}
"""What is asked here of a server that is none: it does one thing at a time, and slowly."""

DISKS = {"power-cut", "server-power-cut", "disk-full", "no-more-files"}
"""Checks that need disks of their own, which not every machine may mount."""


@functools.cache
def lacks_disks() -> str:
    """Return why this machine can mount no disks; "" where it can."""
    try:
        with MemoryDisk():
            pass
        for file_system in FILE_SYSTEMS:
            with LoopDisk(file_system):
                pass
    except NoDisk as error:
        return str(error)
    return ""


def servers_of(name: str) -> list[str]:
    return [kind for kind in SERVERS if kind in name]


@pytest.mark.crash
@pytest.mark.needs("strace")
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings(
    "ignore::ResourceWarning"
)  # a cancelled connect of pymongo leaves its socket to the collector
@pytest.mark.parametrize("name", list(BACKENDS))
def test_every_backend_keeps_what_it_claims(
    name: str, record_property: Callable[[str, object], None]
) -> None:
    need_servers(*servers_of(name))
    try:
        with backend(name) as subject:
            report = examine(subject, levels=STAND_IN.get(name), pace=SHORT)
        gc.collect()
    except NotShown as why:
        pytest.skip(str(why))
    for result in report.results:
        for what, count in result.counts.items():
            record_property(what, count)
    wrong = {
        result.name: (result.state, result.said, result.history)
        for result in report.results
        if result.state in ("broken", "not shown")
    }
    unshown = {name for name, (state, _, _) in wrong.items() if state == "not shown"} & DISKS
    if unshown and lacks_disks():
        assert wrong.keys() == unshown, wrong
        pytest.skip(f"all is kept but what needs disks: {lacks_disks()}")
    assert wrong == {}
    assert all(report.level(level) == "kept" for level in STAND_IN.get(name, report.claims))
    assert Level.CRASH_SAFE in report.claims or name in MODEST


class TestFourMethods(PersistConformance):
    levels, pace = frozenset({Level.CORE}), SHORT
    lacks = ("shared", "reader", "served", "replica", "replica-adapter")
    without = ("scan-pages", "scan-while-changing", "names-apart")  # a file each: they take seconds

    @pytest.fixture
    def subject(self, quick_folder: Path) -> Subject:
        return subject_of("holdfast.testing.own_adapter:FourMethods", base_dir=str(quick_folder / "four"))
