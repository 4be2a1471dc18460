"""A batch of commits as one transaction: lock the namespace, read, decide, write, commit.

The first operation changes the namespace's own document. So of two transactions of a namespace one waits or fails
with a write conflict: commits of a namespace stand in one row, and all that is checked conflicts with every writer.
A transaction that found nothing to do is committed as well: what it was decided on is then durable too.

Trying again is always safe, whatever became of the try before: an unsettled one keeps the namespace's document until
the server has settled it, and then its commit ids are remembered, or not. The driver itself repeats only
`commitTransaction`, which the server knows by the transaction's number and does once.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import pymongo
from bson import ObjectId
from bson.errors import BSONError
from msgspec import Struct
from pymongo import DeleteOne, InsertOne, ReplaceOne, ReturnDocument
from pymongo.errors import PyMongoError

from holdfast import points
from holdfast.errors import StoreError
from holdfast.store.backends.mongo.connection import Collection, Connection, Session
from holdfast.store.backends.mongo.documents import Document, event_document, record_document, version_of
from holdfast.store.backends.mongo.errors import failure, may_pass, transient
from holdfast.store.backends.mongo.preparing import checked
from holdfast.store.base import CommitId, Key, Version
from holdfast.store.changes import Removed
from holdfast.store.deciding import Decision, keys_of, streams_of
from holdfast.store.group import Outcome, Request
from holdfast.store.lineage import Lineage
from holdfast.system import Clock

__all__ = ("Writer", "key_filter")

FIRST_PAUSE: Final = 0.002
LONGEST_PAUSE: Final = 0.1

IDLE: Final = 600.0
"""Seconds after which a session is not used again: the server forgets one after 30 minutes."""

LARGEST_BATCH: Final = 16 * 2**20
"""Bytes of values in one transaction, unless one commit alone has more: the server holds it all in its cache."""

Operation = InsertOne[Document] | ReplaceOne[Document] | DeleteOne


class _Found(Struct):
    """What the transaction read under the lock; the places are the ids of documents that are there."""

    head: int
    at: Any
    versions: dict[Key, Version]
    records: dict[Key, ObjectId]
    numbers: dict[str, int]
    streams: dict[str, ObjectId]
    remembered: list[CommitId]


class Writer:
    """Writes batches into one namespace, each whole or not at all, within `limit` seconds."""

    def __init__(
        self,
        connection: Connection,
        namespace: str,
        *,
        lineage: Lineage,
        clock: Clock,
        limit: float,
        spread: float,
    ) -> None:
        self._connection = connection
        self._namespace = namespace
        self._lineage = lineage
        self._clock = clock
        self._limit = limit
        self._spread = spread
        self._sent = False
        self._session: Session | None = None
        self._used = 0.0

    async def write(self, batch: Sequence[Request]) -> Sequence[Outcome]:
        """Commit a batch, in as many transactions as its size needs; return what became of each commit."""
        outcomes: list[Outcome] = []
        for part in _parts(batch):
            try:
                outcomes += await self._write_part(part)
            except StoreError as error:
                outcomes += [_copy(error) for _ in part]
        return outcomes

    async def _write_part(self, batch: Sequence[Request]) -> Sequence[Outcome]:
        """Try until it is settled or the time is over; only a commit that was sent can be unknown."""
        end = self._clock.monotonic() + self._limit
        unknown = False
        for pause in self._pauses():
            self._sent = False
            try:
                with pymongo.timeout(max(end - self._clock.monotonic(), 0.001)):
                    return await self._try(batch)
            except PyMongoError as error:
                in_doubt = self._sent and not error.has_error_label("TransientTransactionError")
                unknown = unknown or in_doubt
                again = in_doubt or (transient(error) and may_pass(error))
                if not again or self._clock.monotonic() + pause >= end:
                    raise failure(error, self._connection.url.text, unknown=unknown) from error
            except BSONError as error:
                raise failure(error, self._connection.url.text) from error
            await self._clock.sleep(pause)
        raise AssertionError("pauses never end")

    async def close(self) -> None:
        """Let go of the session; a transaction that is still open in it is aborted."""
        session, self._session = self._session, None
        if session is not None:
            await session.end_session()

    async def _try(self, batch: Sequence[Request]) -> Sequence[Outcome]:
        """Run one transaction; leaving it early by any exception aborts it."""
        session = await self._session_now()
        await self._connection.begin(session)
        try:
            found = await self._read(session, batch)
            points.reached("mongo.locked")
            decision = Decision(found.versions, found.numbers, found.remembered, found.head)
            outcomes = [decision.take(request) for request in batch]
            await self._stage(session, decision, found)
            points.reached("mongo.staged")
        except BaseException:
            await (
                session.abort_transaction()
            )  # where it cannot be told, the session's next transaction ends it
            raise
        self._sent = True
        await session.commit_transaction()
        points.reached("mongo.committed")
        self._acknowledge(decision)
        return outcomes

    async def _session_now(self) -> Session:
        """Return the one session of this writer, so that starting a transaction ends one that was cut off."""
        now = self._clock.monotonic()
        if self._session is not None and now - self._used > IDLE:
            await self.close()
        self._used = now
        if self._session is None:
            self._session = self._connection.client.start_session()
        return self._session

    def _acknowledge(self, decision: Decision) -> None:
        """Note the head only now: a transaction may have read one that is not durable before its own commit is."""
        self._lineage.check(decision.head, remembers=True, url=self._connection.url.text)
        if decision.commits:
            newest, head = decision.commits[-1]
            self._lineage.acknowledged(newest, head, self._clock.monotonic())

    async def _read(self, session: Session, batch: Sequence[Request]) -> _Found:
        """Lock the namespace, then read all that the batch names; raises WentBack, Corrupt."""
        head, at = await self._lock(session)
        remembered = await self._remembered(session, batch, head)
        found = _Found(head, at, {}, {}, {}, {}, remembered)
        connection = self._connection
        if keys := keys_of(batch):
            chosen = {"entity": 1, "id": 1, "version": 1}
            async for each in connection.records.find(
                key_filter(self._namespace, keys), chosen, session=session
            ):
                key = Key(each["entity"], each["id"])
                found.versions[key], found.records[key] = version_of(each, key), each["_id"]
        if streams := streams_of(batch):
            where = {"namespace": {"$eq": self._namespace}, "stream": {"$in": streams}}
            async for each in connection.streams.find(where, session=session):
                found.numbers[each["stream"]], found.streams[each["stream"]] = each["number"], each["_id"]
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
            each["id"] async for each in self._connection.commits.find(where, {"id": 1}, session=session)
        ]
        if head < self._lineage.head or (newest and newest not in found):
            self._lineage.check(head, remembers=False, url=self._connection.url.text)
        return found

    async def _stage(self, session: Session, decision: Decision, found: _Found) -> None:
        """Write all that came of the batch, in the transaction."""
        if not decision.commits:
            return
        connection, namespace = self._connection, self._namespace
        await _bulk(connection.records, self._records(decision, found), session)
        await _bulk(
            connection.events, (InsertOne(event_document(namespace, e)) for e in decision.events), session
        )
        await _bulk(connection.streams, self._streams(decision, found), session)
        await _bulk(connection.commits, self._commits(decision, found), session)
        await connection.namespaces.update_one(
            {"_id": namespace}, {"$set": {"head": decision.head}}, session=session
        )

    def _records(self, decision: Decision, found: _Found) -> Iterator[Operation]:
        for key, written in decision.written.items():
            place = found.records.get(key)
            if written is not None:
                yield _put(place, record_document(self._namespace, key, *written))
            elif place is not None:
                yield DeleteOne({"_id": place})

    def _streams(self, decision: Decision, found: _Found) -> Iterator[Operation]:
        for stream in sorted({event.stream for event in decision.events}):
            document = {"namespace": self._namespace, "stream": stream, "number": decision.numbers[stream]}
            yield _put(found.streams.get(stream), document)

    def _commits(self, decision: Decision, found: _Found) -> Iterator[Operation]:
        for commit_id, head in decision.commits:
            yield InsertOne({"namespace": self._namespace, "id": commit_id, "head": head, "at": found.at})

    def _pauses(self) -> Iterator[float]:
        """Yield ever longer pauses, not the same as another process's, so that two do not keep meeting."""
        pause = FIRST_PAUSE
        while True:
            yield pause * (0.5 + self._spread)
            pause = min(pause * 2, LONGEST_PAUSE)


