"""Backends that lie in small things: at the border of a page, after a deletion, on a repetition, by size."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from copy import deepcopy
from typing import Any

from holdfast.errors import Conflict, EntityNotFound, Unavailable
from holdfast.store import Append, Change, Check, CommitId, Delete, Event, Key, Names, Put, Record, Store
from holdfast.store.backends.memory import MemoryStore
from holdfast.store.changes import effects
from holdfast.store.wrappers.base import Wrapper
from tests.testing_conformance.liars import Durable


class Remembers(Wrapper):
    """What all below are made of: `done` is told of each commit that was done. No lie yet."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self.kept: dict[Any, Any] = {}

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        head = self.inner.head
        made = await self.inner.commit(self.before(changes), commit_id=commit_id, vital=vital)
        self.done(changes, made, repeated=self.inner.head == head)
        return made

    def before(self, changes: Sequence[Change]) -> Sequence[Change]:
        return changes

    def done(self, changes: Sequence[Change], made: CommitId, *, repeated: bool) -> None:
        pass


# ------------------------------------------------------------------------------ core


class LastCounted(Remembers):
    """The last number is read once, and from then on counted: a repeated commit counts, too."""

    async def last_number(self, stream: str) -> int:
        if stream not in self.kept:
            self.kept[stream] = await self.inner.last_number(stream)
        number: int = self.kept[stream]
        return number

    def done(self, changes: Sequence[Change], made: CommitId, *, repeated: bool) -> None:
        for change in changes:
            if isinstance(change, Append) and change.stream in self.kept:
                self.kept[change.stream] += 1


class PageSkips(Wrapper):
    """A stream is read in pages, and the next one starts one too far."""

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> AsyncIterator[Event]:
        left = limit
        while page := [event async for event in self.inner.read(stream, after=after, limit=1000)]:
            for event in page[:left]:
                yield event
            left = None if left is None else max(left - len(page), 0)
            after = page[-1].number + 1


class NewVersion(Remembers):
    """A commit that is repeated gives what it had written another version."""

    def done(self, changes: Sequence[Change], made: CommitId, *, repeated: bool) -> None:
        if repeated:
            self.kept[made] = f"{made}-2"

    async def _get(self, get: Any, keys: Sequence[Key]) -> list[Record | None]:
        found: list[Record | None] = await get(*keys)
        return [one and Record(one.key, one.value, self.kept.get(one.version, one.version)) for one in found]


class NameGoesFirst(Remembers):
    """The first record of a name that is deleted takes the name with it."""

    def done(self, changes: Sequence[Change], made: CommitId, *, repeated: bool) -> None:
        self.kept |= {change.key.entity_name: False for change in changes if isinstance(change, Delete)}
        self.kept |= {change.key.entity_name: True for change in changes if isinstance(change, Put)}

    async def names(self) -> Names:
        found = await self.inner.names()
        return Names(tuple(name for name in found.entities if self.kept.get(name)), found.streams)


