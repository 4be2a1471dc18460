"""The questions, each answered from one snapshot; values stay bytes here and are decoded for their caller."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from msgspec import Struct

from holdfast.errors import Corrupt, FromTheFuture, StoreMissing, WentBack
from holdfast.store.backends.sqlite.schema import FORMAT
from holdfast.store.base import CommitId, Event, Key, Names, Record
from holdfast.store.codec import decode

__all__ = (
    "Found",
    "Space",
    "event",
    "events",
    "find_space",
    "head_of",
    "last_number",
    "names",
    "page",
    "record",
    "records",
    "remembers",
    "text",
    "value",
)

PAGE: Final = 500
"""Records or events a question: a snapshot is held for milliseconds, since the WAL cannot be reset meanwhile."""

SHOWN: Final = 10
"""Namespaces that are listed where one is not there."""

T = TypeVar("T")
Connection = sqlite3.Connection
Row = tuple[bytes, bytes]
"""Value and version."""


class Space(Struct, frozen=True):
    """A namespace in a file: its number there, its name, and the path for messages."""

    number: int
    name: str
    path: str


class Found(Struct, frozen=True):
    """What `get` found, with the head of the same snapshot."""

    head: int
    rows: list[Row | None]


def head_of(connection: Connection, space: Space, least: int) -> int:
    """Return the namespace's head; raises WentBack where it is lower than one this process was told of."""
    row = connection.execute("SELECT head FROM namespaces WHERE id = ?", (space.number,)).fetchone()
    head = 0 if row is None else _whole(space, "head", row[0])
    if head < least:
        message = (
            f"{space.path} has lost acknowledged commits: the head of {space.name!r} is {head}, and this process was "
            f"told {least}. Was a backup put in its place? Compare with the exchange"
        )
        raise WentBack(message, known=least, found=head)
    return head


def records(connection: Connection, space: Space, keys: Sequence[Key], least: int) -> Found:
    """Return the rows of `keys` in their order, from one snapshot."""

    def ask() -> Found:
        head = head_of(connection, space, least)
        return Found(head, [_row(connection, space, key) for key in keys])

    return _snapshot(connection, ask)


def page(
    connection: Connection, space: Space, entity_name: str, after: str, limit: int
) -> list[tuple[bytes, ...]]:
    """Return (id, value, version) of at most `limit` records after an id."""
    return connection.execute(
        "SELECT entity_id, value, version FROM records WHERE namespace = ? AND entity_name = ? AND entity_id > ? "
        "ORDER BY entity_id LIMIT ?",
        (space.number, entity_name, after, limit),
    ).fetchall()


def events(
    connection: Connection, space: Space, stream: str, after: int, limit: int
) -> list[tuple[Any, ...]]:
    """Return (number, value, version) of at most `limit` events above a number."""
    return connection.execute(
        "SELECT number, value, version FROM events WHERE namespace = ? AND stream = ? AND number > ? "
        "ORDER BY number LIMIT ?",
        (space.number, stream, min(max(after, 0), 2**63 - 1), limit),
    ).fetchall()


def last_number(connection: Connection, space: Space, stream: str) -> int:
    """Return the number of a stream's newest event, 0 where it has none."""
    row = connection.execute(
        "SELECT number FROM events WHERE namespace = ? AND stream = ? ORDER BY number DESC LIMIT 1",
        (space.number, stream),
    ).fetchone()
    return 0 if row is None else _whole(space, stream, row[0])


def names(connection: Connection, space: Space) -> Names:
    """Return the entity names and streams, each found by one look at the index."""

    def ask() -> Names:
        return Names(
            _distinct(connection, space, "records", "entity_name"),
            _distinct(connection, space, "events", "stream"),
        )

    return _snapshot(connection, ask)


def remembers(connection: Connection, space: Space, commit_id: CommitId) -> bool:
    """Whether a commit of that id is remembered."""
    question = "SELECT 1 FROM commits WHERE namespace = ? AND commit_id = ?"
    return connection.execute(question, (space.number, commit_id)).fetchone() is not None


