"""`mongodb://`, `mongodb+srv://`: a namespace in the collections of one database of a MongoDB replica set.

    mongodb://user@host-a,host-b,host-c/bots?replicaSet=rs0&password_env=MONGO_PASSWORD&namespace=blue

`?test_server=1` lets a server through that is no replica set. It is for tests of this backend: nothing is promised
then, `durability` is NONE, and a warning says so.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from holdfast.errors import NotOpen
from holdfast.store.backends.mongo import options
from holdfast.store.backends.mongo.documents import check_sizes
from holdfast.store.backends.network import driver
from holdfast.store.base import Change, CommitId, Durability, Event, Key, Names, Record, Store
from holdfast.store.codec import check_key, check_name, check_stream
from holdfast.store.group import Request
from holdfast.store.lineage import Lineage
from holdfast.store.url import StoreUrl
from holdfast.system import Clock, Ids

if TYPE_CHECKING:
    from holdfast.store.backends.mongo.opening import Opened

__all__ = ("MongoStore", "from_url")


class MongoStore(Store):
    """A namespace in MongoDB: commits are transactions, acknowledged by a majority with its journal flushed."""

    shared = True

    def __init__(self, url: StoreUrl, *, clock: Clock, ids: Ids) -> None:
        self.url = url.text
        self.namespace = url.namespace
        self.durability = Durability.NONE
        self._url = url
        self._clock = clock
        self._ids = ids
        self._lineage = Lineage()
        self._opened: Opened | None = None
        self._turn = asyncio.Lock()

    @property
    def head(self) -> int:  # type: ignore[override]
        """How many commits the namespace has had, as far as this process knows."""
        return self._lineage.head

    async def open(self) -> None:
        """Connect, look what the server promises, and make what is missing; opening an open store does nothing.

        Raises Unavailable for a standalone server, one that is too old, and all that is wrong with the URL.
        """
        from holdfast.store.backends.mongo.opening import Opened

        async with self._turn:
            if self._opened is None:
                self._lineage.begin()
                opened = await Opened.make(self._url, self._lineage, self._clock, self._spread())
                self.durability, self.warnings = opened.findings.durability, opened.findings.warnings
                self._opened = opened

    async def close(self) -> None:
        """Finish running commits and close every connection; closing a closed store does nothing."""
        async with self._turn:
            opened, self._opened = self._opened, None
            if opened is not None:
                await opened.close()

    async def get(self, *keys: Key) -> list[Record | None]:
        """Return the records of `keys` in their order, of one point in time that a majority has; None is absent."""
        opened = self._open_now()
        for key in keys:
            check_key(key)
        return await opened.reader.get(keys)

    async def scan(
        self, entity_name: str, *, after: str | None = None, limit: int | None = None
    ) -> AsyncIterator[Record]:
        """Yield the records of an entity name by id, bytewise; each page is of one point in time."""
        self._open_now()
        check_name(entity_name, "entity_name")
        async for record in self._open_now().reader.scan(entity_name, after, limit):
            yield record

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> AsyncIterator[Event]:
        """Yield the events of a stream, oldest first, as far as it went when the first one was asked for."""
        self._open_now()
        check_stream(stream)
        async for event in self._open_now().reader.read(stream, after, limit):
            yield event

    async def names(self) -> Names:
        """Return the entity names that have records, and the streams that have events."""
        return await self._open_now().reader.names()

    async def last_number(self, stream: str) -> int:
        """Return the number of a stream's newest event, 0 where it has none, in one query."""
        opened = self._open_now()
        check_stream(stream)
        return await opened.reader.last_number(stream)

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        """Make all changes or none, durable on a majority when it returns; waiting commits share a transaction."""
        opened = self._open_now()
        request = Request(changes, self._ids() if commit_id is None else commit_id, vital=vital)
        check_sizes(request.effects)
        return await opened.group.commit(request)

    def _open_now(self) -> "Opened":
        if self._opened is None:
            raise NotOpen(
                "the store is not open: use `async with store`, or `await store.open()`", url=self.url
            )
        return self._opened

    def _spread(self) -> float:
        """Return a number below 1 that is another one in another process."""
        return zlib.crc32(self._ids().encode()) / 2**32


def from_url(url: StoreUrl, *, clock: Clock, ids: Ids) -> MongoStore:
    """Return the store of a `mongodb:` URL, without connecting; raises InvalidOption, Unsupported."""
    options.check(url)
    driver("pymongo", extra="mongo")
    return MongoStore(url, clock=clock, ids=ids)
