"""Databases with something wrong in them: a damaged SQLite file, and rows that somebody has changed.

SQLite's own pages have no checksums, so that another value may be read where one of its bytes was changed; what is
promised is a value or a typed error.
"""

import sqlite3
from functools import cache
from typing import Any, Final

from holdfast.errors import (
    Corrupt,
    FromTheFuture,
    StoreError,
    StoreMissing,
    Unavailable,
    Unsupported,
    WentBack,
)
from holdfast.store import Append, Change, Key, Put, Store, open_store
from holdfast.testing.fuzzing.damage import NUMBERS, damaged
from holdfast.testing.fuzzing.dice import Dice
from holdfast.testing.fuzzing.documents import VALUES
from holdfast.testing.fuzzing.file_store import running
from holdfast.testing.fuzzing.samples import KEYS, STREAMS, place
from holdfast.testing.fuzzing.target import require

__all__ = ("sqlite_file", "sqlite_rows")

REFUSALS: Final = (Corrupt, FromTheFuture, StoreMissing, Unavailable, Unsupported, WentBack)
COLUMNS: Final = {
    "records": ("entity_name", "entity_id", "version", "value"),
    "events": ("stream", "number", "version", "value"),
    "namespaces": ("name", "format", "head"),
    "commits": ("head", "commit_id", "at"),
}


def sqlite_file(data: bytes) -> None:
    """A damaged SQLite file is read, or refused as damaged; what is read are values, and the file stays."""
    dice = Dice(data)
    whole = _database()
    given = damaged(dice, whole)
    path = _placed(given)
    seen: list[Any] = []
    read_only = "?mode=ro" if dice.chance(2) else ""
    refused = _refused(f"sqlite:///{path}{read_only}", seen)
    require(given != whole or not refused, "refused: a file that nothing happened to")
    require(path.is_file(), "deleted: the file")


def sqlite_rows(data: bytes) -> None:
    """A row that somebody has changed is a value, or Corrupt; never absent, never a raw error."""
    dice = Dice(data)
    path = _placed(_database())
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute("PRAGMA ignore_check_constraints = 1")
        for _ in range(1 + dice.below(2)):
            _change(connection, dice)
    connection.close()
    _refused(f"sqlite:///{path}", [])


def _refused(url: str, seen: list[Any]) -> bool:
    """Read all of a store, and write to it; return whether anything of that was refused."""

    async def use() -> bool:
        async with open_store(url) as store:
            refused = await _read(store, seen)
            if "mode=ro" not in url:
                await store.commit([Put(Key("risk", "new"), 1), Append(STREAMS[0], "new")])
            return refused

    try:
        return bool(running(use))
    except REFUSALS:
        return True


async def _read(store: Store, seen: list[Any]) -> bool:
    names = await store.names()
    refused = False
    for key in KEYS:
        try:
            seen.append(await store.get(key))
        except StoreError:
            refused = True
    try:
        for name in names.entities:
            seen += [record async for record in store.scan(name)]
        for stream in names.streams:
            events = [event async for event in store.read(stream)]
            numbers = [event.number for event in events]
            require(numbers == [*range(1, len(events) + 1)], f"numbers: {stream} has {numbers}")
    except StoreError:
        return True
    return refused


def _change(connection: sqlite3.Connection, dice: Dice) -> None:
    """Set a column of a row to something that it never was."""
    table = dice.pick([*COLUMNS])
    column = dice.pick(COLUMNS[table])
    rows = connection.execute(f"SELECT {column} FROM {table}").fetchall()  # noqa: S608  # our own names
    old = dice.pick(rows)[0] if rows else b""
    text = old if isinstance(old, bytes) else str(old).encode()
    new: Any = damaged(dice, text)
    match dice.below(5):
        case 1:
            new = new.decode("utf-8", errors="replace")
        case 2:
            new = dice.pick((0, -1, 2**63 - 1, -(2**63), 0.5, 1e308))
        case 3:
            new = dice.pick(NUMBERS).decode()
        case 4:
            new = _as_text(connection, new)
    try:
        where = (
            f"WHERE {column} = (SELECT {column} FROM {table} ORDER BY rowid LIMIT 1)"  # noqa: S608  # our own names
            if dice.chance(2)
            else ""
        )
        limit = "" if table == "commits" else where
        connection.execute(f"UPDATE OR REPLACE {table} SET {column} = ? {limit}", (new,))  # noqa: S608
    except sqlite3.Error:
        return


def _as_text(connection: sqlite3.Connection, data: bytes) -> str:
    """Return text of any bytes, as a shell of SQLite would store them."""
    connection.text_factory = lambda found: found.decode("utf-8", errors="replace")
    return str(connection.execute("SELECT CAST(? AS TEXT)", (data,)).fetchone()[0])


@cache
def _database() -> bytes:
    """Return the file of a closed store."""
    path = place() / "made.db"

    async def make() -> None:
        async with open_store(f"sqlite:///{path}", ids=_Ids()) as store:
            for number, key in enumerate((*KEYS, *KEYS)):
                changes: list[Change] = [
                    Put(key, VALUES[number % len(VALUES)]),
                    Append(STREAMS[number % 2], number),
                ]
                await store.commit(changes, commit_id=f"c{number}")

    running(make)
    return path.read_bytes()


class _Ids:
    def __call__(self) -> str:
        return "id"


def _placed(data: bytes) -> Any:
    path = place() / "state.db"
    for end in ("", "-wal", "-shm"):
        (place() / f"state.db{end}").unlink(missing_ok=True)
    path.write_bytes(data)
    return path
