"""Whether a file is sound as a whole: SQLite's own check of every page and index, and the tables that a start reads.

Reading all records and events is not enough: whoever starts reads the remembered commits too, and whoever writes
changes pages that nobody has read.
"""

import sqlite3
from collections.abc import Callable, Iterable
from typing import Final

from holdfast.errors import Corrupt
from holdfast.store.backends.file.findings import Finding
from holdfast.store.backends.sqlite.faults import code_of
from holdfast.store.backends.sqlite.reading import Space, text

__all__ = ("examine",)

Connection = sqlite3.Connection

MOST: Final = 20
"""Findings of SQLite's check that are listed: one damaged page makes hundreds."""
DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def examine(connection: Connection, space: Space) -> list[Finding]:
    """Return what is wrong, nothing where the file is sound; raises what keeps it from being read at all."""
    return [*_told(_pages, connection, space), *_told(_commits, connection, space)]


def _told(
    look: Callable[[Connection, Space], Iterable[str]], connection: Connection, space: Space
) -> list[Finding]:
    try:
        reasons = list(look(connection, space))
    except sqlite3.DatabaseError as error:
        if code_of(error) not in DAMAGED:
            raise
        reasons = [f"{look.__name__.strip('_')}: {error.sqlite_errorname}: {error}"]
    except Corrupt as error:
        reasons = [str(error)]
    return [Finding("damaged", space.path, reason) for reason in reasons]


def _pages(connection: Connection, space: Space) -> Iterable[str]:
    for (said,) in connection.execute(f"PRAGMA integrity_check({MOST})"):
        for line in said.decode(errors="replace").splitlines():
            if line != "ok":
                yield f"integrity_check: {line}"


def _commits(connection: Connection, space: Space) -> Iterable[str]:
    """Read what is remembered of commits, as a start does."""
    rows = connection.execute("SELECT head, commit_id, at FROM commits WHERE namespace = ?", (space.number,))
    (newest,) = connection.execute("SELECT head FROM namespaces WHERE id = ?", (space.number,)).fetchone()
    for head, commit_id, at in rows:
        if not (isinstance(head, int) and isinstance(at, int) and 0 < head <= newest):
            yield f"commit {head!r} is none: its number or time cannot be right (the head is {newest})"
        text(space, f"commit {head}", commit_id)
