"""Checkpoints that are cancelled, overtaken by a close, or fail: nothing is lost, doubled, or written afterwards."""

import asyncio
import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import NotOpen, StoreFull, Unavailable
from holdfast.store import Append, Delete, Key, Put, Store
from holdfast.store.backends.file.disk import Disk
from holdfast.store.backends.file.store import FileStore
from tests.store.gated import GatedDisk, idle

KEY = Key("signal.one", "BTCUSDT")


async def value(store: Store) -> Any:
    (record,) = await store.get(KEY)
    return None if record is None else record.value


async def events(store: Store, stream: str = "h") -> list[Any]:
    return [event.value async for event in store.read(stream)]


async def given_up(task: "asyncio.Task[Any]") -> None:
    """Cancel `task`, which does not wait for what it began."""
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=100)
    assert done
    assert task.cancelled()


# Cancelled


async def test_cancelled_checkpoint_writes_no_event_twice(tmp_path: Path) -> None:
    disk = GatedDisk()
    async with FileStore(str(tmp_path), disk=disk, **idle()) as store:
        await store.commit([Append("h", 1)])
        disk.hold("flush_all", "")
        task = asyncio.create_task(store.checkpoint())
        await disk.reached()
        await given_up(task)
        again = asyncio.create_task(store.checkpoint())
        await asyncio.wait({again}, timeout=0.05)
        assert not again.done(), "there is one checkpoint at a time"
        disk.let_go()
        await again
        assert await events(store) == [1]
    async with FileStore(str(tmp_path)) as store:
        assert await events(store) == [1]


async def test_checkpoint_cancelled_before_it_ran_loses_nothing(tmp_path: Path) -> None:
    disk = GatedDisk()
    async with FileStore(str(tmp_path), disk=disk, **idle()) as store:
        await store.commit([Put(KEY, "old"), Append("h", 1)])
        await store.checkpoint()
        await store.commit([Put(KEY, "new")])
        disk.hold("read", ".jsonl")
        first = asyncio.create_task(events(store))
        await disk.reached()
        task = asyncio.create_task(store.checkpoint())
        others = [
            asyncio.create_task(events(store)) for _ in range(3)
        ]  # so that each thread for readers is busy
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait({task}, timeout=100)
        disk.let_go()
        assert await asyncio.gather(first, *others) == [[1]] * 4
        await store.checkpoint()
    async with FileStore(str(tmp_path)) as store:
        assert await value(store) == "new"
        assert not store.findings


async def test_readers_do_not_hold_up_a_checkpoint(tmp_path: Path) -> None:
    disk = GatedDisk()
    async with FileStore(str(tmp_path), disk=disk, **idle()) as store:
        await store.commit([Append("h", 1)])
        await store.checkpoint()
        disk.hold("read", ".jsonl")
        reader = asyncio.create_task(events(store))
        await disk.reached()
        await store.checkpoint()
        disk.let_go()
        assert await reader == [1]


async def test_a_failed_checkpoint_is_taken_up_again(tmp_path: Path) -> None:
    """What could not be written stays to be written."""
    disk = Failing("create", "signal.one", errno.ENOSPC)
    async with FileStore(str(tmp_path), disk=disk, **idle()) as store:
        await store.commit([Put(KEY, "new")])
        disk.times = 1
        with pytest.raises(StoreFull):
            await store.checkpoint()
        await store.checkpoint()
        assert '"new"' in (tmp_path / "signal.one" / "BTCUSDT.json").read_text()


# Closed meanwhile


async def test_close_waits_for_a_checkpoint(tmp_path: Path) -> None:
    disk = GatedDisk()
    store = FileStore(str(tmp_path), disk=disk, **idle())
    await store.open()
    await store.commit([Put(KEY, 1), Append("h", 1)])
    disk.hold("rename", "/.holdfast/manifest")
    running = asyncio.create_task(store.checkpoint())
    await disk.reached()
    await store.commit([Put(KEY, 2), Append("h", 2)])
    waiting = asyncio.create_task(store.checkpoint())
    closing = asyncio.create_task(store.close())
    await asyncio.wait({closing}, timeout=0.05)
    assert not closing.done()
    disk.let_go()
    await asyncio.gather(running, closing)
    with pytest.raises(NotOpen):
        await waiting
    async with FileStore(str(tmp_path)) as store:
        assert await value(store) == 2
        assert await events(store) == [1, 2]


# Cancelled with all others


def keeper() -> "asyncio.Task[None]":
    (found,) = [task for task in asyncio.all_tasks() if task.get_name() == "holdfast-keeper"]
    return found


async def test_close_without_the_keeper_is_a_clean_one(tmp_path: Path) -> None:
    store = FileStore(str(tmp_path), **idle())
    await store.open()
    await store.commit([Put(KEY, 1)])
    await given_up(keeper())
    await store.close()
    assert (tmp_path / "signal.one" / "BTCUSDT.json").exists()
    assert not list((tmp_path / ".holdfast" / "journal").glob("*.log"))
    async with FileStore(str(tmp_path)) as store:
        assert await value(store) == 1


async def test_a_commit_brings_back_the_keeper(tmp_path: Path) -> None:
    async with FileStore(str(tmp_path), flush_seconds=0.001) as store:
        await given_up(keeper())
        await store.commit([Put(KEY, 1)])
        async with asyncio.timeout(200):
            while not (tmp_path / "signal.one" / "BTCUSDT.json").exists():  # noqa: ASYNC110
                await asyncio.sleep(0.005)


