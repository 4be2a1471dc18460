"""The transaction: a batch of commits is decided and written under the write lock, and flushed once.

BEGIN IMMEDIATE takes the lock before anything is read, so nothing that was read can change before it is written; a
transaction that starts by reading would fail half-way, or lose an update.
"""

import sqlite3
from collections.abc import Sequence

from holdfast import points
from holdfast.store.backends.sqlite.faults import explain
from holdfast.store.backends.sqlite.reading import Space, find_space, head_of, last_number, remembers, text
from holdfast.store.backends.sqlite.remembering import forget, forget_leftovers
from holdfast.store.backends.sqlite.schema import FORMAT
from holdfast.store.base import Key, Version
from holdfast.store.deciding import Decision, keys_of, streams_of
from holdfast.store.group import Outcome, Request

__all__ = ("enter", "write")

Connection = sqlite3.Connection


def enter(connection: Connection, name: str, path: str, now: int) -> Space:
    """Return the namespace of that name, made where it is not there."""
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(
        "INSERT INTO namespaces (name, format, head) VALUES (?, ?, 0) ON CONFLICT (name) DO NOTHING",
        (name, FORMAT),
    )
    space = find_space(connection, name, path)
    forget_leftovers(connection, space, head_of(connection, space, 0), now)
    _commit(connection, path)
    return space


def write(
    connection: Connection, space: Space, batch: Sequence[Request], *, least: int, now: int, forgettable: int
) -> tuple[list[Outcome], Decision]:
    """Write what of a batch counts, durably; return each commit's outcome and what came of all."""
    connection.execute("BEGIN IMMEDIATE")
    points.reached("sqlite.began")
    decision = Decision(
        _versions(connection, space, keys_of(batch)),
        {stream: last_number(connection, space, stream) for stream in streams_of(batch)},
        [each.commit_id for each in batch if remembers(connection, space, each.commit_id)],
        head_of(connection, space, least),
    )
    outcomes: list[Outcome] = [decision.take(request) for request in batch]
    if not decision.commits:
        connection.execute("ROLLBACK")
        return outcomes, decision
    _apply(connection, space, decision, now)
    forget(connection, space, forgettable)
    points.reached("sqlite.written")
    _commit(connection, space.path)
    points.reached("sqlite.committed")
    return outcomes, decision


def _commit(connection: Connection, path: str) -> None:
    try:
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise explain(error, path, committing=True) from error


def _versions(connection: Connection, space: Space, keys: Sequence[Key]) -> dict[Key, Version]:
    question = "SELECT version FROM records WHERE namespace = ? AND entity_name = ? AND entity_id = ?"
    found = {}
    for key in keys:
        row = connection.execute(question, (space.number, key.entity_name, key.entity_id)).fetchone()
        if row is not None:
            found[key] = text(space, key, row[0])
    return found


def _apply(connection: Connection, space: Space, decision: Decision, now: int) -> None:
    here = space.number
    removed = [key for key, new in decision.written.items() if new is None]
    connection.executemany(
        "DELETE FROM records WHERE namespace = ? AND entity_name = ? AND entity_id = ?",
        ((here, key.entity_name, key.entity_id) for key in removed),
    )
    connection.executemany(
        "INSERT INTO records (namespace, entity_name, entity_id, value, version) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET value = excluded.value, version = excluded.version",
        (
            (here, key.entity_name, key.entity_id, new[0].decode(), new[1])
            for key, new in decision.written.items()
            if new is not None
        ),
    )
    connection.executemany(
        "INSERT INTO events (namespace, stream, number, value, version) VALUES (?, ?, ?, ?, ?)",
        ((here, new.stream, new.number, new.value.decode(), new.version) for new in decision.events),
    )
    connection.executemany(
        "INSERT INTO commits (namespace, head, commit_id, at) VALUES (?, ?, ?, ?)",
        ((here, head, commit_id, now) for commit_id, head in decision.commits),
    )
    connection.execute("UPDATE namespaces SET head = ? WHERE id = ?", (decision.head, here))
