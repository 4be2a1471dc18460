"""What recovery is compared with: connect with the bare driver, and fetch all records of a table, hash or folder.

Each holds the same JSON of the same records, and nothing else: no versions, no checks, no other process's commits.
"""

import importlib
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from benchmarks.contenders import Place

__all__ = ("SCANS", "Rows")

Rows = Sequence[tuple[str, str]]
"""Ids and the JSON of their records."""

Scan = Callable[[], Awaitable[Iterable[str | bytes]]]


@asynccontextmanager
async def files(place: Place, rows: Rows) -> AsyncIterator[Scan]:
    """A file each, all in one folder."""
    folder = place.folder / "scan"
    folder.mkdir()
    for name, text in rows:
        (folder / f"{name}.json").write_text(text)

    async def scan() -> Iterable[str | bytes]:
        return [path.read_bytes() for path in sorted(folder.iterdir())]

    yield scan


@asynccontextmanager
async def sqlite(place: Place, rows: Rows) -> AsyncIterator[Scan]:
    """A table with the id as its key."""
    path = place.folder / "scan.db"
    with sqlite3.connect(path) as base:
        base.execute("pragma journal_mode=WAL")
        base.execute("create table e(k text primary key, v)")
        base.executemany("insert into e values(?, ?)", rows)
    base.close()

    async def scan() -> Iterable[str | bytes]:
        base = sqlite3.connect(path)
        try:
            return [row[0] for row in base.execute("select v from e order by k")]
        finally:
            base.close()

    yield scan


@asynccontextmanager
async def redis(place: Place, rows: Rows) -> AsyncIterator[Scan]:
    """A hash, fetched with HGETALL."""
    driver = importlib.import_module("redis.asyncio")
    async with driver.Redis(host="127.0.0.1", port=place.redis.port, db=4) as client:
        await client.hset("scan", mapping=dict(rows))

    async def scan() -> Iterable[str | bytes]:
        async with driver.Redis(host="127.0.0.1", port=place.redis.port, db=4) as client:
            found: dict[bytes, bytes] = await client.hgetall("scan")
            return found.values()

    yield scan


@asynccontextmanager
async def postgres(place: Place, rows: Rows) -> AsyncIterator[Scan]:
    """A table with the id as its key."""
    driver = importlib.import_module("asyncpg")
    base = await driver.connect(place.postgres.url)
    await base.execute("create table scan(k text primary key, v text)")
    await base.executemany("insert into scan values($1, $2)", rows)
    await base.close()

    async def scan() -> Iterable[str | bytes]:
        base = await driver.connect(place.postgres.url)
        try:
            return [row[0] for row in await base.fetch("select v from scan order by k")]
        finally:
            await base.close()

    yield scan


SCANS: dict[str, Callable[[Place, Rows], AbstractAsyncContextManager[Scan]]] = {
    "file": files, "sqlite": sqlite, "redis": redis, "postgres": postgres,
}  # fmt: skip
