"""Repair keeps what is whole and what is not, can be cut off anywhere, and finds what a journal lost."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from holdfast.errors import Corrupt, HoldfastError, StoreFull, StoreMissing
from holdfast.store import Append, Key, Put, Store
from holdfast.store.backends.file import frames, journal
from holdfast.store.backends.file.disk import Disk
from holdfast.store.backends.file.findings import Finding
from holdfast.store.backends.file.repair import repair
from holdfast.store.backends.file.segments import MAGIC
from holdfast.store.backends.file.store import FileStore
from holdfast.store.backends.file.verify import verify
from holdfast.testing.simulation.disk import SimulatedDisk
from holdfast.testing.simulation.files import Folder, all_kept, all_lost, some
from tests.store.workload import BASE_DIR, Ids, QuickClock, store_on

KEY = Key("signal.one", "BTC")
OTHER = Key("signal.one", "ETH")


def lazy(folder: Path, **options: Any) -> FileStore:
    """Return a store that writes nothing but its journal unless it is asked to."""
    return FileStore(str(folder), flush_seconds=1e6, checkpoint_seconds=1e9, **options)


def killed(folder: Path, fill: Callable[[Store], Any], **options: Any) -> Path:
    """Return a copy of a store as a kill leaves it after `fill`."""

    async def run() -> None:
        async with lazy(folder / "open", **options) as store:
            await fill(store)
            unused = shutil.ignore_patterns("*.tmp", "*.spare")  # these come and go by themselves
            shutil.copytree(folder / "open", folder / "killed", ignore=unused)

    asyncio.run(run())
    return folder / "killed"


def closed(folder: Path, fill: Callable[[Store], Any]) -> Path:
    async def run() -> None:
        async with lazy(folder / "closed") as store:
            await fill(store)

    asyncio.run(run())
    return folder / "closed"


async def ten(store: Store) -> None:
    for number in range(1, 11):
        await store.commit([Append("h", number), Put(Key("e", str(number)), number)])


async def two(store: Store) -> None:
    await store.commit([Put(KEY, "abc"), Put(OTHER, 1), Append("h", "abc")])
    await store.commit([Append("h", "def")])


def read(folder: Path, **options: Any) -> tuple[dict[str, Any], list[Any]]:
    """Return the entities `e` and the events of `h`, each of these with its number."""

    async def run() -> tuple[dict[str, Any], list[Any]]:
        async with FileStore(str(folder), **options) as store:
            return await everything(store)

    return asyncio.run(run())


async def everything(store: Store) -> tuple[dict[str, Any], list[Any]]:
    entities = {record.key.entity_id: record.value async for record in store.scan("e")}
    return entities, [(event.number, event.value) async for event in store.read("h")]


def segments(folder: Path) -> list[Path]:
    return sorted((folder / ".holdfast" / "journal").glob("*.log"))


def chunks(folder: Path) -> list[Path]:
    return sorted((folder / ".holdfast" / "streams").rglob("*.jsonl"))


def change(path: Path, old: bytes, new: bytes) -> bytes:
    data = path.read_bytes()
    assert data.count(old), "the damage must be one"
    path.write_bytes(data.replace(old, new, 1))
    return path.read_bytes()


def kept(folder: Path, data: bytes) -> bool:
    return any(
        data == path.read_bytes()
        for path in (folder / ".holdfast" / "quarantine").iterdir()
        if path.is_file()
    )


# Cut off anywhere


def on_disk(disk: SimulatedDisk, ending: str) -> str:
    """Return the path of the only file that ends so."""

    def walk(path: str) -> list[str]:
        found = []
        for name, is_folder in disk.folder(path):
            found += walk(f"{path}/{name}") if is_folder else [f"{path}/{name}"]
        return found

    (path,) = (path for path in walk(BASE_DIR) if path.endswith(ending))
    return path


def flipped(disk: SimulatedDisk, ending: str, what: bytes) -> None:
    path = on_disk(disk, ending)
    fd = disk.open(path, write=True)
    place = disk.read(path).find(what)
    assert place > 0, "the damage must be one"
    disk.write(fd, bytes([what[0] ^ 1]), place)
    disk.flush(fd)
    disk.close(fd)


DAMAGED = {
    "stream": (".jsonl", b'"number":3'), "journal": (".log", b'"5"'), "manifest": ("/manifest", b'"streams"'),
    "entity": ("/2.json", b'"value"'), "stream-name": (".jsonl", b'"h"'),
}  # fmt: skip

NEEDLESS = ("journal", "closed")  # a store that was closed needs no journal


def made(damage: str, *, ends: str) -> SimulatedDisk:
    """Return a disk with a damaged store that was closed or killed."""
    disk = SimulatedDisk()
    options = {"checkpoint_seconds": 1e9, "flush_seconds": 1e6, "segment_bytes": 4096}
    snapshots: list[Folder] = []

    async def run() -> None:
        async with store_on(disk, **options) as store:
            await ten(store)
            if damage != "journal":
                await store.checkpoint()
                await store.commit([Append("h", 11)])
            snapshots.append(disk.snapshot())

    asyncio.run(run())
    disk = disk if ends == "closed" else SimulatedDisk.after_cut(snapshots[0], all_kept)
    flipped(disk, *DAMAGED[damage])
    return disk


def after(disk: SimulatedDisk) -> Any:
    repair(BASE_DIR, disk=disk, clock=QuickClock(), ids=Ids("again"))

    async def run() -> Any:
        async with store_on(disk) as store:
            assert store.findings == ()
            return await everything(store)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("damage", "ends"),
    [(damage, ends) for damage in DAMAGED for ends in ("closed", "killed") if (damage, ends) != NEEDLESS],
)
def test_power_cut_at_every_call_of_a_repair(damage: str, ends: str) -> None:
    start = made(damage, ends=ends)
    wanted = after(start.after_kill())
    assert len(wanted[1]) >= 9, "what is whole is kept"
    states: list[tuple[str, Folder]] = []
    disk = start.after_kill()
    disk.before = lambda call, path: states.append((f"{call} {path}", disk.snapshot()))
    repair(BASE_DIR, disk=disk, clock=QuickClock(), ids=Ids("first"))
    assert len(states) > 10
    for place, (label, root) in enumerate(states):
        for choice in (all_lost, all_kept, some(place)):
            assert after(SimulatedDisk.after_cut(root, choice)) == wanted, label


class Full(Disk):
    """A disk with no room for files whose path has a part."""

    def __init__(self, part: str) -> None:
        self.part = part

    def create(self, path: str) -> int:
        if self.part in path:
            raise OSError(28, "no room", path)
        return super().create(path)


def test_no_room_in_the_middle_of_a_repair(tmp_path: Path) -> None:
    folder = closed(tmp_path, ten)
    data = change(chunks(folder)[0], b'"number":1,', b'"number":!,')
    with pytest.raises(StoreFull):
        repair(str(folder), disk=Full("/streams/"))
    repair(str(folder))
    assert read(folder)[1] == [(1, None), *((n, n) for n in range(2, 11))]
    assert kept(folder, data)
    assert len(list((folder / ".holdfast" / "quarantine").iterdir())) == 1, "one copy is enough"


# Nothing is deleted


def test_what_was_salvaged_is_kept(tmp_path: Path) -> None:
    folder = killed(tmp_path, ten)
    data = bytearray(segments(folder)[0].read_bytes())
    data[len(MAGIC) + frames.HEADER_BYTES] ^= 1  # the first frame, which says how the segment began
    segments(folder)[0].write_bytes(data)
    repair(str(folder))
    assert kept(folder, bytes(data))
    assert len(read(folder)[0]) == 10


def test_a_damaged_salt_hides_no_other_batch(tmp_path: Path) -> None:
    folder = killed(tmp_path, ten)
    data = bytearray(segments(folder)[0].read_bytes())
    data[len(MAGIC)] ^= 1
    segments(folder)[0].write_bytes(data)
    repair(str(folder))
    assert len(read(folder)[0]) == 10


def test_a_torn_batch_is_kept(tmp_path: Path) -> None:
    folder = killed(tmp_path, ten)
    data = segments(folder)[0].read_bytes()
    change(segments(folder)[0], data[data.rfind(b'"e","10"') :][:20], b"T" * 20)
    (folder / "e").mkdir(exist_ok=True)
    (folder / "e" / "99.json").write_bytes(b"rubbish")
    repair(str(folder))
    torn = list((folder / ".holdfast" / "quarantine").glob("*.torn*"))
    assert len(torn) == 1
    assert b"T" * 20 in torn[0].read_bytes()


def test_long_names_fit_in_the_quarantine(tmp_path: Path) -> None:
    key = Key("e" * 200, "i" * 200)

    async def fill(store: Store) -> None:
        await store.commit([Put(key, 1)])

    folder = closed(tmp_path, fill)
    next((folder / key.entity_name).glob("*.json")).write_bytes(b"#")
    assert [finding.kind for finding in repair(str(folder))] == ["quarantined"]
    assert kept(folder, b"#")


# What a journal lost


def test_a_segment_cut_behind_a_whole_batch(tmp_path: Path) -> None:
    folder = killed(tmp_path, ten, segment_bytes=65536)
    path = segments(folder)[0]
    data = path.read_bytes()
    first = frames.parse(data, len(MAGIC))
    assert first is not None
    second = frames.parse(data, first.end)
    assert second is not None
    os.truncate(path, second.end)
    assert verify(str(folder))
    with pytest.raises(Corrupt, match="lost its end"):
        read(folder)
    done = repair(str(folder))
    assert "lost" in [finding.kind for finding in done]
    assert read(folder) == ({"1": 1}, [(1, 1)])


def test_the_newest_segment_deleted(tmp_path: Path) -> None:
    folder = killed(tmp_path, ten, segment_bytes=512)
    assert len(segments(folder)) > 2
    segments(folder)[-1].unlink()
    with pytest.raises(Corrupt, match="is missing"):
        read(folder)
    repair(str(folder))
    left = len(read(folder)[1])
    assert 0 < left < 10


def test_a_segment_that_does_not_say_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of before this was noted are read as they were: damage in them is still found."""
    sizeless = SimpleNamespace(replace=lambda opened, size: opened)
    monkeypatch.setattr(journal, "structs", sizeless)
    folder = killed(tmp_path, ten)
    monkeypatch.undo()
    shutil.copytree(folder, tmp_path / "copy")
    assert len(read(tmp_path / "copy")[0]) == 10
    change(segments(folder)[0], b'"5"', b'"?"')
    with pytest.raises(Corrupt, match="damaged at byte"):
        read(folder)
    repair(str(folder))
    assert len(read(folder)[0]) == 9


