"""Whatever is done to a file of the store, the store never lies: what it says is true, or it says Corrupt.

Each kind of file is cut short, emptied, deleted, changed in one bit, and replaced by an older copy, in a store
that was closed and in one that was killed. `verify` finds it, `repair` mends what is known, nothing is deleted.
"""

import asyncio
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import Corrupt, FromTheFuture, StoreMissing, Unavailable
from holdfast.store import Append, Delete, Key, Put
from holdfast.store.backends.file.repair import repair
from holdfast.store.backends.file.store import FileStore
from holdfast.store.backends.file.verify import verify

KEYS = [Key("signal.one", "BTCUSDT"), Key("signal.one", "eth"), Key("risk", "All"), Key("risk", "gone")]
STREAM = "history.one.BTCUSDT"
Truth = dict[Any, Any]


def options(folder: Path) -> FileStore:
    return FileStore(str(folder), segment_bytes=8192, flush_seconds=0.01, checkpoint_seconds=1e9)


async def fill(store: FileStore, old: Callable[[], None]) -> None:
    """Commit, checkpoint, take an old copy, commit more, checkpoint, and commit what only the journal has."""
    for number in range(4):
        await store.commit([Put(key, {"number": number}) for key in KEYS] + [Append(STREAM, number)])
    await store.checkpoint()
    old()
    await store.commit([Put(KEYS[0], "two"), Put(KEYS[1], "two"), Delete(KEYS[3]), Append(STREAM, "two")])
    await store.checkpoint()
    await store.commit([Put(KEYS[0], "three"), Append(STREAM, "three")])
    await store.commit([Append(STREAM, "four"), Put(KEYS[1], "four")])