class SharesScanned(MemoryStore):
    """What a scan has decoded once it gives out again."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._decoded: dict[Key, Record] = {}

    async def scan(
        self, entity_name: str, *, after: str | None = None, limit: int | None = None
    ) -> AsyncIterator[Record]:
        async for record in super().scan(entity_name, after=after, limit=limit):
            kept = self._decoded.get(record.key)
            if kept is None or kept.version != record.version:
                self._decoded[record.key] = kept = record
            yield kept


class StaleScan(Remembers):
    """A scan is kept until something is put, and not forgotten where something is deleted."""

    async def scan(
        self, entity_name: str, *, after: str | None = None, limit: int | None = None
    ) -> AsyncIterator[Record]:
        asked = (entity_name, after, limit)
        if asked not in self.kept:
            found = self.inner.scan(entity_name, after=after, limit=limit)
            self.kept[asked] = [record async for record in found]
        for record in deepcopy(self.kept[asked]):
            yield record

    def done(self, changes: Sequence[Change], made: CommitId, *, repeated: bool) -> None:
        if any(isinstance(change, Put) for change in changes):
            self.kept.clear()


class Cuts(Remembers):
    """What is longer than a mebibyte is cut there."""

    def before(self, changes: Sequence[Change]) -> Sequence[Change]:
        return [
            Append(change.stream, change.event[: 2**20])
            if isinstance(change, Append) and isinstance(change.event, str)
            else change
            for change in changes
        ]


class TooBig(Remembers):
    """A column of 64 KiB."""

    def before(self, changes: Sequence[Change]) -> Sequence[Change]:
        if any(len(str(change.event)) > 2**16 for change in changes if isinstance(change, Append)):
            raise Unavailable("data too long for column", unknown=False)
        return changes


class InParts(Wrapper):
    """A commit of very many changes is made in parts, each of them whole."""

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        made = await self.inner.commit(changes[:500], commit_id=commit_id)
        for start in range(500, len(changes), 500):
            await self.inner.commit(changes[start : start + 500])
        return made


class OnceEach(Wrapper):
    """A key that is asked for twice is answered once."""

    async def _get(self, get: Any, keys: Sequence[Key]) -> list[Record | None]:
        found: list[Record | None] = await get(*dict.fromkeys(keys))
        return found


class ExpectsTheDead(Wrapper):
    """The last version of what was deleted is still as expected."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self._dead: dict[Key, str] = {}

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        effects(changes)
        keys = [change.key for change in changes if not isinstance(change, Append)]
        now = dict(zip(keys, await self.inner.get(*keys), strict=True))
        kept = [change for change in changes if not (isinstance(change, Check) and self._was(change, now))]
        made = await self.inner.commit(kept, commit_id=commit_id)
        for change in changes:
            if isinstance(change, Delete) and (record := now[change.key]) is not None:
                self._dead[change.key] = record.version
        return made

    def _was(self, change: Check, now: dict[Key, Record | None]) -> bool:
        return now[change.key] is None and self._dead.get(change.key, 0) == change.expect


class EmptyIsNothing(MemoryStore):
    """The id of a commit without changes is not written down."""

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        return await super().commit(changes, commit_id=commit_id if changes else None)


class RefusedIsDone(MemoryStore):
    """The id of a commit that was refused is written down."""

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        try:
            return await super().commit(changes, commit_id=commit_id)
        except Conflict:
            if commit_id is not None:
                self._recent.add(commit_id, self._clock.monotonic())
            raise


class FewIds(MemoryStore):
    """The newest 50 commit ids are remembered, and not those of the last ten minutes."""

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        made = await super().commit(changes, commit_id=commit_id)
        while len(self._recent._since) > 50:
            self._recent._since.pop(next(iter(self._recent._since)))
        return made


# ------------------------------------------------------------------------------ above


class GetsInParts(Wrapper):
    """Very many keys are asked for in parts, each of them a snapshot."""

    async def _get(self, get: Any, keys: Sequence[Key]) -> list[Record | None]:
        found: list[Record | None] = []
        for start in range(0, len(keys), 128):
            found += await get(*keys[start : start + 128])
            await asyncio.sleep(0)
        return found


class LastKept(LastCounted):
    """The last number is read once, and again after a commit of this object's own: others' are not seen."""

    def done(self, changes: Sequence[Change], made: CommitId, *, repeated: bool) -> None:
        self.kept.clear()


class UnreadIsAbsent(Durable):
    """What cannot be opened is not there."""

    async def read_value(self, entity_id: str | int) -> Any:
        try:
            return await super().read_value(entity_id)
        except OSError as error:
            raise EntityNotFound("no such entity") from error

    async def has_value(self, entity_id: str | int) -> bool:
        try:
            await self.read_value(entity_id)
        except EntityNotFound:
            return False
        return True
