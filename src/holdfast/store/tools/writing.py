"""One round of a copy: what the target lacks, in bounded batches, each one commit that checks that the copy is ours."""

from collections.abc import Sequence
from typing import Final

from holdfast import points
from holdfast.errors import Conflict, Corrupt, StoreInUse, Unavailable
from holdfast.store.base import ABSENT, Append, Change, Check, Delete, Put, Record, Store
from holdfast.store.tools.comparing import merged
from holdfast.store.tools.contents import (
    Fingerprint,
    Seen,
    Tell,
    canonical,
    event_at,
    names_of,
    paged,
    records_of,
)
from holdfast.store.tools.mark import MARK_KEY
from holdfast.system import Clock, Ids

__all__ = ("Writer", "settled")

MOST_CHANGES: Final = 256
MOST_BYTES: Final = 1 << 20
ATTEMPTS: Final = 5
FIRST_PAUSE: Final = 0.2


async def settled(store: Store, changes: Sequence[Change], *, clock: Clock, ids: Ids) -> str:
    """Commit, again under the same id where the outcome is unknown or the store is away for a moment.

    Raises Unavailable after bounded attempts; a Conflict becomes StoreInUse: somebody else writes here.
    """
    commit_id, pause = ids(), FIRST_PAUSE
    for attempt in range(ATTEMPTS):
        try:
            return await store.commit(changes, commit_id=commit_id)
        except Unavailable as error:
            if attempt == ATTEMPTS - 1 or not error.facts.get("retryable", True):
                raise
        except Conflict as error:
            raise StoreInUse(
                f"somebody else writes to {store.url} ({error.key.entity_name} {error.key.entity_id} has changed): "
                "stop that first, then run this again; it goes on where it was",
                pid=0,
                host="?",
                since=0,
            ) from error
        await clock.sleep(pause)
        pause *= 2
    raise AssertionError("unreachable")


class Writer:
    """Brings the target up to the source, once; `written` counts its changes."""

    def __init__(
        self, source: Store, target: Store, version: str, *, clock: Clock, ids: Ids, tell: Tell
    ) -> None:
        self._source, self._target = source, target
        self._check = Check(MARK_KEY, version)
        self._clock, self._ids, self._tell = clock, ids, tell
        self._batch: list[Change] = []
        self._bytes = 0
        self.written = 0

    async def run(self) -> Fingerprint:
        """Write what differs, and return what was seen of the source."""
        seen = Seen()
        names, there = await names_of(self._source), await names_of(self._target)
        await self._check_streams(names.streams, there.streams)
        for name in sorted({*names.entities, *there.entities}):
            await self._entities(name, seen)
        for stream in names.streams:
            await self._stream(stream, seen)
        await self._flush()
        return seen.fingerprint()

    async def _entities(self, name: str, seen: Seen) -> None:
        async for one, other in merged(records_of(self._source, name), paged(self._target, name)):
            if one is not None:
                seen.record(one.key, one.version)
            await self._entity(one, other)
            self._tell("copied", 1)

    async def _entity(self, one: Record | None, other: Record | None) -> None:
        if one is None:
            assert other is not None
            await self._add(Delete(other.key, other.version), 0)
            return
        data = canonical(one.value)
        if other is None:
            await self._add(Put(one.key, one.value, ABSENT), len(data))
        elif data != canonical(other.value):
            await self._add(Put(one.key, one.value, other.version), len(data))

    async def _stream(self, stream: str, seen: Seen) -> None:
        number = await self._from(self._target, stream)
        self._tell("copied", number)
        async for event in self._source.read(stream, after=number):
            number = event.number
            await self._add(Append(stream, event.value), len(canonical(event.value)))
            self._tell("copied", 1)
        seen.stream(stream, number)

    @staticmethod
    async def _from(target: Store, stream: str) -> int:
        """Return the number of the newest event that is there already."""
        return await target.last_number(stream)

    async def _check_streams(self, names: Sequence[str], there: Sequence[str]) -> None:
        """Raise Corrupt where a stream of the target is not a beginning of the source's: nothing is written then."""
        known = set(names)
        for stream in there:
            if stream not in known:
                raise self._other_stream(stream, "which the source does not have")
            await self._check_newest(stream)

    async def _check_newest(self, stream: str) -> None:
        number = await self._target.last_number(stream)
        theirs, ours = [await event_at(store, stream, number) for store in (self._source, self._target)]
        if theirs is None or ours is None or canonical(theirs.value) != canonical(ours.value):
            raise self._other_stream(stream, f"whose event {number} is another one than the source's")

    def _other_stream(self, stream: str, what: str) -> Corrupt:
        message = f"{self._target.url} has a stream {stream!r}, {what}: copy to an empty store"
        return Corrupt(message, key=None, reason="another stream", path=None)

    async def _add(self, change: Change, size: int) -> None:
        if len(self._batch) >= MOST_CHANGES or (self._batch and self._bytes + size > MOST_BYTES):
            await self._flush()
        self._batch.append(change)
        self._bytes += size

    async def _flush(self) -> None:
        if not self._batch:
            return
        points.reached("copy.committing")
        await settled(self._target, [self._check, *self._batch], clock=self._clock, ids=self._ids)
        points.reached("copy.committed")
        self.written += len(self._batch)
        self._batch, self._bytes = [], 0
