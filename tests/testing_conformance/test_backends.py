"""The short form of `make conformance`: all levels that each backend and setting claims, a little of each.

And the class of tests that an author of four methods gets, on such an adapter.
"""

import gc
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.testing.conformance import Level, Pace, PersistConformance, Subject, examine
from holdfast.testing.conformance.checks import NotShown
from holdfast.testing.conformance.four_methods import subject_of
from holdfast.testing.evidence.backends import BACKENDS, backend
from tests.conftest import need_servers

SHORT = Pace(times=0.25, limit=300.0)
SERVERS = {"redis": ["redis"], "postgres": ["postgres"], "mongo": ["mongo"]}
MODEST = {"memory", "mongo", "redis-everysec", "postgres-off"}
"""Those whose settings let a crash lose what was acknowledged: they claim three levels, and say so."""


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
            report = examine(subject, pace=SHORT)
        gc.collect()
    except NotShown as why:
        pytest.skip(str(why))
    for result in report.results:
        for what, count in result.counts.items():
            record_property(what, count)
    assert {
        result.name: (result.state, result.said, result.history)
        for result in report.results
        if result.state in ("broken", "not shown")
    } == {}
    assert all(report.level(level) == "kept" for level in report.claims)
    assert Level.CRASH_SAFE in report.claims or name in MODEST


class TestFourMethods(PersistConformance):
    levels, pace = frozenset({Level.CORE}), SHORT
    lacks = ("shared", "reader", "served", "replica", "replica-adapter")
    without = ("scan-pages", "scan-while-changing", "names-apart")  # a file each: they take seconds

    @pytest.fixture
    def subject(self, quick_folder: Path) -> Subject:
        return subject_of("holdfast.testing.own_adapter:FourMethods", base_dir=str(quick_folder / "four"))
