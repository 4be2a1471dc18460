"""What the kit must not pass over, and whom it must not accuse."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from holdfast.errors import InvalidOption, Unavailable
from holdfast.store import Change, Check, CommitId, Event
from holdfast.store.backends.memory import MemoryStore
from holdfast.testing.conformance import (
    Bench,
    Broken,
    Case,
    Level,
    NotShown,
    Pace,
    Result,
    StoreConformance,
    Subject,
    examine,
    fault_calls,
    fault_flushes,
    killed,
    served,
)
from holdfast.testing.conformance.checks import all_checks, check
from holdfast.testing.conformance.faulted import under_strace
from holdfast.testing.conformance.judging import decided, explained
from holdfast.testing.conformance.places import tidy
from holdfast.testing.conformance.subject import Found
from holdfast.testing.crash import Life
from holdfast.testing.linear import Operation

LITTLE = Pace(times=0.1, limit=60.0)


def checked(name: str, subject: Subject, bench: Bench) -> Result:
    """Return what came of one check."""
    (result,) = examine(subject, only=[name], bench=bench, pace=LITTLE).results
    return result


class SixtyFourBits(MemoryStore):
    """Takes numbers that a database has room for."""

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> AsyncIterator[Event]:
        if not -(2**63) <= after < 2**63:
            raise OverflowError(f"{after} is out of range")
        async for event in super().read(stream, after=after, limit=limit):
            yield event


def test_a_stream_starts_at_any_number(bench: Bench) -> None:
    subject = Subject.of_factory(lambda namespace: SixtyFourBits(namespace=namespace), keeps=False)
    assert "OverflowError" in checked("streams", subject, bench).said


class Deadlocks(MemoryStore):
    """Fails, by an error that is none of a store's, whatever is to be checked beside others."""

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        if any(isinstance(one, Check) for one in changes):
            raise RuntimeError("deadlock detected")
        return await super().commit(changes, commit_id=commit_id, vital=vital)


def test_two_that_both_fail_have_not_kept_a_promise(bench: Bench) -> None:
    subject = Subject.of_factory(lambda namespace: Deadlocks(namespace=namespace), keeps=False)
    result = checked("checks-hold", subject, bench)
    assert (result.state, "deadlock detected" in result.said) == ("broken", True)


@pytest.fixture
def case(bench: Bench) -> Case:
    (check,) = (one for one in all_checks() if one.name == "linear-one-key")
    return Case(Subject.of_store(MemoryStore()), check, bench, seed=0, pace=LITTLE)


def test_a_history_that_is_too_much_to_be_judged_accuses_nobody(case: Case) -> None:
    unknown = [
        Operation(client="c", start=i, end=None, puts={"x": str(i)}, id=f"commit-{i}") for i in range(9)
    ]
    seen = [Operation(client="d", start=99 + i, end=99.5 + i, saw={"x": str(i)}) for i in range(9)]
    asyncio.run(explained(case, unknown + seen))
    assert case.counts == {"undecided": 1, "operations": 18}
    with pytest.raises(NotShown):
        decided(case)


def test_who_is_away_for_a_while_is_not_accused_and_who_stays_away_is(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "PATIENCE", 100.0)
    left = itertools.count(2 * served.LEAST, -1)

    async def back_soon() -> str:
        if next(left):
            raise Unavailable("it connects again", unknown=True)
        return "done"

    async def never() -> str:
        raise Unavailable("it does not connect", unknown=True)

    monkeypatch.setattr(served, "PAUSE", 0.0)
    assert asyncio.run(served.insisted(case, "a commit", back_soon)) == "done"
    monkeypatch.setattr(served, "PATIENCE", 0.01)
    with pytest.raises(Broken, match="a commit is Unavailable"):
        asyncio.run(served.insisted(case, "a commit", never))


class NotAgain(MemoryStore):
    """Can be opened once only, in all of its namespaces."""

    opened = 0

    async def open(self) -> None:
        NotAgain.opened += 1
        if NotAgain.opened > 1:
            raise Unavailable("it opened once")
        await super().open()


def test_what_a_store_said_that_does_not_open_is_shown(bench: Bench) -> None:
    subject = Subject.of_factory(lambda namespace: NotAgain(namespace=namespace), keeps=False)
    assert checked("stateful", subject, bench).said == "it opened once"


@pytest.mark.crash
@pytest.mark.needs("strace")
def test_where_nothing_was_done_to_it_nothing_is_shown(
    bench: Bench, quick_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No call is made to fail, and no process gets killed: the store cannot have shown anything."""
    subject = Subject.of_url(f"file:{quick_folder}/nothing", claims=list(Level))
    never = "fsync:error=EIO:when=9999"
    monkeypatch.setattr(fault_calls, "_faults", lambda case, calls: [never])
    assert checked("calls-refused", subject, bench).state == "not shown"
    monkeypatch.setattr(killed, "_instants", lambda trace: [])
    assert checked("killed-before-calls", subject, bench).state == "not shown"
    monkeypatch.setattr(fault_flushes, "_flushes", lambda case, trace: [never])
    assert checked("flush-failed", subject, bench).state == "not shown"


def test_a_process_that_the_tracer_reached_too_late_shows_nothing(tmp_path: Path) -> None:
    """On a machine that stood still it may have given up before anybody looked for it."""

    async def gave_up() -> Life:
        return Life(ended="raised", error="TimeoutError", message="nobody traces this process")

    with pytest.raises(NotShown):
        asyncio.run(under_strace(tmp_path / "pid", gave_up(), []))


def test_what_was_made_at_an_odd_place_is_removed(tmp_path: Path) -> None:
    (tmp_path / "state[1].db.run-wal").touch()
    tidy([str(tmp_path / "state[1].db.run")], [])
    assert list(tmp_path.iterdir()) == []


def test_a_class_below_another_looks_at_its_own_store(tmp_path: Path) -> None:
    class Above(StoreConformance):
        found: ClassVar[Found | None] = Found(url="of another store", shared=True)

    class Below(Above):
        pass

    (empty,) = (one for one in all_checks(Level.CORE) if one.name == "empty")
    subject = Subject.of_store(MemoryStore())
    Below().test_conforms(empty, subject)
    assert subject.found.url == "memory:"
    assert Above.found is not None
    assert Above.found.url == "of another store"


def test_a_check_that_needs_what_nobody_knows_is_refused() -> None:
    with pytest.raises(InvalidOption, match="needs what is not known: servd"):
        check(Level.CORE, promise="x", needs=("served", "servd"))


@pytest.mark.crash
def test_a_start_that_is_refused_after_a_kill_is_not_passed_over(bench: Bench, tmp_path: Path) -> None:
    """The next start but one finds all: the check looks only then."""
    startled, folder = "tests.testing_conformance.faulty:startled", {"folder": str(tmp_path)}
    subject = Subject.of_call(startled, folder, name="startled")
    (result,) = examine(
        subject, only=["killed-at-points"], bench=bench, pace=Pace(times=10.0, limit=60.0)
    ).results
    assert result.state == "broken"
    assert "after a kill the next start raised: Unavailable it was killed" in result.said
