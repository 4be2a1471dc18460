"""For pytest: subclass one of these, give a `subject`, and each check is a test.

class TestMine(StoreConformance):
    @pytest.fixture
    def subject(self, tmp_path: Path) -> Subject:
        return Subject.of_call("my_backend.testing:store", {"folder": str(tmp_path)})
"""

import asyncio
import atexit
import functools
from typing import Any, ClassVar

import pytest

from holdfast.testing.conformance.case import Bench, Pace
from holdfast.testing.conformance.checks import Broken, Check, Level, all_checks
from holdfast.testing.conformance.examining import QUICK, made
from holdfast.testing.conformance.looking import look
from holdfast.testing.conformance.subject import ALL, Found, Subject

__all__ = ("PersistConformance", "StoreConformance", "run_check", "shared_bench")


class StoreConformance:
    """Every check of the levels that are claimed, as a test; what does not apply or cannot be shown is skipped.

    `levels` are those to be checked, `only` and `without` the names of checks; `pace` is how much of each is tried.
    `lacks` is what is known to be missing, as in `check(needs=…)`: what needs it is left out, and not even skipped.
    """

    levels: ClassVar[frozenset[Level]] = ALL
    only: ClassVar[tuple[str, ...]] = ()
    without: ClassVar[tuple[str, ...]] = ()
    lacks: ClassVar[tuple[str, ...]] = ()
    pace: ClassVar[Pace] = QUICK
    seed: ClassVar[int] = 0
    found: ClassVar[Found | None] = None
    """What a store of the class said of itself; the first one is asked."""

    @pytest.fixture
    def subject(self) -> Subject:
        """Return what is examined: override this."""
        raise NotImplementedError("give the class a fixture `subject` that returns a Subject")

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make each check a test."""
        if "holdfast_check" in metafunc.fixturenames:
            found = self.chosen(metafunc.config)
            metafunc.parametrize("holdfast_check", found, ids=[f"{one.level}-{one.name}" for one in found])

    def test_conforms(self, holdfast_check: Check, subject: Subject) -> None:
        """Make one check."""
        if (found := vars(type(self)).get("found")) is None:  # what a class above found was of another store
            found = type(self).found = asyncio.run(look(subject))
        subject.found = found
        run_check(holdfast_check, subject, shared_bench(), seed=self.seed, pace=self.pace)

    @classmethod
    def chosen(cls, config: pytest.Config) -> list[Check]:
        """Return the checks of this class."""
        found = [one for one in all_checks() if one.level in cls.levels and one.name not in cls.without]
        found = [one for one in found if "adapter" not in one.needs or issubclass(cls, PersistConformance)]
        found = [one for one in found if not set(one.needs) & set(cls.lacks)]
        return [one for one in found if not cls.only or one.name in cls.only]


class PersistConformance(StoreConformance):
    """The same for a class of four methods: first each method by itself, then all of a store that is built on it.

    Name the class as "module:Class" in `adapter_class`, or override the fixture `subject`.
    """

    adapter_class: ClassVar[str] = ""

    @pytest.fixture
    def subject(self, tmp_path: Any) -> Subject:
        """Return the store on the class."""
        from holdfast.testing.conformance.four_methods import subject_of

        return subject_of(self.adapter_class, base_dir=str(tmp_path))


@functools.cache
def shared_bench() -> Bench:
    """Return what forks children, for all tests of this process; it ends with that."""
    bench = Bench()
    atexit.register(bench.__exit__)
    return bench


def run_check(check: Check, subject: Subject, bench: Bench, *, seed: int, pace: Pace) -> None:
    """Make a check as the body of a test: it fails with what broke, and skips where nothing is shown."""
    if check.level not in subject.claimed:
        pytest.skip(f"{check.level} is not claimed")
    result = made(check, subject, bench, seed=seed, pace=pace)
    if result.state == "broken":
        error = Broken(result.said, promise=result.promise, history=result.history, seed=seed)
        pytest.fail(str(error), pytrace=False)
    if result.state != "kept":
        pytest.skip(f"{result.state}: {result.said}")
