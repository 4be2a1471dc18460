"""What `benchmarks stores` compares: Holdfast on each backend, the bare drivers, and other stores, on the same servers.

Each contender puts and gets the same document of about 1 KB under one of 64 keys, as its users would: bare drivers
write one row or key, without versions, checks or history. One that is not installed, or has no server here, is
named and left out.
"""

import importlib
import json
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.store import document
from holdfast.store import Key, Put, open_store
from holdfast.testing.servers.postgres import PostgresServer
from holdfast.testing.servers.redis import RedisServer

KEYS = 64
RAW = "raw pwrite+fdatasync, 1 writer"
DOCUMENTS = [document(number) for number in range(64)]
TEXTS = [json.dumps(each, separators=(",", ":")) for each in DOCUMENTS]

Use = Callable[[int, int], Awaitable[Any]]


class Contender(NamedTuple):
    """`put(writer, number)` and `get(writer, number)`; what an acknowledged put survives, as configured here.

    `alone` is the put of who writes alone, where that is done otherwise.
    """

    name: str
    put: Use
    get: Use | None
    durability: str
    tasks: bool = True
    """Whether 64 tasks may use it at once."""
    alone: Use | None = None


class Missing(Exception):
    """A contender that cannot take part here, and why."""


class Place(NamedTuple):
    """Where contenders keep their data: a folder on the disk that is measured, and servers with data on it."""

    folder: Path
    redis: RedisServer
    postgres: PostgresServer


def name_of(writer: int, number: int) -> str:
    return f"k{(writer * 7 + number) % KEYS}"


# ------------------------------------------------------------ base lines


@asynccontextmanager
async def raw(place: Place) -> AsyncIterator[Contender]:
    fd = os.open(place.folder / "raw", os.O_RDWR | os.O_CREAT, 0o600)
    size = 64 << 20
    for offset in range(0, size, 1 << 20):
        os.pwrite(fd, bytes(1 << 20), offset)
    os.fsync(fd)
    payload = os.urandom(1024)

    async def put(writer: int, number: int) -> None:
        os.pwrite(fd, payload, number * 1024 % size)
        os.fdatasync(fd)

    yield Contender(RAW, put, None, "power loss", tasks=False)
    os.close(fd)


@asynccontextmanager
async def bare_sqlite(place: Place) -> AsyncIterator[Contender]:
    base = sqlite3.connect(place.folder / "bare.db", isolation_level=None)
    base.executescript(
        "pragma journal_mode=WAL; pragma synchronous=FULL; create table e(k text primary key, v)"
    )

    async def put(writer: int, number: int) -> None:
        base.execute("insert or replace into e values(?,?)", (name_of(writer, number), TEXTS[number & 63]))

    async def get(writer: int, number: int) -> None:
        base.execute("select v from e where k=?", (name_of(writer, number),)).fetchone()

    yield Contender("sqlite3, WAL, FULL, blocking", put, get, "power loss", tasks=False)
    base.close()


@asynccontextmanager
async def bare_redis(place: Place) -> AsyncIterator[Contender]:
    redis = importlib.import_module("redis.asyncio")
    client = redis.Redis(host="127.0.0.1", port=place.redis.port, db=1)

    async def put(writer: int, number: int) -> None:
        await client.set(name_of(writer, number), TEXTS[number & 63])

    async def get(writer: int, number: int) -> None:
        await client.get(name_of(writer, number))

    yield Contender("redis-py SET, a task each", put, get, "power loss")
    await client.aclose()


@asynccontextmanager
async def bare_asyncpg(place: Place) -> AsyncIterator[Contender]:
    asyncpg = importlib.import_module("asyncpg")
    pool = await asyncpg.create_pool(place.postgres.url, min_size=16, max_size=16)
    await pool.execute("create table if not exists bare(k text primary key, v text)")
    alone = await asyncpg.connect(place.postgres.url)
    upsert = "insert into bare values($1,$2) on conflict(k) do update set v=excluded.v"
    prepared = await alone.prepare(upsert)

    async def put(writer: int, number: int) -> None:
        async with pool.acquire() as one:
            await one.execute(upsert, name_of(writer, number), TEXTS[number & 63])

    async def put_alone(writer: int, number: int) -> None:
        await prepared.fetch(name_of(writer, number), TEXTS[number & 63])

    async def get(writer: int, number: int) -> None:
        await alone.fetchrow("select v from bare where k=$1", name_of(writer, number))

    name = "asyncpg upsert of one row, prepared (64 writers: pool of 16)"
    yield Contender(name, put, get, "power loss", alone=put_alone)
    await alone.close()
    await pool.close()


# ------------------------------------------------------------ Holdfast


def holdfast(name: str, url_of: Callable[[Place], str]) -> Any:
    """Return what opens Holdfast on a backend."""

    @asynccontextmanager
    async def opened(place: Place) -> AsyncIterator[Contender]:
        async with open_store(url_of(place)) as store:
            keys = {f"k{i}": Key("signal.bench", f"k{i}") for i in range(KEYS)}

            async def put(writer: int, number: int) -> None:
                await store.commit([Put(keys[name_of(writer, number)], DOCUMENTS[number & 63])])

            async def get(writer: int, number: int) -> None:
                await store.get(keys[name_of(writer, number)])

            durability = store.durability.name.lower().replace("_", " ")
            yield Contender(f"**Holdfast {name}**", put, get, durability)

    return opened


