"""Whether two stores hold the same portfolio: every value, every event, exactly; versions are each store's own."""

from collections.abc import AsyncIterator
from typing import TypeVar

from msgspec import Struct

from holdfast.store.base import Event, Record, Store
from holdfast.store.tools.contents import Fingerprint, Seen, Tell, canonical, names_of, records_of, untold

__all__ = ("Difference", "compared", "differences", "merged")

T = TypeVar("T")
MOST = 20


class Difference(Struct, frozen=True):
    """One thing that is not the same in two stores: an entity by name and id, or an event by stream and number."""

    name: str
    which: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} {self.which}: {self.reason}"


async def differences(one: Store, other: Store, *, most: int = MOST, tell: Tell = untold) -> list[Difference]:
    """Return how the portfolios of two open stores differ, `most` findings at most, nothing where they are equal."""
    return (await compared(one, other, most=most, tell=tell))[1]


async def compared(
    one: Store, other: Store, *, most: int = MOST, tell: Tell = untold
) -> tuple[Fingerprint, list[Difference]]:
    """Return what was seen of the first store, and how the other one differs from it."""
    pass_ = _Pass(one, other, most, tell)
    names, others = await names_of(one), await names_of(other)
    for name in sorted({*names.entities, *others.entities}):
        await pass_.entities(name)
    for stream in sorted({*names.streams, *others.streams}):
        await pass_.stream(stream)
    return pass_.seen.fingerprint(), pass_.found


class _Pass:
    """One pass over both stores."""

    def __init__(self, one: Store, other: Store, most: int, tell: Tell) -> None:
        self._one, self._other = one, other
        self._most = most
        self._tell = tell
        self.seen = Seen()
        self.found: list[Difference] = []

    async def entities(self, name: str) -> None:
        async for one, other in merged(records_of(self._one, name), records_of(self._other, name)):
            if one is not None:
                self.seen.record(one.key, one.version)
            self._judge(name, _id(one or other), one, other)
            self._tell("compared", 1)

    async def stream(self, name: str) -> None:
        length = 0
        others = self._other.read(name)
        async for event in self._one.read(name):
            length += 1
            self._judge(name, str(event.number), event, await anext(others, None))
            self._tell("compared", 1)
        if (more := await anext(others, None)) is not None:
            self._judge(name, str(more.number), None, more)
        if length:
            self.seen.stream(name, length)

    def _judge(self, name: str, which: str, one: Record | Event | None, other: Record | Event | None) -> None:
        if len(self.found) < self._most and (reason := _reason(one, other)):
            self.found.append(Difference(name, which, reason))


def _id(record: Record | None) -> str:
    return "" if record is None else record.key.entity_id


def _reason(one: Record | Event | None, other: Record | Event | None) -> str:
    if one is None or other is None:
        return "is only in the second" if one is None else "is only in the first"
    if isinstance(one, Event) and isinstance(other, Event) and one.number != other.number:
        return f"has the number {other.number} in the second"
    return "" if canonical(one.value) == canonical(other.value) else "has another value"


async def merged(
    one: AsyncIterator[Record], other: AsyncIterator[Record]
) -> AsyncIterator[tuple[Record | None, Record | None]]:
    """Yield the records of two scans side by side, by id; None where one of them has none of that id."""
    left, right = await anext(one, None), await anext(other, None)
    while left is not None or right is not None:
        first = min(record.key.entity_id for record in (left, right) if record is not None)
        pair = (
            left if left is not None and left.key.entity_id == first else None,
            right if right is not None and right.key.entity_id == first else None,
        )
        yield pair
        left = await anext(one, None) if pair[0] is not None else left
        right = await anext(other, None) if pair[1] is not None else right
