"""`postgresql://user@host:5432/database`: a namespace in PostgreSQL, written by any number of processes at once."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from msgspec import Struct

from holdfast.errors import NotOpen
from holdfast.store.backends.postgres.lines import CommitLine, ReadLines
from holdfast.store.backends.postgres.options import Options, options
from holdfast.store.backends.postgres.reaching import Reach
from holdfast.store.backends.postgres.reading import Reader
from holdfast.store.backends.postgres.statements import statements
from holdfast.store.backends.postgres.writing import Writer
from holdfast.store.base import Change, CommitId, Durability, Event, Key, Names, Record, Store
from holdfast.store.codec import check_key, check_name, check_stream
from holdfast.store.group import GroupCommit, Request
from holdfast.store.lineage import Lineage
from holdfast.store.url import StoreUrl
from holdfast.system import Clock, Ids

__all__ = ("PostgresStore", "from_url")


class _Parts(Struct, frozen=True):
    """What an open store is made of."""

    reach: Reach
    line: CommitLine
    lines: ReadLines
    group: GroupCommit
    reader: Reader


class PostgresStore(Store):
    """A namespace in PostgreSQL: atomic, isolated, as durable as its server's settings say, open to many processes.

    `durability` and `warnings` are as found when it was opened, and follow the settings while it runs.
    """

    shared = True

    def __init__(self, options: Options, *, clock: Clock, ids: Ids) -> None:
        self.url = options.url.text
        self.namespace = options.url.namespace
        self._options = options
        self._clock = clock
        self._ids = ids
        self._parts: _Parts | None = None
        self._lineage = Lineage()
        self._found: Reach | None = None
        self._turn = asyncio.Lock()

    @property
    def head(self) -> int:  # type: ignore[override]
        """The count of the namespace's commits, as last heard of."""
        return self._lineage.head

    @property
    def durability(self) -> Durability:  # type: ignore[override]
        """What an acknowledged commit survives; NONE before the first `open`."""
        findings = self._found and self._found.findings
        return findings.durability if findings else Durability.NONE

    @property
    def warnings(self) -> tuple[str, ...]:  # type: ignore[override]
        """What was found that weakens a promise, a sentence each."""
        findings = self._found and self._found.findings
        return findings.warnings if findings else ()

    async def open(self) -> None:
        """Connect, making the tables where there are none; opening an open store does nothing.

        Raises Unavailable, FromTheFuture, Unsupported, InvalidOption.
        """
        async with self._turn:
            if self._parts is None:
                self._parts = await self._opened()

    async def _opened(self) -> _Parts:
        self._lineage.begin()
        sql = statements(self._options.schema)
        reach = Reach(self._options, sql, self._lineage, clock=self._clock, ids=self._ids)
        line = CommitLine(reach, clock=self._clock)
        await line.open()
        self._found = reach
        lines = ReadLines(reach, clock=self._clock)
        group = GroupCommit(Writer(reach, line, clock=self._clock).write)
        return _Parts(reach, line, lines, group, Reader(lines, sql, self.namespace))

    async def close(self) -> None:
        """Finish running commits and let go of the connections; closing a closed store does nothing."""
        async with self._turn:
            parts, self._parts = self._parts, None
            if parts is not None:
                await _closed(parts)

    async def get(self, *keys: Key) -> list[Record | None]:
        """Return the records of `keys` in their order, of one snapshot of what is committed; None is absent."""
        reader = self._open().reader
        for key in keys:
            check_key(key)
        return await reader.get(keys)

    async def scan(
        self, entity_name: str, *, after: str | None = None, limit: int | None = None
    ) -> AsyncIterator[Record]:
        """Yield the records of an entity name by id; what others write meanwhile may be among them or not."""
        reader = self._open().reader
        check_name(entity_name, "entity_name")
        async for record in reader.scan(entity_name, after, limit):
            yield record

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> AsyncIterator[Event]:
        """Yield the events of a stream, oldest first; raises Corrupt where one is missing."""
        reader = self._open().reader
        check_stream(stream)
        async for event in reader.read(stream, after, limit):
            yield event

    async def names(self) -> Names:
        """Return the entity names that have records, and the streams that have events."""
        return await self._open().reader.names()

    async def last_number(self, stream: str) -> int:
        """Return the number of a stream's newest event, 0 where it has none."""
        reader = self._open().reader
        check_stream(stream)
        return await reader.last_number(stream)

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        """Make all changes or none; commits that wait are written together, in one transaction.

        `vital` changes nothing: PostgreSQL keeps no room of its own for a full disk.
        """
        group = self._open().group
        return await group.commit(
            Request(changes, self._ids() if commit_id is None else commit_id, vital=vital)
        )

    def _open(self) -> _Parts:
        if self._parts is None:
            raise NotOpen(
                "the store is not open: use `async with store`, or `await store.open()`", url=self.url
            )
        return self._parts


async def _closed(parts: _Parts) -> None:
    """Close everything, the last also where the first is cancelled."""
    try:
        await parts.group.close()
    finally:
        try:
            await parts.line.close()
        finally:
            await parts.lines.close()


def from_url(url: StoreUrl, *, clock: Clock, ids: Ids) -> PostgresStore:
    """Return the store of `postgresql:`, which needs the extra `holdfast[postgres]`."""
    return PostgresStore(options(url), clock=clock, ids=ids)