def find_space(connection: Connection, name: str, path: str) -> Space:
    """Return the namespace of that name; raises StoreMissing or FromTheFuture."""
    row = connection.execute("SELECT id, format FROM namespaces WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise StoreMissing(
            f"there is no namespace {name!r} in {path}; there are: {_namespaces(connection)}",
            path=path,
            namespace=name,
        )
    space = Space(row[0], name, path)
    found = _whole(space, "format", row[1])
    if found > FORMAT:
        message = (
            f"namespace {name!r} of {path} has format {found}: this Holdfast reads up to {FORMAT}; upgrade it"
        )
        raise FromTheFuture(message, found=found, known=FORMAT)
    return space


def _namespaces(connection: Connection) -> str:
    rows = connection.execute("SELECT name FROM namespaces ORDER BY name LIMIT ?", (SHOWN + 1,)).fetchall()
    names = [repr(name.decode(errors="replace") if isinstance(name, bytes) else name) for (name,) in rows]
    return ", ".join([*names[:SHOWN], *(["…"] if len(names) > SHOWN else [])]) or "none"


def record(space: Space, key: Key, row: Row | None) -> Record | None:
    """Return the record of a row, with a value of the caller's own; raises Corrupt naming the key."""
    return None if row is None else Record(key, value(space, key, row[0]), text(space, key, row[1]))


def event(space: Space, stream: str, expected: int, row: tuple[Any, ...]) -> Event:
    """Return the event of a row, which is to have that number; raises Corrupt naming the stream."""
    number, found, version = row
    if number != expected:
        raise _corrupt(
            space, f"stream {stream!r}", f"has no event {expected}: the next one is {number!r:.40}"
        )
    return Event(stream, number, value(space, stream, found), text(space, stream, version))


def value(space: Space, what: Key | str, found: object) -> Any:
    """Return the value of the stored JSON; raises Corrupt."""
    if not isinstance(found, bytes):
        raise _corrupt(space, what, f"is a {type(found).__name__}, no JSON text")
    try:
        return decode(found)
    except Corrupt as error:
        raise _corrupt(space, what, str(error)) from error


def text(space: Space, what: Key | str, found: object) -> str:
    """Return a stored text; raises Corrupt."""
    try:
        return found.decode()  # type: ignore[attr-defined, no-any-return]
    except (AttributeError, UnicodeDecodeError) as error:
        raise _corrupt(space, what, f"has a version or id that is no text: {found!r:.40}") from error


def _corrupt(space: Space, what: Key | str, reason: str) -> Corrupt:
    message = f"{what} in {space.path} {reason}; it is left as it is. Restore it from a backup"
    return Corrupt(message, key=what if isinstance(what, Key) else None, reason=reason, path=space.path)


def _whole(space: Space, what: str, found: object) -> int:
    if not isinstance(found, int) or found > 2**62:  # nobody has counted so far, and one more must fit, too
        raise _corrupt(space, f"the number ({what}) of {space.name!r}", f"is none: {found!r:.40}")
    return found


def _row(connection: Connection, space: Space, key: Key) -> Row | None:
    found: Row | None = connection.execute(
        "SELECT value, version FROM records WHERE namespace = ? AND entity_name = ? AND entity_id = ?",
        (space.number, key.entity_name, key.entity_id),
    ).fetchone()
    return found


def _distinct(connection: Connection, space: Space, table: str, column: str) -> tuple[str, ...]:
    found: list[str] = []
    while True:
        (least,) = connection.execute(
            f"SELECT min({column}) FROM {table} WHERE namespace = ? AND {column} > ?",  # noqa: S608 - our own names
            (space.number, found[-1] if found else ""),
        ).fetchone()
        if least is None:
            return tuple(found)
        name = text(space, table, least)
        if found and name <= found[-1]:  # a BLOB is above every text, and would be found for ever
            raise _corrupt(space, table, f"has a name that is no text: {name!r:.40}")
        found.append(name)


def _snapshot(connection: Connection, ask: Callable[[], T]) -> T:
    connection.execute("BEGIN")
    answer = ask()
    connection.execute("COMMIT")
    return answer