# ------------------------------------------------------------ other stores


@asynccontextmanager
async def aiosqlite(place: Place) -> AsyncIterator[Contender]:
    driver = importlib.import_module("aiosqlite")
    async with driver.connect(place.folder / "aio.db", isolation_level=None) as base:
        await base.executescript(
            "pragma journal_mode=WAL; pragma synchronous=FULL; create table e(k text primary key, v)"
        )

        async def put(writer: int, number: int) -> None:
            await base.execute(
                "insert or replace into e values(?,?)", (name_of(writer, number), TEXTS[number & 63])
            )

        async def get(writer: int, number: int) -> None:
            async with base.execute("select v from e where k=?", (name_of(writer, number),)) as rows:
                await rows.fetchone()

        yield Contender("aiosqlite, WAL, FULL", put, get, "power loss")


def key_value(name: str, make: Callable[[Place], Any]) -> Any:
    """Return what opens a store of py-key-value-aio."""

    @asynccontextmanager
    async def opened(place: Place) -> AsyncIterator[Contender]:
        store = make(place)
        async with AsyncExitStack() as stack:
            if hasattr(store, "__aenter__"):
                await stack.enter_async_context(store)

            async def put(writer: int, number: int) -> None:
                await store.put(name_of(writer, number), DOCUMENTS[number & 63], collection="bench")

            async def get(writer: int, number: int) -> None:
                await store.get(name_of(writer, number), collection="bench")

            yield Contender(name, put, get, "power loss")

    return opened


def _key_value_redis(place: Place) -> Any:
    module = importlib.import_module("key_value.aio.stores.redis")
    return module.RedisStore(host="127.0.0.1", port=place.redis.port, db=2)


def _key_value_postgres(place: Place) -> Any:
    module = importlib.import_module("key_value.aio.stores.postgresql")
    return module.PostgreSQLStore(url=place.postgres.url)


def _checkpoint(number: int) -> dict[str, Any]:
    return {
        "v": 4, "id": f"{time.time_ns():020x}-{number}", "ts": "2026-01-01T00:00:00+00:00", "versions_seen": {},
        "channel_values": {"signal": DOCUMENTS[number & 63]}, "channel_versions": {"signal": f"{number:032}.0"},
    }  # fmt: skip


def _saver(name: str, saver: Any) -> Contender:
    def config(writer: int) -> dict[str, Any]:
        return {"configurable": {"thread_id": f"t{writer}", "checkpoint_ns": ""}}

    async def put(writer: int, number: int) -> None:
        one = _checkpoint(number)
        await saver.aput(
            config(writer), one, {"source": "loop", "step": 1, "parents": {}}, one["channel_versions"]
        )

    async def get(writer: int, number: int) -> None:
        await saver.aget_tuple(config(0))

    return Contender(name, put, get, "power loss")


@asynccontextmanager
async def langgraph_sqlite(place: Place) -> AsyncIterator[Contender]:
    module = importlib.import_module("langgraph.checkpoint.sqlite.aio")
    async with module.AsyncSqliteSaver.from_conn_string(str(place.folder / "langgraph.db")) as saver:
        await saver.setup()
        yield _saver("langgraph AsyncSqliteSaver", saver)


@asynccontextmanager
async def langgraph_postgres(place: Place) -> AsyncIterator[Contender]:
    module = importlib.import_module("langgraph.checkpoint.postgres.aio")
    pools, rows = importlib.import_module("psycopg_pool"), importlib.import_module("psycopg.rows")
    options = {"autocommit": True, "prepare_threshold": 0, "row_factory": rows.dict_row}
    async with pools.AsyncConnectionPool(
        place.postgres.url, min_size=16, max_size=16, kwargs=options
    ) as pool:
        saver = module.AsyncPostgresSaver(pool)
        await saver.setup()
        yield _saver("langgraph AsyncPostgresSaver, pool of 16", saver)


FAMILIES: dict[str, dict[str, Any]] = {
    "base": {"raw": raw},
    "file": {"file": holdfast("file", lambda place: f"file:{place.folder}/data")},
    "sqlite": {
        "bare": bare_sqlite,
        "holdfast": holdfast("sqlite", lambda place: f"sqlite:///{place.folder}/holdfast.db"),
        "aiosqlite": aiosqlite,
        "langgraph": langgraph_sqlite,
    },
    "redis": {
        "bare": bare_redis,
        "holdfast": holdfast("redis", lambda place: place.redis.url),
        "key-value": key_value("py-key-value-aio RedisStore", _key_value_redis),
    },
    "postgres": {
        "bare": bare_asyncpg,
        "holdfast": holdfast("postgresql", lambda place: place.postgres.url),
        "key-value": key_value("py-key-value-aio PostgreSQLStore", _key_value_postgres),
        "langgraph": langgraph_postgres,
    },
}
"""What is compared with what: the first of each family is the bare driver."""
