"""A damaged SQLite file is found by `verify`, wherever the damage is; reading records and events would not do."""

import sqlite3
from pathlib import Path

import pytest

from holdfast.store import Append, Key, Put
from holdfast.store.backends.sqlite.store import SqliteStore
from holdfast.store.tools import verify

TABLES = ["records", "events", "commits", "commits_by_id", "sqlite_autoindex_records_1"]
PAGE = 4096


async def filled(path: Path) -> None:
    async with SqliteStore(str(path)) as store:
        for n in range(40):
            value = {"n": n, "text": "x" * 300}
            await store.commit([Put(Key("state.s", f"id-{n}"), value), Append("history.s.X", value)])


async def found(path: Path) -> list[str]:
    async with SqliteStore(str(path), read_only=True) as store:
        return [one.reason for one in await verify(store)]


def root_of(path: Path, name: str) -> int:
    connection = sqlite3.connect(path)
    try:
        query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        return int(connection.execute(query, (name,)).fetchone()[0])
    finally:
        connection.close()


def harm(path: Path, page: int) -> None:
    data = bytearray(path.read_bytes())
    start = (page - 1) * PAGE
    data[start + 100 : start + PAGE] = bytes((n * 167 + 13) % 256 for n in range(PAGE - 100))
    path.write_bytes(data)


@pytest.mark.parametrize("name", TABLES)
async def test_damage_is_found_in_every_table_and_index(tmp_path: Path, name: str) -> None:
    path = tmp_path / "state.db"
    await filled(path)
    assert await found(path) == []
    harm(path, root_of(path, name))
    assert await found(path)


async def test_reading_alone_does_not_find_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.db"
    await filled(path)
    harm(path, root_of(path, "commits_by_id"))
    monkeypatch.setattr(SqliteStore, "examine", None)
    assert await found(path) == []


async def test_a_remembered_commit_that_cannot_be_is_found(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    await filled(path)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE commits SET head = 9999 WHERE head = 7")
    connection.commit()
    connection.close()
    assert ["9999" in reason for reason in await found(path)] == [True]
