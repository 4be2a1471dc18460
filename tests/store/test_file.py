"""The file store's own promises: its files, its lock, its readers, its flushes, and what it says when it cannot."""

import asyncio
import errno
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast import points
from holdfast.errors import (
    Conflict,
    InvalidOption,
    NotOpen,
    StoreFull,
    StoreInUse,
    StoreMissing,
    Unavailable,
    Unsupported,
)
from holdfast.store import ABSENT, Append, Durability, Key, Put, Store, open_store
from holdfast.store.backends.file import POINTS
from holdfast.store.backends.file.disk import Disk
from holdfast.store.backends.file.layout import Layout, make_folders
from holdfast.store.backends.file.segments import Spare
from holdfast.store.backends.file.store import FileStore
from holdfast.testing.simulation.disk import SimulatedDisk
from tests.store.workload import Ids, store_on

KEY = Key("signal.one", "BTCUSDT")
SRC = str(Path(holdfast.__file__).parents[1])


async def value(store: Store, key: Key = KEY) -> Any:
    (record,) = await store.get(key)
    return None if record is None else record.value


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(f"{tmp_path}/new/data")


# Files


async def test_files_are_readable_and_private(store: FileStore, tmp_path: Path) -> None:
    version = await store.commit([Put(KEY, {"side": "long"}), Append("history", 1)])
    await store.checkpoint()
    path = tmp_path / "new" / "data" / "signal.one" / "BTCUSDT.json"
    document = json.loads(path.read_text())
    assert document["value"] == {"side": "long"}
    assert (document["entity_name"], document["entity_id"], document["version"]) == (
        *("signal.one", "BTCUSDT"),
        version,
    )
    for found in (tmp_path / "new").rglob("*"):
        assert found.stat().st_mode & 0o777 == (0o700 if found.is_dir() else 0o600), found
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


async def test_files_follow_without_being_asked(tmp_path: Path) -> None:
    async with FileStore(str(tmp_path), flush_seconds=0.001) as store:
        await store.commit([Put(KEY, 1)])
        path = tmp_path / "signal.one" / "BTCUSDT.json"
        async with asyncio.timeout(200):
            while not path.exists():  # noqa: ASYNC110 - the file system tells nobody
                await asyncio.sleep(0.005)


async def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "signal.one").symlink_to(tmp_path / "elsewhere")
    store = FileStore(f"{tmp_path}/data")
    await store.open()
    await store.commit([Put(KEY, 1)])
    with pytest.raises(Unavailable, match="not a folder"):
        await store.checkpoint()
    with suppress(Unavailable):  # unless the housekeeping had found out, and the store had failed already
        await store.close()
    assert not os.listdir(tmp_path / "elsewhere")


async def test_many_streams_and_chunks_read_back(tmp_path: Path) -> None:
    async with FileStore(str(tmp_path), flush_seconds=0.001) as store:
        for turn in range(6):
            await store.commit([Append("long", [turn, i, "x" * 1000]) for i in range(500)])
            await store.checkpoint()
        assert len(list((tmp_path / ".holdfast" / "streams").rglob("*.jsonl"))) > 2
        assert not store._live.streams["long"].tail  # type: ignore[union-attr]
    async with FileStore(str(tmp_path)) as store:
        found = [
            (e.number, e.value[0] * 500 + e.value[1] + 1)
            async for e in store.read("long", after=700, limit=1900)
        ]
        assert found == [(n, n) for n in range(701, 2601)]
        assert await store.last_number("long") == 3000


async def test_commit_ids_are_remembered_through_reopen(tmp_path: Path) -> None:
    for _ in range(3):
        async with FileStore(str(tmp_path)) as store:
            assert await store.commit([Append("h", 1), Put(KEY, 1, ABSENT)], commit_id="once") == "once"
            assert await store.last_number("h") == 1
            assert store.head == 1


# The lock


async def test_second_opener_is_told_who_has_it(store: FileStore) -> None:
    with pytest.raises(StoreInUse) as refused:
        await FileStore(store.base_dir).open()
    assert refused.value.pid == os.getpid()
    assert refused.value.host
    assert refused.value.since > 1_600_000_000_000
    await store.commit([Put(KEY, 1)])


