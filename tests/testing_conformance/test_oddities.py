"""Each of the small lies is caught by the check whose promise it breaks; the same without a lie is not."""

from functools import partial
from pathlib import Path

import pytest

from holdfast.store import Store, open_store
from holdfast.store.backends.memory import MemoryStore
from holdfast.testing.conformance import Bench, Level, Pace, Report, Subject, examine
from holdfast.testing.conformance.four_methods import subject_of
from holdfast.testing.conformance.subject import IN_MEMORY
from tests.testing_conformance import oddities

PACE = Pace(times=0.5, limit=60.0)

CAUGHT = {
    "LastCounted": "repeated-ids",
    "PageSkips": "long-streams",
    "NewVersion": "repeated-ids",
    "NameGoesFirst": "deleting",
    "SharesScanned": "own-values",
    "StaleScan": "deleting",
    "Cuts": "big-values",
    "TooBig": "big-values",
    "InParts": "many-changes",
    "OnceEach": "put-and-get",
    "ExpectsTheDead": "expectations",
    "EmptyIsNothing": "repeated-ids",
    "RefusedIsDone": "repeated-ids",
    "FewIds": "many-ids",
    "GetsInParts": "many-seen-whole",
}


def in_memory(kind: str, namespace: str) -> Store:
    found = getattr(oddities, kind)
    if issubclass(found, MemoryStore):
        return found(namespace=namespace)  # type: ignore[no-any-return]
    return found(MemoryStore(namespace=namespace))  # type: ignore[no-any-return]


def examined(kind: str, checks: list[str], bench: Bench) -> Report:
    make = partial(in_memory, kind)
    subject = Subject.of_factory(make, name=kind, claims=IN_MEMORY, keeps=False)
    return examine(subject, only=checks, bench=bench, pace=PACE, seed=7)


@pytest.mark.parametrize("kind", CAUGHT)
def test_a_small_lie_is_caught(kind: str, bench: Bench) -> None:
    (result,) = examined(kind, [CAUGHT[kind]], bench).results
    assert result.state == "broken", result.said


@pytest.mark.parametrize("kind", ["MemoryStore", "Remembers"])
def test_without_the_lie_nothing_is_found(kind: str, bench: Bench) -> None:
    report = examined(kind, sorted(set(CAUGHT.values())), bench)
    assert {result.state for result in report.results} == {"kept"}


@pytest.mark.parametrize(("kind", "state"), [("Remembers", "kept"), ("LastKept", "broken")])
def test_a_last_number_that_is_kept_is_not_what_others_find(
    kind: str, state: str, bench: Bench, quick_folder: Path
) -> None:
    def make(namespace: str) -> Store:
        found: Store = getattr(oddities, kind)(
            open_store(f"sqlite:///{quick_folder}/{kind}.db", namespace=namespace)
        )
        return found

    subject = Subject.of_factory(make, name=kind, claims=IN_MEMORY)
    (result,) = examine(subject, only=["seen-by-others"], bench=bench, pace=PACE).results
    assert result.state == state, result.said


@pytest.mark.crash
@pytest.mark.parametrize(("kind", "state"), [("Durable", "kept"), ("UnreadIsAbsent", "broken")])
def test_what_cannot_be_read_is_not_taken_for_absent(
    kind: str, state: str, bench: Bench, quick_folder: Path
) -> None:
    adapter = f"tests.testing_conformance.oddities:{kind}"
    subject = subject_of(adapter, base_dir=str(quick_folder / kind), claims=[Level.FAULT_TOLERANT])
    (result,) = examine(subject, only=["unread-not-absent"], bench=bench, pace=PACE).results
    assert result.state == state, result.said