def test_an_older_manifest_of_a_closed_store(tmp_path: Path) -> None:
    async def fill(store: Store) -> None:
        await store.commit([Append("h", len([event async for event in store.read("h")]) + 1)])

    folder = closed(tmp_path, fill)
    old = (folder / ".holdfast" / "manifest").read_bytes()
    closed(tmp_path, fill)
    (folder / ".holdfast" / "manifest").write_bytes(old)
    assert verify(str(folder))
    with pytest.raises(Corrupt, match="older"):
        read(folder)
    repair(str(folder))
    assert read(folder)[1] == [(1, 1), (2, 2)]


# A manifest made anew


def test_no_gap_in_a_stream_whose_manifest_is_lost(tmp_path: Path) -> None:
    async def fill(store: Store) -> None:
        for _ in range(30):
            await store.commit([Append("h", "x" * 100_000)])

    folder = closed(tmp_path, fill)
    assert len(chunks(folder)) > 1
    data = bytearray(chunks(folder)[0].read_bytes())
    data[500_000] ^= 1
    chunks(folder)[0].write_bytes(data)
    (folder / ".holdfast" / "manifest").unlink()
    repair(str(folder))
    events = read(folder)[1]
    assert [number for number, _ in events] == list(range(1, 31))
    assert [number for number, value in events if value is None] == [5]
    assert kept(folder, bytes(data))
    assert verify(str(folder)) == []


