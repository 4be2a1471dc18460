"""What the tests on PostgreSQL share: one server a session, a namespace a test, and ways to look behind a store."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from holdfast.store import Key, Store, open_store
from holdfast.testing.servers.postgres import PostgresServer
from tests.conftest import need_servers

__all__ = ("A", "B", "Locked", "fresh", "need_postgres", "postgres", "through", "until", "value")

A = Key("signal.one", "BTCUSDT")
B = Key("signal.one", "ETHUSDT")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for all tests that do it no harm."""
    need_servers("postgres")
    # Whoever counts what a commit costs would count what a vacuum costs that comes just then.
    with PostgresServer({"autovacuum": "off"}) as server:
        yield server


def need_postgres() -> None:
    """Skip what needs the server's programs where they are not installed."""
    need_servers("postgres")


def fresh(url: str, **options: object) -> Store:
    """Return a store in a namespace of its own."""
    query = "&".join(f"{name}={value}" for name, value in options.items())
    return open_store(
        f"{url}{'&' if '?' in url else '?'}{query}" if query else url, namespace=secrets.token_hex(8)
    )


def through(url: str, server: PostgresServer, port: int) -> str:
    """Return a URL that goes by way of a proxy."""
    return url.replace(f":{server.port}/", f":{port}/")


async def until(condition: Callable[[], Awaitable[bool]], *, limit: float = 100.0) -> None:
    """Return when a condition holds; fails where it never does."""
    async with asyncio.timeout(limit):
        while not await condition():  # noqa: ASYNC110  # what it waits for is in another process
            await asyncio.sleep(0.01)


async def value(store: Store, key: Key) -> Any:
    (record,) = await store.get(key)
    return None if record is None else record.value


class Locked:
    """A namespace whose row another session holds, so that a commit stops between its check and its end."""

    def __init__(self, server: PostgresServer, schema: str = "holdfast") -> None:
        self._server = server
        self._ask = f"SELECT FROM {schema}.namespace WHERE namespace = $1 FOR UPDATE"

    @asynccontextmanager
    async def row(self, namespace: str) -> AsyncIterator[Any]:
        """Hold the row; what the session does is committed at the end."""
        session = await asyncpg.connect(self._server.url, ssl=False)
        try:
            async with session.transaction():
                await session.fetch(self._ask, namespace)
                yield session
        finally:
            await session.close()

    async def waiters(self) -> int:
        """How many sessions wait for a lock."""
        session = await asyncpg.connect(self._server.url, ssl=False)
        try:
            found = await session.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            )
            return int(found)
        finally:
            await session.close()
