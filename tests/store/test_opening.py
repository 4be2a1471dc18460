"""Opening: what fails or is cancelled leaves nothing behind, what was restored stays, and forks hold nothing."""

import asyncio
import errno
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import NotOpen, StoreFull, StoreInUse, Unavailable
from holdfast.store import Append, Key, Put, Store
from holdfast.store.backends.file.disk import Disk
from holdfast.store.backends.file.store import FileStore
from holdfast.system import SystemClock
from holdfast.testing.simulation.disk import SimulatedDisk
from holdfast.testing.simulation.files import all_kept, all_lost, some
from tests.store.gated import GatedDisk, idle
from tests.store.workload import BASE_DIR, store_on

KEY = Key("signal.one", "BTCUSDT")


async def value(store: Store, key: Key = KEY) -> Any:
    (record,) = await store.get(key)
    return None if record is None else record.value


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


# What was restored


async def damaged() -> SimulatedDisk:
    """Return the disk of a killed process: a checkpoint covers it all, and one file was damaged since."""
    disk = SimulatedDisk()
    store = store_on(disk, **idle())
    await store.open()
    await store.commit([Put(KEY, "precious"), Append("h", 1)])
    await store.commit([Put(Key("signal.one", "ETH"), 1), Append("h", 2)])
    await store.checkpoint()
    killed = disk.after_cut(disk.snapshot(), all_kept)
    await store.close()
    fd = killed.open(f"{BASE_DIR}/signal.one/BTCUSDT.json", write=True)
    killed.write(fd, b"#", 30)
    killed.flush(fd)
    killed.close(fd)
    return killed


@pytest.mark.parametrize("syncfs", [True, False])
@pytest.mark.parametrize("seed", range(4))
async def test_what_was_restored_stays(seed: int, syncfs: bool) -> None:
    """Killed after each open, with all, nothing or some of what was not flushed on the disk."""
    disk = await damaged()
    disk.syncfs = syncfs
    for keep in (all_lost, all_kept, some(seed), all_lost):
        store = store_on(disk, **idle())
        await store.open()
        assert await value(store) == "precious"
        assert [event.value async for event in store.read("h")] == [1, 2]
        cut = SimulatedDisk.after_cut(disk.snapshot(), keep, syncfs=syncfs)
        await store.close()
        disk = cut
    async with store_on(disk) as store:
        assert await value(store) == "precious"
        assert store.head == 2
    async with store_on(disk) as store:
        assert not store.findings


# What failed


class Failing(Disk):
    """Fails the call that has the number `at`, of those that change something."""

    def __init__(self, at: int, code: int = errno.EIO) -> None:
        self._left = at
        self._code = code

    def create(self, path: str) -> int:
        self._count()
        return super().create(path)

    def rename(self, source: str, target: str) -> None:
        self._count()
        super().rename(source, target)

    def write(self, fd: int, data: bytes, offset: int) -> None:
        self._count()
        super().write(fd, data, offset)

    def flush(self, fd: int) -> None:
        self._count()
        super().flush(fd)

    def flush_folder(self, path: str) -> None:
        self._count()
        super().flush_folder(path)

    def _count(self) -> None:
        self._left -= 1
        if self._left == 0:
            raise OSError(self._code, os.strerror(self._code))

    @property
    def happened(self) -> bool:
        return self._left <= 0


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
async def test_an_open_that_fails_leaves_no_descriptor_and_no_lock(tmp_path: Path, code: int) -> None:
    at = 0
    happened = True
    while happened:
        at += 1
        disk = Failing(at, code)
        store = FileStore(f"{tmp_path}/{at}", disk=disk, **idle(segment_bytes=4096))
        before = descriptors()
        try:
            await store.open()
        except (StoreFull, Unavailable):
            assert descriptors() == before, f"call {at}"
            await store.open()
        happened = disk.happened
        with suppress(StoreFull, Unavailable):  # the fault may have met the housekeeping after the open
            await asyncio.wait_for(store.close(), 200)
    assert at > 8


async def test_a_cancelled_open_leaves_the_store_closed(tmp_path: Path) -> None:
    disk = GatedDisk()

    async def use() -> None:
        async with FileStore(str(tmp_path), disk=disk):
            await asyncio.Event().wait()

    disk.hold("rename", "/.holdfast/journal/")
    task = asyncio.create_task(use())
    await disk.reached()
    for _ in range(2):
        task.cancel()
        await asyncio.wait({task}, timeout=0.02)
        assert not task.done()
    disk.let_go()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with FileStore(str(tmp_path)) as store:
        await store.commit([Put(KEY, 1)])


# Forks


def ended(child: int) -> int:
    """Return how a child ended."""
    return os.waitpid(child, 0)[1]