@pytest.mark.parametrize("manifest", [True, False])
def test_a_file_of_another_stream_is_not_taken_for_this_ones(manifest: bool, tmp_path: Path) -> None:
    async def fill(store: Store) -> None:
        for number in range(1, 6):
            await store.commit([Append("one", f"one {number}"), Append("two", f"this is two {number}")])

    async def look(folder: Path) -> list[list[Any]]:
        async with lazy(folder) as store:
            return [[event.value async for event in store.read(stream)] for stream in ("one", "two")]

    folder = closed(tmp_path, fill)
    one, two = (next(folder.glob(f".holdfast/streams/{name}*/*.jsonl")) for name in ("one", "two"))
    two.write_bytes(one.read_bytes())
    if not manifest:
        (folder / ".holdfast" / "manifest").unlink()
    done = repair(str(folder))
    assert any(finding.kind == "quarantined" and "--two--" in finding.path for finding in done)
    first, second = asyncio.run(look(folder))
    assert first == [f"one {number}" for number in range(1, 6)]
    assert second == ([None] * 5 if manifest else [])


def test_commits_of_streams_alone_are_not_lost(tmp_path: Path) -> None:
    async def fill(store: FileStore) -> None:
        for number in range(1, 11):
            await store.commit([Append("h", number)])
        await store.checkpoint()
        for number in range(11, 14):
            await store.commit([Append("h", number)])

    folder = killed(tmp_path, fill, segment_bytes=700)  # type: ignore[arg-type]
    (folder / ".holdfast" / "manifest").unlink()
    assert "lost" not in [finding.kind for finding in repair(str(folder))]
    assert read(folder)[1] == [(number, number) for number in range(1, 14)]


