"""Holdfast's own backends that need no server, and a small adapter: every check of every level, a few tries of each.

Those with servers are examined by `holdfast conform redis`, `postgres` and `mongo`.
"""

from pathlib import Path

import pytest

from holdfast.testing.conformance import Level, Pace, PersistConformance, StoreConformance, Subject
from holdfast.testing.conformance.four_methods import subject_of
from holdfast.testing.conformance.subject import IN_MEMORY

SHORT = Pace(times=0.5, limit=60.0)
SHOWN = frozenset({Level.CORE, Level.ATOMIC, Level.CONCURRENT, Level.CRASH_SAFE})


class TestMemory(StoreConformance):
    levels, pace, lacks = IN_MEMORY, SHORT, ("again", "elsewhere")

    @pytest.fixture
    def subject(self) -> Subject:
        return Subject.of_url("memory:")


@pytest.mark.crash
@pytest.mark.needs("strace")
class TestFile(StoreConformance):
    levels, pace, lacks = SHOWN, SHORT, ("shared", "served", "replica")

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Subject:
        return Subject.of_url(f"file:{tmp_path}/data")


@pytest.mark.crash
@pytest.mark.needs("strace")
class TestSqlite(StoreConformance):
    levels, pace, lacks = SHOWN, SHORT, ("alone", "reader", "served", "replica")

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Subject:
        return Subject.of_url(f"sqlite:///{tmp_path}/state.db")


@pytest.mark.crash
@pytest.mark.needs("strace")
class TestFourMethods(PersistConformance):
    levels, pace, lacks = SHOWN, SHORT, ("shared", "reader", "served", "replica", "replica-adapter")
    without = ("scan-pages", "scan-while-changing", "names-apart")  # a file each: they take seconds

    @pytest.fixture
    def subject(self, quick_folder: Path) -> Subject:
        return subject_of("holdfast.testing.own_adapter:FourMethods", base_dir=str(quick_folder / "four"))