def killed(child: int) -> None:
    os.kill(child, 9)
    ended(child)


def forked(work: Any) -> int:
    """Run `work` in a forked child and return the child's id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
        os._exit(0)
    except BaseException:
        os._exit(1)


async def test_a_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    async with FileStore(str(tmp_path)):
        child = forked(lambda: time.sleep(280))
        with pytest.raises(StoreInUse):  # the child has let go of its copy only
            await FileStore(str(tmp_path)).open()
    try:
        async with FileStore(str(tmp_path)):
            pass
    finally:
        killed(child)


def test_a_child_does_not_keep_the_lock_of_a_dead_process(tmp_path: Path) -> None:
    ready, tell = os.pipe()

    async def die() -> None:
        await FileStore(str(tmp_path)).open()
        os.write(tell, str(forked(lambda: time.sleep(280))).encode())
        os._exit(0)

    parent = forked(lambda: asyncio.run(die()))
    assert ended(parent) == 0
    child = int(os.read(ready, 32))
    try:
        deadline = time.monotonic() + 200
        while (fd := Disk().lock(f"{tmp_path}/.holdfast/lock")) is None:  # the child may not have begun
            assert time.monotonic() < deadline
            time.sleep(0.005)
        Disk().close(fd)
    finally:
        os.kill(child, 9)
        os.close(ready)
        os.close(tell)


async def test_a_child_is_told_that_the_store_is_not_its_own(tmp_path: Path) -> None:
    async with FileStore(str(tmp_path), flush_seconds=0.001) as store:
        await store.commit([Put(KEY, 1)])

        async def refused() -> None:
            for use in (store.commit([Put(KEY, 2)]), store.checkpoint(), store.close(), store.open()):
                with pytest.raises(NotOpen, match="fork"):
                    await asyncio.wait_for(use, 200)

        def child() -> None:
            asyncio.events._set_running_loop(None)
            asyncio.new_event_loop().run_until_complete(refused())

        assert ended(forked(child)) == 0
        await store.commit([Put(KEY, 3)])
    async with FileStore(str(tmp_path)) as store:
        assert await value(store) == 3


# Other event loops


def test_another_loop_is_told_so_and_can_open_it_anew(tmp_path: Path) -> None:
    store = FileStore(str(tmp_path))

    async def begin() -> None:
        await store.open()
        await store.commit([Put(KEY, 1)])

    async def go_on() -> None:
        for use in (store.commit([Put(KEY, 2)]), store.checkpoint()):
            with pytest.raises(NotOpen, match="event loop"):
                await asyncio.wait_for(use, 200)
        await store.open()
        assert await value(store) == 1
        await store.commit([Put(KEY, 2)])
        await store.close()

    before = descriptors()
    asyncio.run(begin())
    asyncio.run(go_on())
    asyncio.run(begin())
    asyncio.run(store.close())
    assert descriptors() == before


def test_a_loop_that_ends_in_a_commit(tmp_path: Path) -> None:
    disk = GatedDisk()
    store = FileStore(str(tmp_path), disk=disk, **idle())

    async def begin() -> None:
        await store.open()
        await store.checkpoint()
        disk.hold("write", "/journal/")
        task = asyncio.create_task(store.commit([Put(KEY, 1)]))
        await disk.reached()
        task.cancel()

    async def end() -> None:
        await store.close()
        async with store:
            assert await value(store) == 1

    asyncio.run(begin())
    disk.let_go()
    asyncio.run(end())


async def test_a_store_in_use_elsewhere_is_not_closed_from_here(tmp_path: Path) -> None:
    async with FileStore(str(tmp_path)) as store:

        def elsewhere() -> None:
            for use in (store.close, store.open, store.checkpoint):
                with pytest.raises(NotOpen, match="event loop"):
                    asyncio.run(use())

        await asyncio.to_thread(elsewhere)
        await store.commit([Put(KEY, 1)])


# The clock


class SetClock(SystemClock):
    """A clock that was set to another time."""

    def __init__(self, off: int) -> None:
        self._off = off

    def now(self) -> int:
        return super().now() + self._off


@pytest.mark.parametrize("clean", [True, False])
async def test_a_clock_that_is_set_makes_no_second_commit_of_one_id(tmp_path: Path, clean: bool) -> None:
    for number, off in enumerate((0, -3_600_000, 3_600_000, -(10**12), 10**12)):
        folder = f"{tmp_path}/{number}"
        if number:
            os.rename(f"{tmp_path}/{number - 1}", folder)
        store = FileStore(folder, clock=SetClock(off), **idle())
        await store.open()
        await store.commit([Append("h", 1)], commit_id="once")
        assert await store.last_number("h") == 1
        if not clean:
            await store.commit([Append("other", 1)], commit_id=f"other-{number}")
        await store.close()