def test_entities_without_anything_else(tmp_path: Path) -> None:
    folder = closed(tmp_path, ten)
    shutil.rmtree(folder / ".holdfast")
    assert [finding.kind for finding in verify(str(folder))] == ["damaged"]
    with pytest.raises(Corrupt, match="is missing"):
        read(folder)
    repair(str(folder))
    assert len(read(folder)[0]) == 10


# One flipped bit, and what else may be found


def spoilt_text(folder: Path) -> None:
    change(folder / "signal.one" / "BTC.json", b'"BTC"', b'"B\xd4C"')


def spoilt_format(folder: Path) -> None:
    change(folder / "signal.one" / "BTC.json", b'"holdfast": 1', b'"holdfast": 3')


def deep(folder: Path) -> None:
    (folder / "signal.one" / "BTC.json").write_text("[" * 200_000)


def deep_value(folder: Path) -> None:
    path = folder / "signal.one" / "BTC.json"
    change(path, b'"abc"', b"[" * 100_000 + b"]" * 100_000)


def impossible_key(folder: Path) -> None:
    change(folder / "signal.one" / "BTC.json", b'"BTC"', b'""')


@pytest.mark.parametrize("spoil", [spoilt_text, spoilt_format, deep, deep_value, impossible_key])
def test_one_bad_file_is_one_bad_key(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    folder = closed(tmp_path, two)
    spoil(folder)
    assert [finding.key for finding in verify(str(folder))] == [KEY]

    async def use() -> None:
        async with FileStore(str(folder)) as store:
            (record,) = await store.get(OTHER)
            assert record is not None
            with pytest.raises(Corrupt):
                await store.get(KEY)

    asyncio.run(use())
    assert [finding.kind for finding in repair(str(folder))] == ["quarantined"]
    assert verify(str(folder)) == []


def test_text_that_is_none_in_a_stream(tmp_path: Path) -> None:
    folder = closed(tmp_path, two)
    change(chunks(folder)[0], b'"stream":"h"', b'"stream":"\xe8"')
    repair(str(folder))
    assert read(folder)[1] == [(1, None), (2, "def")]


def test_text_that_is_none_in_a_manifest(tmp_path: Path) -> None:
    folder = closed(tmp_path, two)
    change(folder / ".holdfast" / "manifest", b'"checksum":"', b'"checksum":"\xe8')
    with pytest.raises(Corrupt):
        read(folder)
    repair(str(folder))
    assert read(folder)[1] == [(1, "abc"), (2, "def")]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    folder = closed(tmp_path, two)
    os.mkfifo(folder / "signal.one" / "x.json")
    code = f"from holdfast.store.backends.file.verify import verify; print(len(verify({str(folder)!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200)
    assert done.stdout.strip() == "1", done.stderr


def test_names_that_are_no_text(tmp_path: Path) -> None:
    folder = closed(tmp_path, two)
    raw = os.fsencode(folder)
    os.mkdir(raw + b"/\xff\xfe")
    for name in (b"/\xff\xfe/\xff.json", b"/signal.one/%00.json", b"/signal.one/a b.json"):
        Path(os.fsdecode(raw + name)).write_text("x")

    async def use() -> None:
        async with FileStore(str(folder)) as store:
            assert len(store.findings) == 3
            for name in (await store.names()).entities:
                assert [record.key async for record in store.scan(name)] == [KEY, OTHER]

    asyncio.run(use())
    assert len(repair(str(folder))) == 3
    assert verify(str(folder)) == []


def test_a_link_leads_nowhere(tmp_path: Path) -> None:
    folder = closed(tmp_path, two)
    (tmp_path / "out").mkdir()
    shutil.rmtree(folder / ".holdfast")
    (folder / ".holdfast").symlink_to(tmp_path / "out")
    with pytest.raises(HoldfastError, match="link"):
        repair(str(folder))
    assert list((tmp_path / "out").iterdir()) == []


def test_no_journal_folder(tmp_path: Path) -> None:
    folder = closed(tmp_path, two)
    shutil.rmtree(folder / ".holdfast" / "journal")
    assert verify(str(folder)) == []
    folder = killed(tmp_path, two)
    shutil.rmtree(folder / ".holdfast" / "journal")
    assert verify(str(folder)) == [
        Finding("damaged", str(folder / ".holdfast/journal/0000000000000001.log"), "is missing")
    ]


def test_a_folder_without_a_store(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "y.json").write_text('{"a": 1}')
    for use in (repair, verify):
        with pytest.raises(StoreMissing):
            use(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
