"""Everything that is read: each call or page is one statement, and so one snapshot."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from holdfast.errors import Corrupt
from holdfast.store.backends.postgres.lines import ReadLines
from holdfast.store.backends.postgres.statements import Statements
from holdfast.store.base import Event, Key, Names, Record
from holdfast.store.codec import decode

__all__ = ("Reader", "event_of", "record_of")

PAGE: Final = 1000


class Reader:
    """Reads a namespace."""

    def __init__(self, lines: ReadLines, statements: Statements, namespace: str) -> None:
        self._lines = lines
        self._sql = statements
        self._namespace = namespace

    async def get(self, keys: Sequence[Key]) -> list[Record | None]:
        """Return the records of `keys`, of one snapshot; None is absent."""
        if not keys:
            return []
        if len(keys) == 1:
            asked: tuple[object, ...] = (keys[0].entity_name, keys[0].entity_id)
            rows = await self._lines.fetch(self._sql.get_one, self._namespace, *asked)
        else:
            asked = ([key.entity_name for key in keys], [key.entity_id for key in keys])
            rows = await self._lines.fetch(self._sql.get_many, self._namespace, *asked)
        found = {Key(row["entity_name"], row["entity_id"]): row for row in rows}
        return [record_of(key, found[key]) if key in found else None for key in keys]

    async def scan(self, entity_name: str, after: str | None, limit: int | None) -> AsyncIterator[Record]:
        """Yield the records of an entity name by id, a page at a time, each page behind the one before."""
        last, left = after or "", limit
        while left is None or left > 0:
            page = PAGE if left is None else min(PAGE, left)
            rows = await self._lines.fetch(self._sql.scan, self._namespace, entity_name, last, page)
            for row in rows:
                yield record_of(Key(row["entity_name"], row["entity_id"]), row)
            if len(rows) < page:
                return
            last = rows[-1]["entity_id"]
            left = None if left is None else left - page

    async def read(self, stream: str, after: int, limit: int | None) -> AsyncIterator[Event]:
        """Yield the events of a stream by number; raises Corrupt where one is missing."""
        last, left = min(max(after, 0), 2**63 - 1), limit
        while left is None or left > 0:
            page = PAGE if left is None else min(PAGE, left)
            rows = await self._lines.fetch(self._sql.read, self._namespace, stream, last, page)
            for row in rows:
                yield event_of(stream, last + 1, row)
                last += 1
            if len(rows) < page:
                return
            left = None if left is None else left - page

    async def last_number(self, stream: str) -> int:
        """Return the number of a stream's newest event, 0 where it has none."""
        rows = await self._lines.fetch(self._sql.last, self._namespace, stream)
        return int(rows[0]["number"]) if rows else 0

    async def names(self) -> Names:
        """Return the entity names that have records, and the streams that have events."""
        rows = await self._lines.fetch(self._sql.names, self._namespace)
        entities = sorted(row["name"] for row in rows if row["is_entity"])
        return Names(tuple(entities), tuple(sorted(row["name"] for row in rows if not row["is_entity"])))


def record_of(key: Key, row: Mapping[str, Any]) -> Record:
    """Return the record of a row, its value the caller's own; raises Corrupt."""
    return Record(key, _value(row["body"], key), _text(row["version"], key))


def event_of(stream: str, number: int, row: Mapping[str, Any]) -> Event:
    """Return the event of a row, which is to have that number; raises Corrupt."""
    if row["number"] != number:
        reason = f"event {number} of the stream {stream!r} is missing"
        raise Corrupt(f"{reason}; the next one is {row['number']}", key=None, reason=reason)
    where = (stream, number)
    return Event(stream, number, _value(row["body"], where), _text(row["version"], where))


def _text(column: Any, key: object) -> str:
    """Return what a column holds; raises Corrupt where somebody has made another type of it, or NULL of its value."""
    if not isinstance(column, str):
        reason = f"a column is {column!r:.80}, which is no text"
        raise Corrupt(f"{key}: {reason}", key=key, reason=reason)
    return column


def _value(body: Any, key: object) -> Any:
    text = _text(body, key)
    try:
        return decode(text.encode())
    except Corrupt as error:
        raise Corrupt(f"{key}: {error}", key=key, reason="not JSON") from error
