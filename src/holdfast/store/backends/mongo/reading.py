"""Reading: always one point in time that a majority has, from the primary, where commits go too.

`get` is one query with read concern `snapshot`; a plain query may see two points in time. Many keys, more than one
command can carry, are several queries in one snapshot session. Scans and streams are pages by key, each one query and
one answer of at most 16 MiB, so that nothing is held open while the caller thinks.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import pymongo
from bson.errors import BSONError
from pymongo.errors import OperationFailure, PyMongoError

from holdfast.errors import Corrupt
from holdfast.store.backends.mongo.connection import Collection, Connection
from holdfast.store.backends.mongo.documents import (
    EVENT,
    RECORD,
    Document,
    event_of,
    key_of,
    name_of,
    number_of,
    record_of,
)
from holdfast.store.backends.mongo.errors import failure, too_early
from holdfast.store.backends.mongo.locked import key_filter
from holdfast.store.backends.mongo.preparing import checked
from holdfast.store.base import Event, Key, Names, Record
from holdfast.store.lineage import Lineage
from holdfast.system import Clock

__all__ = ("Reader",)

T = TypeVar("T")

PAGE: Final = 500
EARLY: Final = 0.02
"""Seconds to wait for a snapshot that has what was just made."""

MOST_KEYS: Final = 5000
"""Keys in one query: of the longest names they are 5 MiB, and a command may have 16."""


class Reader:
    """Reads one namespace, each query within `limit` seconds; on a new connection it checks the lineage first."""

    def __init__(
        self, connection: Connection, namespace: str, *, lineage: Lineage, clock: Clock, limit: float
    ) -> None:
        self._connection = connection
        self._namespace = namespace
        self._lineage = lineage
        self._clock = clock
        self._limit = limit
        self._checked = 0

    async def get(self, keys: Sequence[Key]) -> list[Record | None]:
        """Return the records of `keys` in their order, of one point in time."""
        if not keys:
            return []
        wanted = list(dict.fromkeys(keys))
        documents = await self._asked(lambda: self._documents(wanted))
        found = {key_of(each): each for each in documents}
        return [None if key not in found else record_of(found[key]) for key in keys]

    async def scan(self, entity_name: str, after: str | None, limit: int | None) -> AsyncIterator[Record]:
        """Yield records by id, a page at a time."""
        where = {"namespace": {"$eq": self._namespace}, "entity": {"$eq": entity_name}}
        left = limit
        while left is None or left > 0:
            later = where if after is None else {**where, "id": {"$gt": after}}
            page = await self._page(self._connection.records, later, RECORD, "id", left)
            for document in page:
                yield record_of(document)
            if not page:
                return
            after = page[-1]["id"]
            left = None if left is None else left - len(page)

    async def read(self, stream: str, after: int, limit: int | None) -> AsyncIterator[Event]:
        """Yield events by number, a page at a time; raises Corrupt where one is missing."""
        where = {"namespace": {"$eq": self._namespace}, "stream": {"$eq": stream}}
        number = max(after, 0)
        last = await self.last_number(stream)
        if limit is not None:
            last = min(last, number + max(limit, 0))
        while number < last:
            wanted = {**where, "number": {"$gt": number, "$lte": last}}
            page = await self._page(self._connection.events, wanted, EVENT, "number", last - number)
            for document in page:
                event = event_of(document)
                _check_next(event.number, number + 1, stream)
                number += 1
                yield event
            if not page:
                _check_next(0, number + 1, stream)

    async def last_number(self, stream: str) -> int:
        """Return the number of a stream's newest event, 0 where it has none."""
        where = {"namespace": {"$eq": self._namespace}, "stream": {"$eq": stream}}
        found = await self._asked(lambda: self._connection.streams.find_one(where))
        return 0 if found is None else number_of(found)

    async def names(self) -> Names:
        """Return the entity names that have records, and the streams that have events; read from indexes."""
        steps: list[Document] = [
            {"$match": {"namespace": {"$eq": self._namespace}}},
            {"$sort": {"namespace": 1, "entity": 1, "id": 1}},
            {"$group": {"_id": "$entity"}},
        ]
        connection = self._connection
        entities = await self._asked(lambda: _all(connection.records.aggregate(steps)))
        where = {"namespace": {"$eq": self._namespace}}
        streams = await self._asked(lambda: connection.streams.find(where, {"_id": 0, "stream": 1}).to_list())
        return Names(
            tuple(sorted(name_of(each, "_id") for each in entities)),
            tuple(sorted(name_of(each, "stream") for each in streams)),
        )

    async def _documents(self, keys: Sequence[Key]) -> list[Document]:
        records = self._connection.records
        if len(keys) <= MOST_KEYS:
            return await records.find(key_filter(self._namespace, keys), RECORD).to_list()
        found: list[Document] = []
        async with self._connection.client.start_session(snapshot=True) as session:
            for start in range(0, len(keys), MOST_KEYS):
                some = key_filter(self._namespace, keys[start : start + MOST_KEYS])
                found += await records.find(some, RECORD, session=session).to_list()
        return found

    async def _page(
        self, collection: Collection, where: Document, fields: Document, by: str, most: int | None
    ) -> list[Document]:
        """Return what one answer holds (a negative limit says so to the server), in order of `by`."""
        size = PAGE if most is None else min(PAGE, most)
        return await self._asked(lambda: collection.find(where, fields).sort(by, 1).limit(-size).to_list())

    async def _asked(self, question: Callable[[], Awaitable[T]]) -> T:
        """Return the answer to a question, asked within the time-out, of a server that lost nothing."""
        try:
            with pymongo.timeout(self._limit):
                await self.check_lineage()
                answer = await self._answered(question)
                if self._checked != self._connection.seen.ready:
                    await self.check_lineage()  # the question itself went over a new connection
                return answer
        except (PyMongoError, BSONError) as error:
            raise failure(error, self._connection.url.text) from error

    async def _answered(self, question: Callable[[], Awaitable[T]]) -> T:
        """Ask again while what another process has just made (a collection) is in no snapshot yet."""
        end = self._clock.monotonic() + self._limit
        while True:
            try:
                return await question()
            except OperationFailure as error:
                if not too_early(error) or self._clock.monotonic() + EARLY >= end:
                    raise
            await self._clock.sleep(EARLY)

    async def check_lineage(self) -> None:
        """Look whether the server behind a new connection has what this process was told; raises WentBack."""
        ready = self._connection.seen.ready
        if self._checked == ready and ready:
            return
        known, newest = self._lineage.head, self._lineage.newest(self._clock.monotonic())
        url, where = self._connection.url.text, {"_id": self._namespace}
        document = await self._answered(lambda: self._connection.namespaces.find_one(where))
        head = -1 if document is None else checked(document, url, self._namespace)
        if head < known or (newest and not await self._remembers(newest)):
            self._lineage.check(head, remembers=False, url=url)
        self._checked = ready

    async def _remembers(self, commit_id: str) -> bool:
        where = {"namespace": {"$eq": self._namespace}, "id": {"$eq": commit_id}}
        return await self._connection.commits.find_one(where, {"_id": 1}) is not None


async def _all(answer: Awaitable[Any]) -> list[Document]:
    found: list[Document] = await (await answer).to_list()
    return found


def _check_next(found: int, expected: int, stream: str) -> None:
    if found != expected:
        reason = f"event {expected} of stream {stream!r} is missing"
        raise Corrupt(f"{reason}; nothing was changed", key=Key(stream, str(expected)), reason=reason)
