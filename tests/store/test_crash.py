"""The power is cut at every call to the disk, also during recovery: nothing acknowledged is lost or torn.

Each claim stands beside negative controls: the same store with one flush, one order or one rule missing must be
caught by the same check. A check that catches nothing proves nothing.
"""

import asyncio
import errno
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from holdfast.errors import StoreFull
from holdfast.store.backends.file import checkpoint, journal, manifest, opening, segments, writer
from holdfast.testing.simulation.disk import SimulatedDisk
from holdfast.testing.simulation.files import Choice, Folder, all_kept, all_lost, some
from tests.store.workload import Told, faults, store_on, work

# More of them find more: `HOLDFAST_SEEDS=50 pytest tests/store/test_crash.py` is a campaign.
SEEDS = int(os.environ.get("HOLDFAST_SEEDS", "1"))
CHOICES: tuple[Choice, ...] = (all_lost, all_kept)
RECOVERIES = 70 if os.environ.get("HOLDFAST_HAZARDS") == "all" else 140
"""Every so manyth state is one in whose recovery the power is cut at every call."""

pytestmark = pytest.mark.crash

State = tuple[str, Folder, set[int]]


def record(
    disk: SimulatedDisk, *, before: Callable[[str, str], None] | None = None, **options: Any
) -> tuple[list[State], Told]:
    """Run the workload and return the disk before every call, with what was acknowledged by then."""
    told = Told()
    states: list[State] = []

    def take(call: str, path: str) -> None:
        states.append((f"{len(states)}: {call} {path}", disk.snapshot(), set(told.acknowledged)))
        if before is not None:
            before(call, path)

    disk.before = take
    asyncio.run(work(store_on(disk, **options), told))
    states.append(("end", disk.snapshot(), set(told.acknowledged)))
    return states, told


def explore(
    states: list[State], told: Told, *, seeds: int = SEEDS, syncfs: bool = True, stop: bool = False
) -> tuple[int, list[str]]:
    """Return how many crash states were tried, and what was wrong after them."""
    tried, wrong = 0, []
    for turn in range(len(CHOICES) + seeds):
        for place, (label, root, acknowledged) in enumerate(states):
            choice = CHOICES[turn] if turn < len(CHOICES) else some(place * seeds + turn)
            disk = SimulatedDisk.after_cut(root, choice, syncfs=syncfs)
            found = asyncio.run(faults(disk, Told(acknowledged, set(), told.submitted)))
            wrong += [f"{label}: {fault}" for fault in found]
            tried += 1
            if wrong and stop:
                return tried, wrong
    return tried, wrong


@pytest.mark.parametrize("syncfs", [True, False], ids=["syncfs", "fsync"])
def test_power_cut_at_every_call(syncfs: bool) -> None:
    states, told = record(SimulatedDisk(syncfs=syncfs))
    assert told.acknowledged == set(range(1, 13))
    assert any("manifest" in label for label, _, _ in states[60:]), "the workload must checkpoint"
    tried, wrong = explore(states, told, syncfs=syncfs)
    assert not wrong, wrong[:3]
    assert tried > 300


def test_power_cut_where_open_has_no_room_to_copy() -> None:
    """On a full disk the journal is written over itself: that must be as safe as the copy."""
    real = journal.Journal.start

    def start(self: journal.Journal, segment: int, sequence: int, head: int, commits: Any) -> None:
        if commits:
            raise StoreFull("no room for a copy")
        real(self, segment, sequence, head, commits)

    states, told = record(SimulatedDisk(), checkpoint_seconds=1e9)
    with changed(journal.Journal, "start", start):
        _, wrong = explore(states[25::2], told)
        assert not wrong, wrong[:3]
        for root in record_recovery(SimulatedDisk.after_cut(states[-20][1], all_kept)):
            found = asyncio.run(
                faults(SimulatedDisk.after_cut(root, all_lost), Told(states[-20][2], set(), 12))
            )
            assert not found, found[:2]


def test_power_cut_at_every_call_of_recovery() -> None:
    states, told = record(SimulatedDisk())
    for label, root, acknowledged in states[25::RECOVERIES]:
        for choice in (*CHOICES, some(7)):
            disk = SimulatedDisk.after_cut(root, choice)
            known = Told(acknowledged, set(), told.submitted)
            inner = record_recovery(disk)
            for place, again in enumerate(inner):
                for second in (all_lost, all_kept, some(place)):
                    found = asyncio.run(faults(SimulatedDisk.after_cut(again, second), known))
                    assert not found, (label, place, found[:2])


def record_recovery(disk: SimulatedDisk) -> list[Folder]:
    """Return the disk before every call of an open and a close."""
    inner: list[Folder] = []
    disk.before = lambda call, path: inner.append(disk.snapshot())

    async def open_and_close() -> None:
        async with store_on(disk):
            pass

    asyncio.run(open_and_close())
    return inner


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_every_call_can_fail(code: int) -> None:
    """One call fails: callers get typed errors, and the next process finds what they were told."""
    total = 0
    while True:
        total += 1 if code == errno.EIO else 3
        disk = SimulatedDisk()
        failed = fail_call(disk, total, code)
        told = Told()
        asyncio.run(asyncio.wait_for(work(store_on(disk), told), 200))
        disk.before = lambda call, path: None
        wrong = asyncio.run(faults(disk.after_kill(), told))
        wrong += asyncio.run(faults(SimulatedDisk.after_cut(disk.snapshot(), all_lost), told))
        assert not wrong, (failed, wrong[:2])
        if not failed:
            break
    assert total > 50


def fail_call(disk: SimulatedDisk, number: int, code: int) -> list[str]:
    """Let that call of `disk` fail; returns a list that then names it."""
    failed: list[str] = []

    def before(call: str, path: str) -> None:
        if disk.calls == number:
            failed.append(f"{number}: {call} {path}")
            raise OSError(code, errno.errorcode[code], path)

    disk.before = before
    return failed