def key_filter(namespace: str, keys: Iterable[Key]) -> Document:
    """Return the filter for the documents of `keys`."""
    ids: dict[str, list[str]] = {}
    for key in keys:
        ids.setdefault(key.entity_name, []).append(key.entity_id)
    each = [{"entity": {"$eq": name}, "id": {"$in": found}} for name, found in ids.items()]
    return {"namespace": {"$eq": namespace}, "$or": each}


def _put(place: ObjectId | None, document: Document) -> Operation:
    return InsertOne(document) if place is None else ReplaceOne({"_id": place}, document)


def _parts(batch: Sequence[Request]) -> Iterator[Sequence[Request]]:
    """Yield the batch in parts that one transaction can hold, in order."""
    part: list[Request] = []
    size = 0
    for request in batch:
        more = sum(len(bytes(effect.value)) for effect in request.effects if not isinstance(effect, Removed))
        if part and size + more > LARGEST_BATCH:
            yield part
            part, size = [], 0
        part.append(request)
        size += more
    if part:
        yield part


def _copy(error: StoreError) -> StoreError:
    """Return the same error with a traceback of its own: it is raised for each who waits."""
    each = type(error)(*error.args, **error.facts)
    each.__cause__ = error.__cause__
    return each


async def _bulk(collection: Collection, operations: Iterable[Operation], session: Session) -> None:
    listed = list(operations)
    if listed:
        await collection.bulk_write(listed, session=session, ordered=False)
