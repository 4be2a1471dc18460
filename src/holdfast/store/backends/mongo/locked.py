"""What a transaction reads under the lock of its namespace, before anything is decided.

The lock is a change of the namespace's own document: of two transactions that make it, one fails with a write
conflict. The same answer brings the head, and the server's time, by which commit ids are forgotten.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from bson import ObjectId
from msgspec import Struct
from pymongo import ReturnDocument

from holdfast.store.backends.mongo.connection import Connection, Session
from holdfast.store.backends.mongo.documents import Document, key_of, name_of, number_of, version_of
from holdfast.store.backends.mongo.preparing import checked
from holdfast.store.base import CommitId, Key, Version
from holdfast.store.deciding import keys_of, streams_of
from holdfast.store.group import Request
from holdfast.store.lineage import Lineage
from holdfast.system import Clock

__all__ = ("Found", "Locked", "key_filter")


class Found(Struct):
    """What the transaction read under the lock; the places are the ids of documents that are there."""

    head: int
    at: Any
    versions: dict[Key, Version]
    records: dict[Key, ObjectId]
    numbers: dict[str, int]
    streams: dict[str, ObjectId]
    remembered: list[CommitId]


class Locked:
    """Locks a namespace and reads in it, as part of a session's transaction."""

    def __init__(self, connection: Connection, namespace: str, *, lineage: Lineage, clock: Clock) -> None:
        self._connection = connection
        self._namespace = namespace
        self._lineage = lineage
        self._clock = clock

    async def read(self, session: Session, batch: Sequence[Request]) -> Found:
        """Lock the namespace, then read all that the batch names; raises WentBack, Corrupt."""
        head, at = await self._lock(session)
        remembered = await self._remembered(session, batch, head)
        found = Found(head, at, {}, {}, {}, {}, remembered)
        connection = self._connection
        if keys := keys_of(batch):
            chosen = {"entity": 1, "id": 1, "version": 1}
            async for each in connection.records.find(
                key_filter(self._namespace, keys), chosen, session=session
            ):
                key = key_of(each)
                found.versions[key], found.records[key] = version_of(each, key), each["_id"]
        if streams := streams_of(batch):
            where = {"namespace": {"$eq": self._namespace}, "stream": {"$in": streams}}
            async for each in connection.streams.find(where, session=session):
                stream = name_of(each, "stream")
                found.numbers[stream], found.streams[stream] = number_of(each), each["_id"]
        return found

    async def _lock(self, session: Session) -> tuple[int, Any]:
        """Take the namespace's document; return its head and the server's time."""
        document = await self._connection.namespaces.find_one_and_update(
            {"_id": self._namespace},
            {"$inc": {"turn": 1}, "$currentDate": {"at": True}},
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        url = self._connection.url.text
        if document is None:
            self._lineage.check(-1, remembers=False, url=url)
        head = checked(document, url, self._namespace)
        assert document is not None
        return head, document.get("at")

    async def _remembered(self, session: Session, batch: Sequence[Request], head: int) -> list[CommitId]:
        """Return which ids of the batch are remembered; raises WentBack where our newest one is not."""
        newest = self._lineage.newest(self._clock.monotonic())
        asked = {request.commit_id for request in batch} | ({newest} if newest else set())
        where = {"namespace": {"$eq": self._namespace}, "id": {"$in": sorted(asked)}}
        found = [
            name_of(each, "id")
            async for each in self._connection.commits.find(where, {"id": 1}, session=session)
        ]
        if head < self._lineage.head or (newest and newest not in found):
            self._lineage.check(head, remembers=False, url=self._connection.url.text)
        return found


def key_filter(namespace: str, keys: Iterable[Key]) -> Document:
    """Return the filter for the documents of `keys`."""
    ids: dict[str, list[str]] = {}
    for key in keys:
        ids.setdefault(key.entity_name, []).append(key.entity_id)
    each = [{"entity": {"$eq": name}, "id": {"$in": found}} for name, found in ids.items()]
    return {"namespace": {"$eq": namespace}, "$or": each}