async def test_lock_is_free_after_close_and_failed_open(tmp_path: Path) -> None:
    for _ in range(2):
        async with FileStore(str(tmp_path)):
            pass
    (tmp_path / ".holdfast" / "manifest").write_text("junk")
    for _ in range(2):
        with pytest.raises(holdfast.errors.Corrupt):
            await FileStore(str(tmp_path)).open()


async def test_a_fork_must_open_its_own(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Disk, "pid", lambda self: os.getpid() + 1)
    for use in (store.commit([Put(KEY, 1)]), store.checkpoint(), store.close(), store.open()):
        with pytest.raises(NotOpen, match="fork"):
            await use
    monkeypatch.undo()


# The journal


def test_a_spare_made_meanwhile_takes_nobodys_place() -> None:
    """What the journal took keeps its name until the journal gives it another."""
    disk = SimulatedDisk()
    layout = Layout("/data")
    make_folders(disk, layout)
    spare = Spare(disk, layout, Ids("spare"), 4096)
    spare.prepare()
    taken = [spare.take(4096) for _ in range(3)]
    spare.prepare()
    for number, (fd, path) in enumerate(taken):
        disk.write(fd, bytes([number + 1]), 0)
        disk.rename(path, layout.segment(number))
    assert [disk.read(layout.segment(number))[0] for number in range(3)] == [1, 2, 3]


# Readers


async def test_readers_follow(store: FileStore) -> None:
    await store.commit([Put(KEY, 0), Append("h", 0)])
    async with (
        open_store(f"file:{store.base_dir}?mode=ro") as one,
        open_store(f"file:{store.base_dir}?mode=ro") as two,
    ):
        for number in range(1, 20):
            await store.commit([Put(KEY, number), Append("h", number)])
            if number % 3 == 0:
                await store.checkpoint()
            for reader in (one, two):
                assert await value(reader) == number
                assert [event.value async for event in reader.read("h")] == list(range(number + 1))
                assert reader.head == store.head
        with pytest.raises(Unsupported):
            await one.commit([Put(KEY, 1)])
        await store.close()
        assert await value(one) == 19
        await store.open()
        await store.commit([Put(KEY, "again")])
        assert await value(one) == "again"


async def test_reader_of_a_store_in_full_swing(tmp_path: Path) -> None:
    """A reader sees whole commits only, in order, while segments and checkpoints come and go."""
    options = {"segment_bytes": 4096, "flush_seconds": 0.0, "checkpoint_seconds": 0.0}
    other = Key("risk", "All")
    async with FileStore(str(tmp_path), **options) as store:  # type: ignore[arg-type]
        await store.commit([Put(KEY, 0), Put(other, 0)])

        async def write() -> None:
            for number in range(1, 300):
                await store.commit([Put(KEY, number), Put(other, number), Append("h", number)])

        writing = asyncio.ensure_future(write())
        last = 0
        async with open_store(f"file:{tmp_path}?mode=ro") as reader:
            while not writing.done():
                one, two = await reader.get(KEY, other)
                assert one is not None
                assert two is not None
                assert one.value == two.value >= last
                last = one.value
        await writing


