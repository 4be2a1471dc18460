"""Comparing a replica with its primary while both move: what differs is looked at again until neither has moved."""

from collections.abc import AsyncIterator
from itertools import count
from typing import Final

from msgspec import Struct

from holdfast.errors import Diverged, StoreError
from holdfast.store.base import Key, Record, Store
from holdfast.store.wrappers.replicated.follower import Follower
from holdfast.store.wrappers.replicated.outbox import WORKERS, Outbox
from holdfast.store.wrappers.replicated.records import is_ours
from holdfast.store.wrappers.replicated.seeding import COPIED
from holdfast.system import Clock

__all__ = ("Verified", "verify")

MOST: Final = 100
PAGE: Final = 500
PATIENCE: Final = 60.0


class Verified(Struct, frozen=True, kw_only=True):
    """What a comparison saw: `differences`, a sentence each (the first hundred), of so many records and events.

    `number` is the commit up to which the replica was when it began. `error` says why it could not be compared.
    """

    url: str
    namespace: str
    number: int = 0
    records: int = 0
    events: int = 0
    differences: tuple[str, ...] = ()
    error: str | None = None

    @property
    def equal(self) -> bool:
        """Whether the replica is what the primary is."""
        return self.error is None and not self.differences


async def verify(outbox: Outbox, follower: Follower, clock: Clock) -> Verified:
    """Compare all records, their versions, and all events; a replica that cannot be read is an `error`."""
    url, namespace = follower.store.url, follower.store.namespace
    comparing = Comparing(outbox, follower, clock)
    try:
        await comparing.run()
    except StoreError as error:
        return Verified(url=url, namespace=namespace, error=str(error))
    return Verified(
        url=url, namespace=namespace, number=comparing.number, records=comparing.records, events=comparing.events,
        differences=tuple(comparing.differences),
    )  # fmt: skip


class Comparing:
    """One comparison, and what it has found so far."""

    def __init__(self, outbox: Outbox, follower: Follower, clock: Clock) -> None:
        self.number = self.records = self.events = 0
        self.differences: list[str] = []
        self._outbox = outbox
        self._follower = follower
        self._primary: Store = outbox.store
        self._replica: Store = follower.store
        self._clock = clock

    async def run(self) -> None:
        """Compare everything; raises Diverged where the replica does not follow, Unavailable."""
        self.number = await self._level()
        ours, theirs = await self._primary.names(), await self._replica.names()
        for name in sorted({*ours.entities, *theirs.entities}):
            if not is_ours(name) and name != WORKERS and not self._enough:  # heartbeats are not repeated
                await self._records(name)
        for stream in sorted({*ours.streams, *theirs.streams}):
            if not is_ours(stream) and not self._enough:
                await self._stream(stream)

    @property
    def _enough(self) -> bool:
        return len(self.differences) >= MOST

    async def _level(self) -> int:
        """Wait until the replica has all that the primary has now, and return how much that is."""
        length, limit = await self._outbox.length(), self._clock.monotonic() + PATIENCE
        while True:
            position = self._follower.position
            if position is not None and position.is_whole and position.number >= length:
                return length
            if self._follower.error is not None:
                raise Diverged(
                    f"the replica does not follow: {self._follower.error}"
                ) from self._follower.error
            if self._clock.monotonic() > limit:
                raise Diverged(f"the replica did not come to commit {length} in {PATIENCE:g} s")
            await self._clock.sleep(0.01)

    async def _records(self, name: str) -> None:
        async for key in _either(self._primary, self._replica, name):
            self.records += 1
            await self._record(key)
            if self._enough:
                return

    async def _record(self, pair: "Pair") -> None:
        ours, theirs = pair.ours, pair.theirs
        for _ in range(10):
            if _same(ours, theirs):
                return
            await self._level()
            [theirs] = await self._replica.get(pair.key)
            [again] = await self._primary.get(pair.key)
            if _same(again, theirs):
                return
            if again == ours:  # it has not moved meanwhile, and the replica had the time
                break
            ours = again
        self._differs(f"{pair.key.entity_name}/{pair.key.entity_id}", ours, theirs)

    def _differs(self, what: str, ours: object, theirs: object) -> None:
        self.differences.append(f"{what}: the primary has {ours!r:.200}, the replica {theirs!r:.200}")

    async def _stream(self, stream: str) -> None:
        length = await self._primary.last_number(stream)
        await self._level()
        for after in range(0, length, PAGE):
            limit = min(PAGE, length - after)
            ours = [event async for event in self._primary.read(stream, after=after, limit=limit)]
            theirs = {
                event.number: event async for event in self._replica.read(stream, after=after, limit=limit)
            }
            for event in ours:
                other = theirs.get(event.number)
                self.events += 1
                if other is None or not _alike(event.value, event.version, other.value, other.version):
                    self._differs(f"event {event.number} of {stream}", event, other)
                    return  # the rest of a stream that parted differs too
        theirs_last = await self._replica.last_number(stream)
        ours_last = await self._primary.last_number(stream)  # read last: the replica is never ahead
        if theirs_last > ours_last:
            self._differs(f"the length of {stream}", ours_last, theirs_last)


class Pair(Struct, frozen=True):
    """A key, and what both have there."""

    key: Key
    ours: Record | None
    theirs: Record | None


async def _either(primary: Store, replica: Store, name: str) -> AsyncIterator[Pair]:
    """Yield every key that one of the two has, a page of each at a time."""
    after: str | None = None
    for _ in count():
        ours = {r.key.entity_id: r async for r in primary.scan(name, after=after, limit=PAGE)}
        theirs = {r.key.entity_id: r async for r in replica.scan(name, after=after, limit=PAGE)}
        ids = sorted({*ours, *theirs})[:PAGE]  # of a later id, the other one's page may not tell
        if not ids:
            return
        for entity_id in ids:
            yield Pair(Key(name, entity_id), ours.get(entity_id), theirs.get(entity_id))
        after = ids[-1]


def _same(ours: Record | None, theirs: Record | None) -> bool:
    if ours is None or theirs is None:
        return ours is theirs
    return _alike(ours.value, ours.version, theirs.value, theirs.version)


def _alike(ours: object, our_version: str, theirs: object, their_version: str) -> bool:
    """Whether two values are exactly equal (1 and True are not), and their versions, where these were not copied."""
    exact = repr(ours) == repr(theirs) if ours == theirs else False
    return exact and (
        our_version == their_version or COPIED in (our_version[: len(COPIED)], their_version[: len(COPIED)])
    )
