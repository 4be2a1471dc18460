"""Readers and `verify` beside a writer that is quick: what moves under them is read again, and is never a fault."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import HoldfastError, Unavailable
from holdfast.store import Append, Key, Put, Store
from holdfast.store.backends.file.disk import Disk, Stamp
from holdfast.store.backends.file.reader import FileReader
from holdfast.store.backends.file.store import FileStore
from holdfast.store.backends.file.verify import verify

KEY = Key("s", "B")
NEW = Key("s", "new")
PAD = Key("s", "pad")
Act = Callable[[FileStore], Awaitable[None]]


class MovingDisk(Disk):
    """A reader's disk: what `meanwhile` says happens at the first call of that name on a path that ends so."""

    def __init__(self) -> None:
        self._plans: list[tuple[str, str, Callable[[], object]]] = []
        self.done = 0

    def meanwhile(self, call: str, ending: str, act: Callable[[], object]) -> None:
        self._plans.append((call, ending, act))

    def open(self, path: str, *, write: bool = False) -> int:
        self._did("open", path)
        return super().open(path, write=write)

    def read(self, path: str) -> bytes:
        self._did("read", path)
        return super().read(path)

    def stamp(self, path: str) -> Stamp | None:
        found = super().stamp(path)
        self._did("stamp", path)
        return found

    def folder(self, path: str) -> list[tuple[str, bool]]:
        self._did("folder", path)
        return super().folder(path)

    def _did(self, call: str, path: str) -> None:
        if self._plans and self._plans[0][0] == call and path.endswith(self._plans[0][1]):
            self.done += 1
            self._plans.pop(0)[2]()


@asynccontextmanager
async def writing(folder: Path, **options: Any) -> AsyncIterator[FileStore]:
    defaults = {"segment_bytes": 2048, "flush_seconds": 0.01, "checkpoint_seconds": 1e9}
    async with FileStore(str(folder), **{**defaults, **options}) as store:
        await store.commit([Put(KEY, 1), Append("h", 1)])
        await store.checkpoint()
        await store.commit([Put(KEY, 2), Append("h", 2)])
        yield store


def from_thread(store: FileStore, act: Act) -> Callable[[], None]:
    """Return what does `act` on this event loop and waits for it, to be called on a reader's thread."""
    loop = asyncio.get_running_loop()

    async def run() -> None:
        await act(store)

    return lambda: asyncio.run_coroutine_threadsafe(run(), loop).result(20)


async def roll(store: Store) -> None:
    """Fill segments, and drop them by a checkpoint."""
    assert isinstance(store, FileStore)
    for number in range(3, 9):
        await store.commit([Put(KEY, number), Append("h", number), Put(PAD, "x" * 1500)])
    await store.checkpoint()


async def newer_files(store: FileStore) -> None:
    """Commit, and wait until the entity files have it."""
    await store.commit([Put(KEY, 3), Put(NEW, 1)])
    last = Path(store.base_dir) / "s" / "new.json"
    for _ in range(40_000):
        if last.exists():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("the entity files do not follow")


async def seen(reader: FileReader) -> tuple[Any, list[Any]]:
    (record,) = await reader.get(KEY)
    assert record is not None
    return record.value, [event.value async for event in reader.read("h")]


@pytest.mark.parametrize("place", [("open", ".log"), ("read", ".log"), ("stamp", "2.log"), ("folder", "/s")])
async def test_a_segment_is_dropped_meanwhile(tmp_path: Path, place: tuple[str, str]) -> None:
    async with writing(tmp_path) as store:
        disk = MovingDisk()
        disk.meanwhile(*place, from_thread(store, roll))
        async with FileReader(str(tmp_path), disk=disk) as reader:
            assert disk.done == 1
            assert await seen(reader) == (8, list(range(1, 9)))
            assert reader.findings == ()


async def test_a_segment_is_dropped_between_two_reads(tmp_path: Path) -> None:
    async with writing(tmp_path) as store:
        disk = MovingDisk()
        async with FileReader(str(tmp_path), disk=disk) as reader:
            assert await seen(reader) == (2, [1, 2])
            await store.commit([Put(PAD, "x" * 1900)])
            disk.meanwhile("stamp", "2.log", from_thread(store, roll))
            assert await seen(reader) == (8, list(range(1, 9)))
            assert disk.done == 1


async def test_files_newer_than_the_journal_that_was_read(tmp_path: Path) -> None:
    async with writing(tmp_path) as store:
        disk = MovingDisk()
        disk.meanwhile("folder", str(tmp_path), from_thread(store, newer_files))
        async with FileReader(str(tmp_path), disk=disk) as reader:
            assert disk.done == 1
            assert reader.findings == ()
            assert (await seen(reader))[0] == 3


async def test_newer_files_whose_journal_is_dropped(tmp_path: Path) -> None:
    async with writing(tmp_path) as store:
        disk = MovingDisk()
        disk.meanwhile("folder", str(tmp_path), from_thread(store, newer_files))
        disk.meanwhile("open", ".log", from_thread(store, roll))
        async with FileReader(str(tmp_path), disk=disk) as reader:
            assert disk.done == 2
            assert reader.findings == ()
            assert (await seen(reader))[0] == 8


async def test_verify_of_a_store_in_use(tmp_path: Path) -> None:
    async with writing(tmp_path) as store:
        disk = MovingDisk()
        disk.meanwhile("folder", str(tmp_path), from_thread(store, newer_files))
        assert await asyncio.to_thread(lambda: verify(str(tmp_path), disk=disk)) == []
        assert disk.done == 1


async def test_a_store_that_never_stands_still(tmp_path: Path) -> None:
    async with writing(tmp_path) as store:
        disk = MovingDisk()
        for _ in range(100):
            disk.meanwhile("folder", str(tmp_path), from_thread(store, lambda store: store.checkpoint()))
        with pytest.raises(Unavailable, match="faster") as caught:
            await FileReader(str(tmp_path), disk=disk).open()
        assert caught.value.unknown is False


async def test_closed_while_it_is_used(tmp_path: Path) -> None:
    async with writing(tmp_path):
        pass
    reader = FileReader(str(tmp_path))
    await reader.open()
    tasks = [asyncio.ensure_future(reader.get(KEY)) for _ in range(5)]
    await asyncio.sleep(0)
    await reader.close()
    for found in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(found, list | HoldfastError)


async def test_opened_twice_at_once(tmp_path: Path) -> None:
    async with writing(tmp_path):
        pass
    disk = MovingDisk()
    opens: list[int] = []
    for _ in range(2):
        disk.meanwhile("folder", str(tmp_path), lambda: opens.append(1))
    reader = FileReader(str(tmp_path), disk=disk)
    await asyncio.gather(reader.open(), reader.open())
    await reader.close()
    assert opens == [1]


async def test_numbers_before_the_first_are_none(tmp_path: Path) -> None:
    async with writing(tmp_path) as store, FileReader(str(tmp_path)) as reader:
        for one in (store, reader):
            assert [event.number async for event in one.read("h", after=-5, limit=2)] == [1, 2]