async def test_reader_creates_nothing(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(StoreMissing):
            await open_store(f"file:{path}?mode=ro").open()
    assert not os.listdir(tmp_path)


async def test_reader_of_a_read_only_copy(tmp_path: Path) -> None:
    async with FileStore(str(tmp_path)) as store:
        await store.commit([Put(KEY, 1)])
    before = times(tmp_path)
    async with open_store(f"file:{tmp_path}?mode=ro") as reader:
        assert await value(reader) == 1
    assert times(tmp_path) == before


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


# Commits on their way


class SlowDisk(SimulatedDisk):
    """A disk whose flushes wait until they are let go."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.fail = False
        self.entered = asyncio.Event()

    def flush(self, fd: int) -> None:
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self.entered.set)
            asyncio.run_coroutine_threadsafe(self.gate.wait(), self.loop).result()
            if self.fail:
                raise OSError(errno.EIO, "the disk failed")
        super().flush(fd)


async def test_nothing_is_told_before_it_is_durable() -> None:
    disk = SlowDisk()
    async with store_on(disk, checkpoint_seconds=1e9, flush_seconds=1e9) as store:
        await store.commit([Put(KEY, "old")])
        await asyncio.sleep(0)
        disk.loop = asyncio.get_running_loop()
        first = asyncio.ensure_future(store.commit([Put(KEY, "new")], commit_id="first"))
        await asyncio.sleep(0)
        again = asyncio.ensure_future(store.commit([Put(KEY, "new")], commit_id="first"))
        rival = asyncio.ensure_future(store.commit([Put(KEY, "rival", ABSENT)]))
        follower = asyncio.ensure_future(store.commit([Put(KEY, "next", "first")]))
        done, _ = await asyncio.wait({first, again, rival, follower}, timeout=0.05)
        assert not done
        assert await value(store) == "old"
        disk.gate.set()
        assert await first == await again == "first"
        with pytest.raises(Conflict) as conflict:
            await rival
        assert conflict.value.found == "first"
        await follower
        assert await value(store) == "next"


async def test_first_failed_flush_fails_the_store() -> None:
    disk = SlowDisk()
    store = store_on(disk, checkpoint_seconds=1e9, flush_seconds=1e9)
    await store.open()
    await store.commit([Put(KEY, "old")])
    await asyncio.sleep(0)
    disk.loop = asyncio.get_running_loop()
    flying = asyncio.ensure_future(store.commit([Put(KEY, "flying")]))
    await disk.entered.wait()
    queued = [asyncio.ensure_future(store.commit([Put(Key("q", str(i)), i)])) for i in range(3)]
    rival = asyncio.ensure_future(store.commit([Put(KEY, "rival", ABSENT)]))
    await asyncio.sleep(0)
    disk.fail = True
    disk.gate.set()
    results = await asyncio.gather(flying, *queued, rival, return_exceptions=True)
    assert all(isinstance(result, Unavailable) for result in results)
    assert [result.unknown for result in results] == [True, False, False, False, False]  # type: ignore[union-attr]
    assert isinstance(results[0].__cause__, OSError)  # type: ignore[union-attr]
    disk.fail = False
    with pytest.raises(Unavailable) as later:
        await store.commit([Put(KEY, "later")])
    assert not later.value.unknown
    assert await value(store) == "old"
    await store.close()


# Points


def test_points_are_listed() -> None:
    folder = Path(holdfast.__file__).parent / "store" / "backends" / "file"
    used = set(
        re.findall(r'points\.reached\("([^"]+)"\)', "".join(p.read_text() for p in folder.glob("*.py")))
    )
    assert used == set(POINTS)


async def test_every_point_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[str] = set()
    monkeypatch.setattr(points, "reached", seen.add)
    async with store_on(SimulatedDisk()) as store:
        for number in range(60):
            await store.commit([Put(KEY, number), Append("h", "x" * 90)])
    assert set(POINTS) <= seen


# What the system says


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        (errno.ENOSPC, StoreFull, "no room"),
        (errno.EDQUOT, StoreFull, "quota"),
        (errno.EROFS, Unavailable, "mode=ro"),
        (errno.EACCES, Unavailable, "permission"),
        (errno.EIO, Unavailable, "disk failed"),
    ],
)
async def test_open_says_what_to_do(code: int, error: type[Exception], words: str) -> None:
    for number in range(1, 12):
        disk = SimulatedDisk()

        def before(call: str, path: str, disk: SimulatedDisk = disk, number: int = number) -> None:
            if disk.calls >= number:
                raise OSError(code, os.strerror(code), path)

        disk.before = before
        with pytest.raises(error, match=words) as raised:
            await store_on(disk).open()
        assert raised.value.__cause__.errno == code  # type: ignore[union-attr]


async def test_not_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(Unavailable, match="not a folder"):
            await FileStore(str(path)).open()


# A full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(tmp_path)], capture_output=True
    )
    if made.returncode:
        pytest.skip("a small file system can only be mounted by root")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_durability_reads_as_what_is_survived() -> None:
    assert f"{Durability.POWER_LOSS}" == str(Durability.POWER_LOSS) == "power loss"


async def test_full_disk_refuses_new_work_first(small_disk: Path) -> None:
    store = FileStore(
        str(small_disk / "data"), segment_bytes=16384, flush_seconds=0.001, checkpoint_seconds=0.0
    )
    async with store:
        assert store.durability is Durability.PROCESS_CRASH
        acknowledged = 0
        refused = False
        while not refused:
            try:
                await store.commit([Append("h", [acknowledged, "x" * 500])])
                acknowledged += 1
            except StoreFull:
                refused = True
        assert await store.last_number("h") == acknowledged
        for number in range(10):
            await store.commit([Put(KEY, number), Append("h", "exit")], vital=True)
        assert await value(store) == 9
    async with FileStore(
        str(small_disk / "data"), segment_bytes=16384
    ) as store:  # also opens on the full disk
        assert await value(store) == 9
        assert await store.last_number("h") == acknowledged + 10
        await store.commit([Put(KEY, "out")], vital=True)


# kill -9

CHILD = """
    import asyncio, sys
    from holdfast.store import Append, Key, Put
    from holdfast.store.backends.file.store import FileStore

    async def main():
        store = FileStore(sys.argv[1], segment_bytes=8192, flush_seconds=0.0, checkpoint_seconds=0.0)
        async with store:
            number = await store.last_number("h")
            while True:
                number += 1
                await store.commit([Put(Key("a", str(number % 7)), number), Append("h", number)])
                print(number, flush=True)

    asyncio.run(main())
"""


def test_kill_9_again_and_again(tmp_path: Path) -> None:
    script = tmp_path / "child.py"
    script.write_text(textwrap.dedent(CHILD))
    folder = tmp_path / "data"
    last = 0
    for turn in range(12):
        child = subprocess.Popen(
            [sys.executable, str(script), str(folder)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": SRC},
        )
        assert child.stdout is not None
        for _ in range(3 + turn * 5):
            last = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        told = child.stdout.read().split(b"\n")[:-1]
        child.wait()
        child.stdout.close()
        last = max([last, *map(int, told)])
        asyncio.run(check_after_kill(folder, last))


async def check_after_kill(folder: Path, last: int) -> None:
    async with open_store(f"file:{folder}?mode=ro") as reader:
        events = [event.value async for event in reader.read("h")]
        assert events == list(range(1, len(events) + 1))
        assert len(events) >= last
        async for record in reader.scan("a"):
            assert record.value == max(n for n in events if n % 7 == int(record.key.entity_id))
        assert reader.findings == ()  # type: ignore[attr-defined]


# Flushes, as the kernel counts them

WRITERS = """
    import asyncio, glob, sys
    from holdfast.store import Key, Put
    from holdfast.store.backends.file.store import FileStore

    async def main(folder, writers, each):
        async with FileStore(folder, flush_seconds=1e9) as store:
            while len(glob.glob(folder + "/.holdfast/journal/*.spare")) < 2:
                await asyncio.sleep(0.01)  # the spares' own flushes come before what is counted
            open(folder + "/begin", "w").close()
            async def write(k):
                for i in range(each):
                    await store.commit([Put(Key("a", str(k)), i)])
            await asyncio.gather(*(write(k) for k in range(writers)))
            open(folder + "/end", "w").close()

    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
"""


@pytest.mark.needs("strace")
@pytest.mark.parametrize(("writers", "each", "most"), [(1, 200, 1.1), (64, 20, 0.2)])
def test_flushes(tmp_path: Path, writers: int, each: int, most: float) -> None:
    script = tmp_path / "writers.py"
    script.write_text(textwrap.dedent(WRITERS))
    log = tmp_path / "strace"
    subprocess.run(
        ["strace", "-f", "-qq", "-o", str(log), "-e", "trace=fdatasync,fsync,syncfs,openat,sync_file_range",
         sys.executable, str(script), str(tmp_path / "data"), str(writers), str(each)],
        check=True, env={**os.environ, "PYTHONPATH": SRC},
    )  # fmt: skip
    traced = log.read_text()
    assert "O_DSYNC" not in traced
    assert "O_SYNC" not in traced
    counted = traced[traced.index("/data/begin") : traced.index("/data/end")]
    flushes = len(re.findall(r"\b(?:fdatasync|fsync|syncfs)\(", counted))
    assert 1 <= flushes <= most * writers * each, flushes


def test_mode_is_checked() -> None:
    with pytest.raises(InvalidOption):
        open_store("file:x?mode=")
