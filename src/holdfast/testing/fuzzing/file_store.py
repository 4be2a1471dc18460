"""The file store as a whole, with something wrong in its folder: read, opened for writing, verified, repaired."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

from holdfast.errors import Corrupt, FromTheFuture, StoreError, StoreMissing, Unavailable
from holdfast.store import Key, Put
from holdfast.store.backends.file.files import Unreadable, parse
from holdfast.store.backends.file.reader import FileReader
from holdfast.store.backends.file.repair import repair
from holdfast.store.backends.file.store import FileStore
from holdfast.store.backends.file.verify import verify
from holdfast.testing.fuzzing.damaged_store import Damaged, damaged_store, require_right
from holdfast.testing.fuzzing.dice import Dice
from holdfast.testing.fuzzing.samples import KEYS, STREAMS, place, put, seen_tree
from holdfast.testing.fuzzing.target import require

__all__ = ("opened", "read", "repaired", "running", "verified")

REFUSALS: Final = (Corrupt, FromTheFuture, StoreMissing, Unavailable)
NEW: Final = Key("risk", "fuzzing")


@cache
def _runner() -> asyncio.Runner:
    return asyncio.Runner()


def running(work: Callable[[], Awaitable[Any]]) -> Any:
    """Run something asynchronous to its end, all of it on one event loop."""

    async def run() -> Any:
        return await work()

    return _runner().run(run())


def read(data: bytes) -> None:
    """A reader of a damaged store says what was written, or that it cannot be trusted; it changes nothing."""
    found, folder = _placed(data)

    async def look() -> None:
        async with FileReader(str(folder)) as store:
            await require_right(store, found)

    _allowed(found, look)
    require(seen_tree(folder) == found.tree, "changed: a reader changed files")


def opened(data: bytes) -> None:
    """A writer of a damaged store says what was written or refuses, keeps what it cannot read, and can go on."""
    found, folder = _placed(data)

    async def use() -> None:
        async with FileStore(str(folder), segment_bytes=2048) as store:
            await require_right(store, found)
            await store.commit([Put(NEW, "new")])
        async with FileReader(str(folder)) as store:
            (record,) = await store.get(NEW)
            require(record is not None and record.value == "new", "lost: what was committed after it")
        _require_kept(found, folder)

    if _allowed(found, use):
        return
    require(seen_tree(folder) == found.tree, "changed: a refused open changed files")


def verified(data: bytes) -> None:
    """`verify` reports a store that a reader refuses, in findings, and finds nothing in one that is as it was."""
    found, folder = _placed(data)
    try:
        findings = verify(str(folder))
    except (StoreMissing, FromTheFuture, Unavailable):
        require(found.changed, "refused: a store that nothing happened to")
        return
    require(found.changed or not findings, f"accused: a store that nothing happened to: {findings}")
    require(seen_tree(folder) == found.tree, "changed: verify changed files")
    if findings or found.forged:
        return

    async def look() -> None:
        async with FileReader(str(folder)) as store:
            for key in KEYS:  # nothing is Corrupt to a reader that verify has not spoken of
                await store.get(key)
            for stream in STREAMS:
                [event async for event in store.read(stream)]
            await require_right(store, found)

    running(look)


def repaired(data: bytes) -> None:
    """`repair` deletes nothing, invents nothing, says what it did, and leaves a store that can be used."""
    found, folder = _placed(data)
    try:
        done = repair(str(folder))
    except (StoreMissing, FromTheFuture, Unavailable):
        require(found.changed, "refused: a store that nothing happened to")
        return
    require(found.changed or not done, f"accused: a store that nothing happened to: {done}")
    if not done:
        require(seen_tree(folder) == found.tree, "changed: a repair that did nothing changed files")
    _require_kept(found, folder)
    if not found.forged:
        running(lambda: _sound(found, folder, named=bool(done)))


async def _sound(found: Damaged, folder: Path, *, named: bool) -> None:
    """Require of a repaired store that it holds what was acknowledged, or that something is said to be lost."""
    async with FileStore(str(folder), segment_bytes=2048) as store:
        for key in KEYS:
            (record,) = await store.get(key)
            held = None if record is None else (record.value, record.version)
            ever = [state.records.get(key) for state in found.sample.states]
            require(held is None or held in ever, f"invented: {key} is {held}")
            require(named or store.head < found.sample.head or held == ever[-1], f"unnamed: {key} is {held}")
        for stream in STREAMS:
            events = [(event.value, event.version) async for event in store.read(stream)]
            true = [*found.sample.state.streams.get(stream, ())]
            kept = [one for one in events if one[1] != "lost"]
            require(all(one in true for one in kept), f"invented: {stream} has {kept}")
        await store.commit([Put(NEW, "new")])


def _placed(data: bytes) -> tuple[Damaged, Path]:
    found, folder = damaged_store(Dice(data)), place() / "store"
    put(found.tree, folder)
    return found, folder


def _allowed(found: Damaged, work: Callable[[], Awaitable[None]]) -> bool:
    """Do something; return whether it was done and not refused, as a store that nothing happened to must not be."""
    try:
        running(work)
    except REFUSALS as error:
        require(found.changed, f"refused: a store that nothing happened to: {error!r}")
        return False
    except StoreError as error:
        require(found.forged, f"refused: as another error than damage is: {error!r}")
        return False
    return True


def _require_kept(found: Damaged, folder: Path) -> None:
    """Require that what could not be read is still there, where it was or in the quarantine."""
    now = seen_tree(folder)
    aside = [data for path, data in now.items() if path.startswith(".holdfast/quarantine/")]
    for path in () if found.forged else found.paths:
        data, before = found.tree.get(path, b""), found.sample.tree[path]
        # What is whole of a segment is carried over into the next; what follows a stream's end never counted.
        carried = path.endswith(".log") or (path.endswith(".jsonl") and data.startswith(before))
        kept = data in aside or now.get(path, b"").startswith(data)
        require(carried or kept or data == before or _is_whole(data), f"deleted: {path} is nowhere any more")


def _is_whole(data: bytes) -> bool:
    """Whether these are an entity's bytes: an older one is replaced as it would be in any store that goes on."""
    try:
        parse(data)
    except Unreadable:
        return False
    return True
