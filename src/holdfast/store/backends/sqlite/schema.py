"""The tables, and the file that a new store is born as: complete, so that nobody ever sees half of one.

Values are the JSON text exactly as encoded, so `json_extract(value, '$.side')` works in any SQLite shell. They stand
last in their rows, and the rows apart from their keys: in a table WITHOUT ROWID whoever looks for a key reads every
large value that it is compared with, all of it (a thousand keys beside one value of 10 MB took fifteen seconds).
"""

import sqlite3
from functools import cache
from typing import Final

__all__ = ("APPLICATION_ID", "FORMAT", "image")

FORMAT: Final = 1
"""Version of the tables, kept as `user_version` and for each namespace."""

APPLICATION_ID: Final = 0x486F6C64
"""What marks a database as ours: "Hold"."""

_WAL: Final = b"\x02\x02"
_FORMATS: Final = slice(18, 20)

_TABLES: Final = f"""
PRAGMA page_size = 4096;
PRAGMA encoding = 'UTF-8';
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {FORMAT};
CREATE TABLE namespaces (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    format INTEGER NOT NULL,
    head INTEGER NOT NULL
);
CREATE TABLE records (
    namespace INTEGER NOT NULL,
    entity_name TEXT NOT NULL,
    entity_id TEXT NOT NULL,
    version TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (namespace, entity_name, entity_id)
);
CREATE TABLE events (
    namespace INTEGER NOT NULL,
    stream TEXT NOT NULL,
    number INTEGER NOT NULL,
    version TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (namespace, stream, number)
);
CREATE TABLE commits (
    namespace INTEGER NOT NULL,
    head INTEGER NOT NULL,
    commit_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (namespace, head)
) WITHOUT ROWID;
CREATE UNIQUE INDEX commits_by_id ON commits (namespace, commit_id);
"""


@cache
def image() -> bytes:
    """Return the bytes of an empty store's file.

    Its header says WAL from the start (bytes 18 and 19, the format's "write and read version"), so that no process
    has to switch the mode, which needs the file for itself.
    """
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        connection.executescript(_TABLES)
        made = bytearray(connection.serialize())
    finally:
        connection.close()
    made[_FORMATS] = _WAL
    return bytes(made)