async def test_close_waits_for_the_journal_before_its_descriptor_is_free(tmp_path: Path) -> None:
    """A descriptor that is closed under a writer is soon that of another file."""
    disk = GatedDisk()
    store = FileStore(f"{tmp_path}/data", disk=disk, **idle())
    await store.open()
    await store.checkpoint()
    disk.hold("write", "/journal/")
    commit = asyncio.create_task(store.commit([Put(KEY, "secret")]))
    await disk.reached()
    keeper().cancel()
    closing = asyncio.create_task(store.close())
    await given_up(commit)
    for _ in range(3):
        closing.cancel()
        await asyncio.wait({closing}, timeout=0.02)
        assert not closing.done(), "closed while the journal is being written"
    disk.let_go()
    with pytest.raises(asyncio.CancelledError):
        await closing
    async with FileStore(f"{tmp_path}/data") as store:
        assert await value(store) == "secret"


def test_the_end_of_the_loop_waits_for_a_checkpoint(tmp_path: Path) -> None:
    disk = GatedDisk()
    ended = asyncio.Event()

    async def owner() -> None:
        async with FileStore(str(tmp_path), disk=disk, flush_seconds=0.001, checkpoint_seconds=0) as store:
            await store.commit([Put(KEY, 1), Append("h", 1)])
            await asyncio.Event().wait()

    async def main() -> "asyncio.Task[None]":
        disk.hold("flush_all", "")
        task = asyncio.create_task(owner())
        await disk.reached()
        asyncio.get_running_loop().call_later(0.1, check)
        return task  # and asyncio.run cancels the owner and the keeper

    def check() -> None:
        assert Disk().lock(f"{tmp_path}/.holdfast/lock") is None, "free while a checkpoint is being written"
        ended.set()
        disk.let_go()

    assert asyncio.run(main()).cancelled()
    assert ended.is_set()
    fd = Disk().lock(f"{tmp_path}/.holdfast/lock")
    assert fd is not None
    Disk().close(fd)


# Failed


class Failing(Disk):
    """Fails a call on a path that has `part` in it, `times` times."""

    def __init__(self, call: str, part: str, code: int) -> None:
        self.times = 0
        self._what = call, part
        self._code = code

    def create(self, path: str) -> int:
        self._fail("create", path)
        return super().create(path)

    def remove(self, path: str) -> None:
        self._fail("remove", path)
        super().remove(path)

    def flush_folder(self, path: str) -> None:
        self._fail("flush_folder", path)
        super().flush_folder(path)

    def _fail(self, call: str, path: str) -> None:
        if self.times and self._what[0] == call and self._what[1] in path:
            self.times -= 1
            raise OSError(self._code, os.strerror(self._code), path)


async def test_a_failed_checkpoint_fails_the_store(tmp_path: Path) -> None:
    """Which manifest counts is unknown then, and the next one must not start from the wrong one."""
    disk = Failing("flush_folder", "/.holdfast", errno.EIO)
    store = FileStore(str(tmp_path), disk=disk, **idle())
    await store.open()
    await store.commit([Append("h", 1)])
    disk.times = 1
    with pytest.raises(Unavailable, match="unknown"):
        await store.checkpoint()
    for use in (store.checkpoint(), store.commit([Append("h", 2)])):
        with pytest.raises(Unavailable, match="opened anew"):
            await use
    await store.close()
    async with FileStore(str(tmp_path)) as store:
        assert await events(store) == [1]


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
async def test_a_file_that_could_not_be_removed_is_removed_later(tmp_path: Path, code: int) -> None:
    disk = Failing("remove", "BTCUSDT.json", code)
    async with FileStore(str(tmp_path), disk=disk, **idle()) as store:
        await store.commit([Put(KEY, 1)])
        await store.checkpoint()
        await store.commit([Delete(KEY)])
        disk.times = 1
        with pytest.raises(StoreFull if code == errno.ENOSPC else Unavailable):
            await store.checkpoint()
        with suppress(Unavailable):  # for the store has failed, unless it was for want of room
            await store.checkpoint()
    for _ in range(2):
        async with FileStore(str(tmp_path)) as store:
            assert await value(store) is None
            assert not store.findings
    assert not (tmp_path / "signal.one" / "BTCUSDT.json").exists()


async def test_room_that_a_checkpoint_makes_ends_the_want_of_it(tmp_path: Path) -> None:
    disk = Failing("create", "/journal/", errno.ENOSPC)
    async with FileStore(str(tmp_path), disk=disk, **idle(segment_bytes=4096)) as store:
        await store.commit([Put(KEY, "y" * 3000)])
        await store.checkpoint()  # both spares are there
        await store.commit([Put(KEY, "z" * 3000)])  # takes one
        disk.times = 1
        await store.checkpoint()
        assert disk.times == 0
        await store.commit([Put(KEY, 1)])


async def test_want_of_room_for_spares_refuses_new_work_and_undoes_no_checkpoint(tmp_path: Path) -> None:
    disk = Failing("create", "/journal/", errno.ENOSPC)
    async with FileStore(str(tmp_path), disk=disk, **idle(segment_bytes=4096)) as store:
        await store.commit([Append("h", "y" * 3000)])
        await store.checkpoint()
        await store.commit([Append("h", "z" * 3000)])
        disk.times = 1000
        await store.checkpoint()
        with pytest.raises(StoreFull):
            await store.commit([Append("h", 1)])
        await store.commit([Append("h", "exit")], vital=True)
        disk.times = 0
        await store.checkpoint()
        await store.commit([Append("h", 2)])
        assert [len(str(e)) for e in await events(store)] == [3000, 3000, 4, 1]
    async with FileStore(str(tmp_path)) as store:
        assert len(await events(store)) == 4