TRUTH: Truth = {
    KEYS[0]: "three", KEYS[1]: "four", KEYS[2]: {"number": 3}, KEYS[3]: None,
    STREAM: [0, 1, 2, 3, "two", "three", "four"],
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an `old`, a `killed` and a `closed` copy of one store."""
    base = tmp_path_factory.mktemp("made")

    async def make() -> None:
        async with options(base / "data") as store:
            await fill(store, lambda: copy(base / "data", base / "old"))
            copy(base / "data", base / "killed")
        copy(base / "data", base / "closed")

    asyncio.run(make())
    return base


def copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target)


async def say(store: FileStore) -> Truth:
    """Return what the store says of everything: a value, or that it is corrupt."""
    said: Truth = {}
    for key in KEYS:
        try:
            (record,) = await store.get(key)
            said[key] = None if record is None else record.value
        except Corrupt as error:
            said[key] = Corrupt if error.key == key and error.path else error
    try:
        said[STREAM] = [event.value async for event in store.read(STREAM)]
    except Corrupt as error:
        said[STREAM] = Corrupt if error.path else error
    return said


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data.rstrip(b"\0")) // 2] ^= 4
    path.write_bytes(data)


def flip_first(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data.rstrip(b"\0")) // 2])


def link(path: Path) -> None:
    target = path.with_name("elsewhere")
    path.rename(target)
    path.symlink_to(target)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "flipped": flip, "flipped-first": flip_first, "cut": cut, "emptied": lambda path: path.write_bytes(b""),
    "deleted": Path.unlink, "junk": lambda path: path.write_bytes(b'{"a": 1}'), "link": link,
}  # fmt: skip


def places(folder: Path) -> list[str]:
    """Return every file that matters, relative."""
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".spare" and path.name != "lock"
    ]
    return [str(path.relative_to(folder)) for path in found]


def content(folder: Path) -> set[bytes]:
    return {path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "lock"}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("state", ["killed", "closed"])
def test_damage_is_never_taken_for_truth(made: Path, tmp_path: Path, state: str, damage: str) -> None:
    names = places(made / state)
    assert len(names) >= 5
    for name in names:
        folder = tmp_path / name.replace("/", "-")
        copy(made / state, folder)
        DAMAGES[damage](folder / name)
        if damage == "link" and ".holdfast" in name:
            refuses(folder)
        else:
            check(folder, name, damage)


def refuses(folder: Path) -> None:
    """A link among Holdfast's own things is not followed, and said so."""
    for use in (
        lambda: asyncio.run(say_after_open(folder)),
        lambda: verify(str(folder)),
        lambda: repair(str(folder)),
    ):
        with suppress(StoreMissing), pytest.raises(Unavailable, match="symbolic link"):
            use()


def check(folder: Path, name: str, damage: str) -> None:
    label = f"{name} {damage}"
    before = content(folder)
    damaged = {path.read_bytes() for path in [folder / name] if path.is_file()}
    found = verify(str(folder))
    assert content(folder) == before, f"{label}: verify changed something"
    said, findings = asyncio.run(say_after_open(folder))
    torn = any(finding.kind == "torn" for finding in findings)
    for key, truth in TRUTH.items():
        lost_batch = torn and name.endswith(".log")  # the very last batch cannot be told from a torn one
        assert said == {} or said[key] in (truth, Corrupt) or lost_batch, (label, key, said)
    if said != TRUTH:
        assert found, f"{label}: verify found nothing"
    assert not name.endswith(".json") or damaged <= content(folder), f"{label}: open deleted something"
    done = repair(str(folder))
    said, _ = asyncio.run(say_after_open(folder))
    assert said, f"{label}: repair did not help"
    assert Corrupt not in said.values(), (label, said, done)
    assert verify(str(folder)) == [], label


async def say_after_open(folder: Path) -> tuple[Truth, tuple[Any, ...]]:
    store = options(folder)
    try:
        await store.open()
    except Corrupt as error:
        return {} if error.path else {"path": None}, ()
    try:
        return await say(store), store.findings
    finally:
        await store.close()


def test_undamaged(made: Path, tmp_path: Path) -> None:
    for state in ("killed", "closed"):
        copy(made / state, tmp_path / state)
        assert verify(str(tmp_path / state)) == []
        assert repair(str(tmp_path / state)) == []
        assert asyncio.run(say_after_open(tmp_path / state)) == (TRUTH, ())


@pytest.mark.parametrize("name", ["risk/All.json", "signal.one/eth.json", "signal.one/BTCUSDT.json"])
def test_older_copy_of_an_entity(made: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "data"
    copy(made / "closed", folder)
    shutil.copy(made / "old" / name, folder / name)
    asyncio_said, findings = asyncio.run(say_after_open(folder))
    if (made / "old" / name).read_bytes() == (made / "closed" / name).read_bytes():
        assert asyncio_said == TRUTH
        return
    key = next(key for key in KEYS if f"{key.entity_name}/{key.entity_id}.json" == name)
    assert asyncio_said == {**TRUTH, key: Corrupt}
    assert [finding.kind for finding in findings] == ["stale"]


def test_older_manifest(made: Path, tmp_path: Path) -> None:
    for state in ("killed", "closed"):
        folder = tmp_path / state
        copy(made / state, folder)
        shutil.copy(made / "old" / ".holdfast" / "manifest", folder / ".holdfast" / "manifest")
        said, _ = asyncio.run(say_after_open(folder))
        assert said in ({}, TRUTH) or all(said[key] in (TRUTH[key], Corrupt) for key in TRUTH)


def test_other_keys_keep_working(made: Path, tmp_path: Path) -> None:
    copy(made / "closed", tmp_path / "data")
    (tmp_path / "data" / "risk" / "All.json").write_bytes(b"")

    async def use() -> None:
        async with options(tmp_path / "data") as store:
            for change in (Put(KEYS[2], 1), Delete(KEYS[2])):
                with pytest.raises(Corrupt):
                    await store.commit([change, Put(KEYS[0], "never")])
            with pytest.raises(Corrupt):
                _ = [record async for record in store.scan("risk")]
            await store.commit([Put(KEYS[0], "new")])
        async with options(tmp_path / "data") as store:
            with pytest.raises(Corrupt):
                await store.get(KEYS[2])
            assert (await store.get(KEYS[0]))[0].value == "new"  # type: ignore[union-attr]
            assert "risk" in (await store.names()).entities

    asyncio.run(use())
    done = repair(str(tmp_path / "data"))
    assert [finding.kind for finding in done] == ["quarantined"]
    assert Path(done[0].path).read_bytes() == b""


def test_the_journal_restores_what_it_still_has(made: Path, tmp_path: Path) -> None:
    """An entity that a checkpoint covers is mended while the journal still has its bytes."""
    copy(made / "killed", tmp_path / "data")
    (tmp_path / "data" / "risk" / "All.json").write_bytes(b"garbage")
    said, findings = asyncio.run(say_after_open(tmp_path / "data"))
    assert said == TRUTH
    assert [finding.kind for finding in findings] == ["restored"]
    assert b"garbage" in content(tmp_path / "data" / ".holdfast" / "quarantine")


def test_from_the_future(made: Path, tmp_path: Path) -> None:
    """The manifest says it of the whole store; a digit in one entity file says nothing of the others."""
    copy(made / "closed", tmp_path / "data")
    path = tmp_path / "data" / ".holdfast" / "manifest"
    path.write_bytes(path.read_bytes().replace(b'"holdfast":1', b'"holdfast":2'))
    before = content(tmp_path / "data")
    for use in (
        lambda: asyncio.run(say_after_open(tmp_path / "data")),
        lambda: verify(str(tmp_path / "data")),
        lambda: repair(str(tmp_path / "data")),
    ):
        with pytest.raises(FromTheFuture):
            use()
    assert content(tmp_path / "data") == before


def test_foreign_files_are_left_alone(tmp_path: Path) -> None:
    async def use() -> None:
        async with options(tmp_path / "data") as store:
            await store.commit([Put(Key("a", "b"), 1)])
        for name in ("README.md", "a/notes.txt", "a/.hidden.json"):
            (tmp_path / "data" / name).write_text("mine")
        async with options(tmp_path / "data") as store:
            assert store.findings == ()
        assert (tmp_path / "data" / "a" / "notes.txt").read_text() == "mine"

    asyncio.run(use())


def test_an_entity_nobody_knows_is_not_believed(made: Path, tmp_path: Path) -> None:
    """A file put there by hand, whole as it may be, is not what the store committed."""
    copy(made / "closed", tmp_path / "data")
    shutil.copy(made / "old" / "risk" / "gone.json", tmp_path / "data" / "risk" / "gone.json")
    said, findings = asyncio.run(say_after_open(tmp_path / "data"))
    assert said == {**TRUTH, KEYS[3]: Corrupt}
    assert [finding.kind for finding in findings] == ["unknown"]
