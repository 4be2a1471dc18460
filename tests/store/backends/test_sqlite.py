"""`sqlite:` keeps the whole contract, alone and seen from another process's connection."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast.store import Append, Event, Key, Names, Put, Record, Store, open_store
from holdfast.store.backends.sqlite.store import SqliteStore
from holdfast.store.wrappers.base import Wrapper
from tests.store.contract import StoreContract


class TestSqliteNamespace(StoreContract):
    """A namespace with an odd name, beside others in one file."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return open_store(f"sqlite:///{tmp_path}/state.db?namespace=Other/One'")


def bytes_read() -> int:
    """Return how many bytes this process has read so far, of files in the cache too."""
    return int(Path("/proc/self/io").read_text().split()[1])


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="only Linux counts what a process reads")
async def test_nobody_reads_a_large_value_who_looks_for_the_key_beside_it(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path}/state.db") as store:
        await store.commit([Put(Key("n", "50"), "x" * 5_000_000), Append("s", "x" * 5_000_000)])
        before = bytes_read()
        await store.commit([Put(Key("n", f"{i:02d}-"), i) for i in range(100)])
        await store.commit([Append("s", i) for i in range(3)])
        await store.get(*(Key("n", f"{i:02d}-") for i in range(100)))
        assert await store.last_number("s") == 4
        assert bytes_read() - before < 20_000_000
        assert len([record async for record in store.scan("n", after="49-", limit=1)]) == 1
        assert bytes_read() - before > 5_000_000  # the control: this one is read


class SeenFromOutside(Wrapper):
    """Commits through one open store, reads through another of the same file."""

    def __init__(self, writer: Store, reader: Store) -> None:
        super().__init__(writer)
        self.reader = reader

    async def open(self) -> None:
        await self.inner.open()
        await self.reader.open()

    async def close(self) -> None:
        await self.reader.close()
        await self.inner.close()

    async def get(self, *keys: Key) -> list[Record | None]:
        return await self.reader.get(*keys)

    async def scan(
        self, entity_name: str, *, after: str | None = None, limit: int | None = None
    ) -> AsyncIterator[Record]:
        async for record in self.reader.scan(entity_name, after=after, limit=limit):
            yield record

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> AsyncIterator[Event]:
        async for event in self.reader.read(stream, after=after, limit=limit):
            yield event

    async def names(self) -> Names:
        return await self.reader.names()

    async def last_number(self, stream: str) -> int:
        return await self.reader.last_number(stream)


class TestSqliteSeenFromOutside(StoreContract):
    """A writer, and a second open store of the same file as the reader."""

    @pytest.fixture(params=["rw", "ro"])
    def store(self, tmp_path: Path, request: pytest.FixtureRequest) -> Store:
        path = str(tmp_path / "state.db")
        return SeenFromOutside(SqliteStore(path), SqliteStore(path, read_only=request.param == "ro"))
