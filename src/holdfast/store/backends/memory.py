"""`memory:`: the complete contract, and nothing survives the process. For tests and backtests."""

from collections.abc import AsyncIterator, Sequence

from holdfast.errors import NotOpen
from holdfast.store.base import (
    Change,
    CommitId,
    Durability,
    Event,
    Key,
    Names,
    Record,
    Store,
)
from holdfast.store.changes import (
    Effect,
    Removed,
    Wrote,
    check_commit_id,
    conflict,
    effects,
    expectations,
    meets,
)
from holdfast.store.codec import check_key, check_name, check_stream, decode
from holdfast.store.state import Recent, Stored, Table
from holdfast.store.url import StoreUrl
from holdfast.system import Clock, Ids, SystemClock, system_ids

__all__ = ("MemoryStore", "from_url")


class MemoryStore(Store):
    """A namespace in this process's memory: atomic, isolated, never durable.

    Closing it keeps what it holds, so that the same object can be opened again as after a restart.
    """

    durability = Durability.NONE

    def __init__(
        self, *, namespace: str = "default", clock: Clock | None = None, ids: Ids = system_ids
    ) -> None:
        self.url = "memory:"
        self.namespace = namespace
        self._clock = clock or SystemClock()
        self._ids = ids
        self._table = Table()
        self._streams: dict[str, list[tuple[bytes, CommitId]]] = {}
        self._recent = Recent()
        self._is_open = False

    async def open(self) -> None:
        """Make the store usable; opening an open store does nothing."""
        self._is_open = True

    async def close(self) -> None:
        """Refuse all use until the next `open`; what is stored stays in this object."""
        self._is_open = False

    async def get(self, *keys: Key) -> list[Record | None]:
        """Return the records of `keys` in their order, each with a value of its own; None is absent."""
        self._check_open()
        for key in keys:
            check_key(key)
        return [self._table.record(key) for key in keys]

    async def scan(
        self, entity_name: str, *, after: str | None = None, limit: int | None = None
    ) -> AsyncIterator[Record]:
        """Yield the records of an entity name by id, as they are when the first one is asked for."""
        self._check_open()
        check_name(entity_name, "entity_name")
        for key, stored in self._table.slice(entity_name, after, limit):
            yield Record(key, decode(stored.value), stored.version)

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> AsyncIterator[Event]:
        """Yield the events of a stream, oldest first, as they are when the first one is asked for."""
        self._check_open()
        check_stream(stream)
        start = max(after, 0)
        stop = None if limit is None else start + max(limit, 0)
        for number, (value, version) in enumerate(self._streams.get(stream, [])[start:stop], start + 1):
            yield Event(stream, number, decode(value), version)

    async def names(self) -> Names:
        """Return the entity names that have records, and the streams that have events."""
        self._check_open()
        return Names(self._table.names(), tuple(sorted(self._streams)))

    async def last_number(self, stream: str) -> int:
        """Return the number of a stream's newest event, 0 where it has none, at once."""
        self._check_open()
        return len(self._streams.get(stream, ()))

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        """Make all changes or none, at once; a repeated commit id changes nothing and is returned."""
        self._check_open()
        commit_id = self._ids() if commit_id is None else commit_id
        check_commit_id(commit_id)
        staged = effects(changes)
        if commit_id in self._recent:
            return commit_id
        for key, expect in expectations(changes):
            found = self._table.version(key)
            if not meets(found, expect):
                raise conflict(key, expect, found)
        self._apply(commit_id, staged)
        return commit_id

    def _apply(self, commit_id: CommitId, staged: list[Effect]) -> None:
        self.head += 1
        self._recent.add(commit_id, self._clock.monotonic())
        for effect in staged:
            if isinstance(effect, Wrote):
                stored = Stored(bytes(effect.value), commit_id, self.head)
                self._table.put(Key(effect.entity_name, effect.entity_id), stored)
            elif isinstance(effect, Removed):
                self._table.delete(Key(effect.entity_name, effect.entity_id))
            else:
                self._streams.setdefault(effect.stream, []).append((bytes(effect.value), commit_id))

    def _check_open(self) -> None:
        if not self._is_open:
            raise NotOpen(
                "the store is not open: use `async with store`, or `await store.open()`", url=self.url
            )


def from_url(url: StoreUrl, *, clock: Clock, ids: Ids) -> MemoryStore:
    """Return the store of `memory:`, which takes no options of its own."""
    url.only()
    return MemoryStore(namespace=url.namespace, clock=clock, ids=ids)
