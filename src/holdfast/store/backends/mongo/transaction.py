"""A batch of commits as one transaction: lock the namespace, read, decide, write, commit.

The first operation changes the namespace's own document. So of two transactions of a namespace one waits or fails
with a write conflict: commits of a namespace stand in one row, and all that is checked conflicts with every writer.
A transaction that found nothing to do is committed as well: what it was decided on is then durable too.

Trying again is always safe, whatever became of the try before: an unsettled one keeps the namespace's document until
the server has settled it, and then its commit ids are remembered, or not. The driver itself repeats only
`commitTransaction`, which the server knows by the transaction's number and does once.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import pymongo
from bson import ObjectId
from bson.errors import BSONError
from pymongo import DeleteOne, InsertOne, ReplaceOne
from pymongo.errors import PyMongoError

from holdfast import points
from holdfast.errors import StoreError
from holdfast.store.backends.mongo.connection import Collection, Connection, Session
from holdfast.store.backends.mongo.documents import Document, event_document, record_document
from holdfast.store.backends.mongo.errors import failure, may_pass, transient
from holdfast.store.backends.mongo.locked import Found, Locked
from holdfast.store.changes import Removed
from holdfast.store.deciding import Decision
from holdfast.store.group import Outcome, Request
from holdfast.store.lineage import Lineage
from holdfast.system import Clock

__all__ = ("Writer",)

FIRST_PAUSE: Final = 0.002
LONGEST_PAUSE: Final = 0.1

IDLE: Final = 600.0
"""Seconds after which a session is not used again: the server forgets one after 30 minutes."""

LARGEST_BATCH: Final = 16 * 2**20
"""Bytes of values in one transaction, unless one commit alone has more: the server holds it all in its cache."""

Operation = InsertOne[Document] | ReplaceOne[Document] | DeleteOne


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
        self._locked = Locked(connection, namespace, lineage=lineage, clock=clock)
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
            found = await self._locked.read(session, batch)
            points.reached("mongo.locked")
            decision = Decision(found.versions, found.numbers, found.remembered, found.head)
            outcomes = [decision.take(request) for request in batch]
            await self._stage(session, decision, found)
            points.reached("mongo.staged")
        except BaseException:
            await session.abort_transaction()  # unheard, it is ended by the session's next one
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

    async def _stage(self, session: Session, decision: Decision, found: Found) -> None:
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

    def _records(self, decision: Decision, found: Found) -> Iterator[Operation]:
        for key, written in decision.written.items():
            place = found.records.get(key)
            if written is not None:
                yield _put(place, record_document(self._namespace, key, *written))
            elif place is not None:
                yield DeleteOne({"_id": place})

    def _streams(self, decision: Decision, found: Found) -> Iterator[Operation]:
        for stream in sorted({event.stream for event in decision.events}):
            document = {"namespace": self._namespace, "stream": stream, "number": decision.numbers[stream]}
            yield _put(found.streams.get(stream), document)

    def _commits(self, decision: Decision, found: Found) -> Iterator[Operation]:
        for commit_id, head in decision.commits:
            yield InsertOne({"namespace": self._namespace, "id": commit_id, "head": head, "at": found.at})

    def _pauses(self) -> Iterator[float]:
        """Yield ever longer pauses, not the same as another process's, so that two do not keep meeting."""
        pause = FIRST_PAUSE
        while True:
            yield pause * (0.5 + self._spread)
            pause = min(pause * 2, LONGEST_PAUSE)


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
