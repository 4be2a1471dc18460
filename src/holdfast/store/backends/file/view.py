"""The reading half of the file store: the same for the process that writes and for those that follow it."""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from typing import Protocol, TypeVar, TypeVarTuple

from holdfast.errors import NotOpen
from holdfast.store.backends.file.disk import Disk
from holdfast.store.backends.file.faults import explained
from holdfast.store.backends.file.findings import Finding, broken
from holdfast.store.backends.file.layout import Layout
from holdfast.store.backends.file.manifest import Chunk
from holdfast.store.backends.file.streams import Line, Stream, read_chunk
from holdfast.store.base import Event, Key, Names, Record, Store
from holdfast.store.codec import check_key, check_name, check_stream, decode
from holdfast.store.state import Table

__all__ = ("FileView", "Seen")

T = TypeVar("T")
A = TypeVarTuple("A")


class Seen(Protocol):
    """The durable state of a namespace, as of one instant."""

    table: Table
    streams: dict[str, Stream]
    broken: dict[Key, Finding]
    head: int


class FileView(Store):
    """Reads of a namespace in a folder, each from one durable instant."""

    _disk: Disk
    _layout: Layout
    _executor: Executor

    @abstractmethod
    async def _seen(self) -> Seen:
        """Return the durable state of now; raises NotOpen."""

    async def get(self, *keys: Key) -> list[Record | None]:
        """Return the durable records of `keys`, each with a value of its own; raises Corrupt for a broken one."""
        seen = await self._seen()
        for key in keys:
            check_key(key)
            if key in seen.broken:
                raise broken(key, seen.broken[key])
        return [seen.table.record(key) for key in keys]

    async def scan(
        self, entity_name: str, *, after: str | None = None, limit: int | None = None
    ) -> AsyncIterator[Record]:
        """Yield the durable records of an entity name by id; raises Corrupt where a broken one has its place."""
        check_name(entity_name, "entity_name")
        seen = await self._seen()
        bad = _first_broken(seen, entity_name, after)
        found = seen.table.slice(entity_name, after, limit)
        good = [(key, stored) for key, stored in found if bad is None or key < bad]
        for key, stored in good:
            yield Record(key, decode(stored.value), stored.version)
        if bad is not None and (limit is None or len(good) < limit):
            raise broken(bad, seen.broken[bad])

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> AsyncIterator[Event]:
        """Yield the durable events of a stream, oldest first; raises Corrupt where a byte is not as it was."""
        check_stream(stream)
        after = max(after, 0)
        found = (await self._seen()).streams.get(stream, Stream())
        chunks, tail, covered = found.chunks, list(found.tail), found.covered
        last = found.count if limit is None else min(found.count, after + max(limit, 0))
        for chunk in chunks:
            if chunk.first + chunk.count > after + 1 and chunk.first <= last:
                for line in await self._in_thread(self._chunk, stream, chunk):
                    if after < line.number <= last:
                        yield Event(stream, line.number, decode(line.value), line.version)
        for number, (value, version) in enumerate(tail, covered + 1):
            if after < number <= last:
                yield Event(stream, number, decode(value), version)

    async def names(self) -> Names:
        """Return the entity names that have records, broken ones included, and the streams that have events."""
        seen = await self._seen()
        entities = {*seen.table.names(), *(key.entity_name for key in seen.broken)}
        streams = sorted(name for name, stream in seen.streams.items() if stream.count)
        return Names(tuple(sorted(entities)), tuple(streams))

    async def last_number(self, stream: str) -> int:
        """Return the number of a stream's newest durable event, 0 where it has none, without reading any."""
        check_stream(stream)
        found = (await self._seen()).streams.get(stream)
        return 0 if found is None else found.count

    def _chunk(self, stream: str, chunk: Chunk) -> list[Line]:
        with explained(self._layout.root):
            return read_chunk(self._disk, self._layout.stream(stream), chunk, stream)

    async def _in_thread(self, work: Callable[[*A], T], *args: *A) -> T:
        loop = asyncio.get_running_loop()
        try:
            result = loop.run_in_executor(self._executor, work, *args)
        except RuntimeError as error:  # the executor was shut down
            raise NotOpen("the store was closed meanwhile", url=self.url) from error
        return await result


def _first_broken(seen: Seen, entity_name: str, after: str | None) -> Key | None:
    names = (key for key in seen.broken if key.entity_name == entity_name)
    return min((key for key in names if after is None or key.entity_id > after), default=None)
