"""What the kit must not pass over, and whom it must not accuse."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar

from holdfast.store import Event
from holdfast.store.backends.memory import MemoryStore
from holdfast.testing.conformance import Bench, Level, Pace, Result, StoreConformance, Subject, examine
from holdfast.testing.conformance.checks import all_checks
from holdfast.testing.conformance.subject import Found

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
