"""Connections that are as durable as they say, to a database that is ours.

Two things about SQLite's WAL shape this module.

*What is visible is durable, but for what a dead process left.* With `synchronous=FULL` a commit's frames are flushed
before the index that readers go by is updated. But the first connection after a crash rebuilds that index from
whatever frames it reads, also those that were never flushed, or whose flush failed. So a writing connection moves
them all into the database file (written anew, and flushed) before it is used, and every connection flushes the WAL.

*Checkpoints hold the write lock.* SQLite before 3.51.3 can corrupt a database when a checkpoint without that lock
meets a commit that resets the WAL ("WAL-reset bug"). Automatic checkpoints are such; they are off, and ours are of
the kinds that take the lock.
"""

import sqlite3
from typing import Final, cast
from urllib.parse import quote

from holdfast import points
from holdfast.errors import Corrupt, FromTheFuture, Unavailable
from holdfast.store.backends.sqlite.faults import SAID, code_of, explain
from holdfast.store.backends.sqlite.place import Place
from holdfast.store.backends.sqlite.schema import APPLICATION_ID, FORMAT

__all__ = ("PATIENCE", "checkpoint", "connect", "pragma", "recognise")

PATIENCE: Final = 1.0
"""How long (s) a checkpoint waits for whoever is in its way; it is not vital."""

_FULL: Final = (2, 3)
_LATER: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL)


def recognise(path: str) -> None:
    """Return if the file is a store of ours; raises Corrupt or FromTheFuture, and changes nothing.

    Only the header is read, without locks: another application's database is not even recovered. Ours carries its
    marks from its birth. (It is read through SQLite, as closing a file descriptor of our own would drop its locks.)
    """
    try:
        application, version = _marks(path, "&immutable=1")
    except SAID:  # a checkpoint that is cut off leaves a header that is right only with the WAL
        try:
            application, version = _marks(path, "")
        except SAID as error:
            raise explain(error, path) from error
    if application != APPLICATION_ID:
        message = (
            f"{path} is another application's database; it is left as it is. Give the store a file of its own"
        )
        raise Corrupt(message, key=None, reason="not a Holdfast store", path=path)
    if version > FORMAT:
        message = f"{path} has format {version}: this Holdfast reads up to {FORMAT}; upgrade it"
        raise FromTheFuture(message, found=version, known=FORMAT)


def connect(place: Place, *, busy_timeout: float, read_only: bool = False) -> sqlite3.Connection:
    """Return a connection on which nothing is seen that is not durable; it belongs to the thread that calls."""
    place.check()
    place.inspect()
    place.check_room()
    if not read_only:
        place.check_writable()
    recognise(place.path)
    connection = _connected(place.path, "ro" if read_only else "rw", busy_timeout)
    try:
        _prepare(connection, place, read_only=read_only)
        points.reached("sqlite.opened")
    except BaseException:
        connection.close()
        raise
    return connection


def checkpoint(connection: sqlite3.Connection, kind: str, patience: float = PATIENCE) -> bool:
    """Move the commits of the WAL into the database file, durably; False where there is no room, or others are in
    the way for too long: they are durable where they are.

    `kind` is FULL (the file of the WAL is used again: flushing is faster where it need not grow) or TRUNCATE.
    """
    usual = pragma(connection, "busy_timeout")
    connection.execute(f"PRAGMA busy_timeout = {int(patience * 1000)}")
    try:
        (busy, _, _) = connection.execute(f"PRAGMA wal_checkpoint({kind})").fetchone()
    except sqlite3.OperationalError as error:
        if code_of(error) not in _LATER:
            raise
        busy = 1
    finally:
        connection.execute(f"PRAGMA busy_timeout = {int(usual)}")
    points.reached("sqlite.checkpointed")
    return not busy


def pragma(connection: sqlite3.Connection, name: str) -> int:
    """Return the number that a pragma is set to."""
    (found,) = connection.execute(f"PRAGMA {name}").fetchone()
    return cast("int", found)


def _marks(path: str, more: str) -> tuple[int, int]:
    connection = sqlite3.connect(_uri(path, "ro", more), uri=True, isolation_level=None)
    try:
        return pragma(connection, "application_id"), pragma(connection, "user_version")
    finally:
        connection.close()


def _connected(path: str, mode: str, busy_timeout: float) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(
            _uri(path, mode), uri=True, isolation_level=None, timeout=busy_timeout, cached_statements=64
        )
    except sqlite3.Error as error:
        raise explain(error, path) from error
    connection.text_factory = bytes  # what is no UTF-8 is Corrupt, not a DecodeError in between
    return connection


def _prepare(connection: sqlite3.Connection, place: Place, *, read_only: bool) -> None:
    try:
        for setting in (
            "synchronous = FULL",
            "fullfsync = 1",
            "checkpoint_fullfsync = 1",
            "wal_autocheckpoint = 0",
        ):
            connection.execute(f"PRAGMA {setting}").fetchall()
        mode = b"wal" if read_only else connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        connection.execute(
            "SELECT count(*) FROM namespaces"
        ).fetchone()  # reads: the WAL is recovered and stays ours
        if not read_only:
            place.reserve_index()
            checkpoint(connection, "TRUNCATE")
        place.flush_wal()
    except SAID as error:
        raise explain(error, place.path) from error
    if mode != b"wal" or pragma(connection, "synchronous") not in _FULL:
        message = f"{place.path}: SQLite cannot use its WAL here (journal_mode is {mode!r}): nothing would be durable"
        raise Unavailable(message, path=place.path, unknown=False, retryable=False)


def _uri(path: str, mode: str, more: str = "") -> str:
    return f"file:{quote(path)}?mode={mode}{more}"