def journal_flush_fails(number: int) -> Callable[[str, str], None]:
    """Let that flush of a journal segment fail."""
    flushes = itertools.count(1)

    def before(call: str, path: str) -> None:
        if call == "flush" and "/journal/" in path and next(flushes) == number:
            raise OSError(errno.EIO, "EIO", path)

    return before


# Negative controls: each is the store with one thing wrong, and must be caught.


class NoFlush(SimulatedDisk):
    """fdatasync that does nothing."""

    def flush(self, fd: int) -> None:
        pass


class NoFolderFlush(SimulatedDisk):
    """fsync of a folder that does nothing."""

    def flush_folder(self, path: str) -> None:
        pass


class NoParentFlush(SimulatedDisk):
    """New folders above the store's own are never flushed."""

    def flush_folder(self, path: str) -> None:
        if ".holdfast" in path:
            super().flush_folder(path)


class NoFileSystemFlush(SimulatedDisk):
    """syncfs that does nothing."""

    def flush_all(self, path: str) -> bool:
        return True


@contextmanager
def changed(target: Any, name: str, value: Any) -> Iterator[None]:
    old = getattr(target, name)
    setattr(target, name, value)
    try:
        yield
    finally:
        setattr(target, name, old)


def acknowledge_before_write() -> AbstractContextManager[None]:
    real = writer.Writer._write

    def write(self: writer.Writer, batch: Any) -> bool:
        told = threading.Event()
        self._loop.call_soon_threadsafe(self._settled, batch, self._journal.segment)
        self._loop.call_soon_threadsafe(self._loop.call_later, 0.001, told.set)
        told.wait(10)
        with changed(self, "_settled", lambda *_: None):
            return real(self, batch)

    return changed(writer.Writer, "_write", write)


def no_flush_of(module: Any, name: str) -> AbstractContextManager[None]:
    """The function runs on a disk whose file flush does nothing."""
    real = getattr(module, name)

    def with_no_flush(disk: SimulatedDisk, *args: Any) -> Any:
        with changed(disk, "flush", lambda fd: None):
            return real(disk, *args)

    return changed(module, name, with_no_flush)


def drop_before_manifest() -> AbstractContextManager[None]:
    real = manifest.write_manifest

    def write(disk: SimulatedDisk, ids: Any, layout: Any, made: manifest.Manifest) -> None:
        for index in segments.listed(disk, layout):
            if index < made.segment:
                disk.remove(layout.segment(index))
                disk.flush_folder(layout.journal)
        real(disk, ids, layout, made)

    return changed(checkpoint, "write_manifest", write)


def no_flush_of_files() -> AbstractContextManager[None]:
    return changed(checkpoint.Checkpointer, "_flush", lambda self, *_: None)


def segment_named_without_folder_flush() -> AbstractContextManager[None]:
    real = journal.Journal._begin

    def begin(self: journal.Journal, *args: Any) -> None:
        with changed(self._disk, "flush_folder", lambda path: None):
            real(self, *args)

    return changed(journal.Journal, "_begin", begin)


def successor_marked_before_it_is_named() -> AbstractContextManager[None]:
    """The old segment says that it goes on in a segment that a power cut may still take away."""
    real = journal.Journal._begin

    def begin(self: journal.Journal, *args: Any) -> None:
        if self._fd >= 0:
            segments.mark_successor(self._disk, self._fd)
        real(self, *args)

    return changed(journal.Journal, "_begin", begin)


def trusts_what_it_reads_back() -> AbstractContextManager[None]:
    """Open answers without having written anew what no checkpoint covers."""
    real = journal.Journal._begin

    def begin(self: journal.Journal, *args: Any) -> None:
        with changed(self._disk, "flush", lambda fd: None):
            real(self, *args)

    return changed(journal.Journal, "_begin", begin)


@pytest.mark.parametrize("disk", [NoFlush, NoFolderFlush, NoParentFlush, NoFileSystemFlush])
def test_control_disk_that_lies(disk: type[SimulatedDisk]) -> None:
    assert explore(*record(disk()), stop=True)[1]


@pytest.mark.parametrize(
    "mutant",
    [
        acknowledge_before_write,
        drop_before_manifest,
        no_flush_of_files,
        segment_named_without_folder_flush,
        successor_marked_before_it_is_named,
        trusts_what_it_reads_back,
        lambda: no_flush_of(checkpoint, "write_manifest"),
        lambda: no_flush_of(opening, "write_manifest"),
    ],
    ids=[
        "ack-before-write",
        "drop-first",
        "files",
        "segment-name",
        "successor",
        "trust",
        "manifest",
        "first-manifest",
    ],
)
def test_control_mutant(mutant: Callable[[], AbstractContextManager[None]]) -> None:
    with mutant():
        states, told = record(SimulatedDisk())
    assert explore(states[20::2], told, seeds=9, stop=True)[1]


def test_control_retry_after_failed_flush() -> None:
    """A store that tries the flush again is told that all is well, and loses the batch."""
    real = journal.Journal.append

    def append(self: journal.Journal, lines: Any, first: int) -> int:
        try:
            return real(self, lines, first)
        except OSError:
            self._disk.flush(self._fd)
            return self.segment

    def lost() -> list[str]:
        for number in range(3, 8):
            disk = SimulatedDisk()
            states, told = record(disk, before=journal_flush_fails(number), checkpoint_seconds=1e9)
            if wrong := explore(states, told, seeds=0, stop=True)[1]:
                return wrong
        return []

    assert not lost()
    with changed(journal.Journal, "append", append):
        assert lost()
