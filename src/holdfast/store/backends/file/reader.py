"""`file:…?mode=ro`: any number of processes that follow a namespace, while another writes it or none does.

A reader takes no lock and creates and changes nothing. It flushes what it read of the journal before it shows
it, so that it is never ahead of the disk.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

from holdfast.errors import Corrupt, NotOpen, StoreError, StoreMissing, Unavailable, Unsupported
from holdfast.store.backends.file.applying import apply
from holdfast.store.backends.file.disk import Disk, Stamp
from holdfast.store.backends.file.entries import Committed
from holdfast.store.backends.file.faults import explained
from holdfast.store.backends.file.findings import Finding, corrupt_store
from holdfast.store.backends.file.frames import HEADER_BYTES
from holdfast.store.backends.file.layout import Layout, namespaces
from holdfast.store.backends.file.lock import refuse_locked
from holdfast.store.backends.file.manifest import MISSING, Manifest, has_history, read_manifest
from holdfast.store.backends.file.recovery import Loaded, load
from holdfast.store.backends.file.replay import Segment, read_on, read_segment, replay
from holdfast.store.backends.file.streams import Stream
from holdfast.store.backends.file.view import FileView
from holdfast.store.base import Change, CommitId, Durability, Key
from holdfast.store.state import Stored, Table

__all__ = ("FileReader", "Follower")

_ATTEMPTS: Final = 20
_TRUSTED: Final = 3  # how often the same is read before it is believed: a segment may be new


def load_stable(disk: Disk, layout: Layout) -> tuple[Loaded, Stamp]:
    """Return a namespace as it is, read between two changes of the manifest, and that manifest's stamp.

    A writer may drop a segment or replace a file while they are read: then all is read again. Raises
    StoreMissing, FromTheFuture, or Corrupt if it still looks so without the manifest having changed.
    """
    for attempt in range(_ATTEMPTS):
        stamp = disk.stamp(layout.manifest)
        manifest = read_manifest(disk, layout)
        if stamp is None or manifest is None:
            raise _no_manifest(disk, layout)
        try:
            loaded = load(disk, layout, manifest, replay(disk, layout, manifest))
        except (Corrupt, FileNotFoundError):
            if attempt >= _TRUSTED and disk.stamp(layout.manifest) == stamp:
                raise
        else:
            if disk.stamp(layout.manifest) == stamp:
                return loaded, stamp
    raise _too_fast(layout)


def _no_manifest(disk: Disk, layout: Layout) -> StoreError:
    if has_history(disk, layout):
        return corrupt_store(layout.manifest, MISSING)
    return StoreMissing(f"there is no store at {layout.root}; nothing was created", path=layout.root)


def _too_fast(layout: Layout) -> Unavailable:
    message = f"{layout.root} changes faster than it can be read; try again"
    return Unavailable(message, path=layout.root, unknown=False)


class _Dropped(Exception):
    """A checkpoint dropped what was about to be read: what was in it is in the files now."""


class Follower:
    """A namespace as another process wrote it, brought up to date by `refresh`; used by one thread at a time."""

    def __init__(self, disk: Disk, layout: Layout) -> None:
        self._disk = disk
        self._layout = layout
        self._stamp: Stamp | None = None
        self._findings: list[Finding] = []
        self.manifest = Manifest("")
        self.segment: Segment | None = None
        self.table = Table()
        self.streams: dict[str, Stream] = {}
        self.broken: dict[Key, Finding] = {}
        self.head = 0

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is not as it should be, as of the last refresh."""
        return tuple(self._findings)

    def refresh(self) -> None:
        """Take up what has become durable since the last time; raises Unavailable where that never ends."""
        with explained(self._layout.root):
            for _ in range(_ATTEMPTS):
                with suppress(_Dropped):
                    if not self._is_current():
                        self._load()
                    self._follow()
                    if not self._findings or self._is_current():
                        return
                self._stamp = None
        raise _too_fast(self._layout)

    def _is_current(self) -> bool:
        return self._stamp is not None and self._disk.stamp(self._layout.manifest) == self._stamp

    def _load(self) -> None:
        loaded, self._stamp = load_stable(self._disk, self._layout)
        self.manifest, self.segment = loaded.manifest, loaded.replay.open_segment
        self.table, self.streams, self.head = loaded.table, loaded.streams, loaded.head
        self.broken, self._findings = loaded.broken, loaded.findings
        if self.segment is not None and loaded.replay.commits:
            self._flush(self.segment)

    def _follow(self) -> None:
        while self.segment is not None:
            self._follow_one(self.segment)
            if self._disk.stamp(self._layout.segment(self.segment.index + 1)) is None:
                return
            self.segment = self._read(self.segment.index + 1)
            self._flush(self.segment)
            self._take(self.segment.commits)

    def _read(self, index: int) -> Segment:
        try:
            return read_segment(self._disk, self._layout, index)
        except FileNotFoundError as error:
            raise _Dropped from error

    def _follow_one(self, segment: Segment) -> None:
        fd = self._open(segment)
        try:
            if self._disk.read_at(fd, HEADER_BYTES, segment.last.end).strip(b"\0"):
                data = self._disk.read_at(fd, self._disk.size(fd), 0)
                commits = read_on(self._layout.segment(segment.index), segment, data)
                if commits:
                    self._disk.flush(fd)  # before it is shown: the writer's own flush may still be under way
                    self._take(commits)
        finally:
            self._disk.close(fd)

    def _flush(self, segment: Segment) -> None:
        fd = self._open(segment)
        try:
            self._disk.flush(fd)
        finally:
            self._disk.close(fd)

    def _open(self, segment: Segment) -> int:
        try:
            return self._disk.open(self._layout.segment(segment.index))
        except FileNotFoundError as error:
            raise _Dropped from error

    def _take(self, commits: Sequence[Committed]) -> None:
        changed: dict[Key, Stored | None] = {}
        for commit in commits:
            if commit.number > self.head + 1:
                raise _Dropped
            if commit.number == self.head + 1:
                apply(commit, self.streams, changed)
                self.head = commit.number
        self.table.update(changed)
        for key in (
            changed.keys() & self.broken.keys()
        ):  # its file was newer than the journal, and this is why
            self._findings.remove(self.broken.pop(key))


class FileReader(FileView):
    """A namespace in a folder, read only: what its writer has made durable, as of each call."""

    durability = Durability.POWER_LOSS

    def __init__(self, base_dir: str, *, namespace: str = "default", disk: Disk | None = None) -> None:
        self.base_dir = base_dir
        self.url = f"file:{base_dir}"
        self.namespace = namespace
        self.findings: tuple[Finding, ...] = ()
        self._disk = disk or Disk()
        self._follower: Follower | None = None
        self._refreshing = asyncio.Lock()

    async def open(self) -> None:
        """Read the namespace; raises StoreMissing, and creates nothing, where there is none."""
        async with self._refreshing:
            if self._follower is None:
                await self._open()

    async def _open(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="holdfast-reader")
        self._layout = Layout.of(self._disk.absolute(self.base_dir), self.namespace)
        follower = Follower(self._disk, self._layout)
        try:
            await self._in_thread(follower.refresh)
        except BaseException as error:
            self._executor.shutdown(wait=False)
            if isinstance(error, StoreMissing):
                raise self._missing(error) from error
            raise
        self._follower = follower
        self.findings = follower.findings

    def _missing(self, error: StoreMissing) -> StoreMissing:
        known = ", ".join(map(repr, namespaces(self._disk, self._disk.absolute(self.base_dir)))) or "none"
        message = f"{error}. There is no namespace {self.namespace!r} there, of these: {known}"
        return StoreMissing(message, path=self._layout.root, namespace=self.namespace)

    async def close(self) -> None:
        """Stop following; there is nothing else to let go of."""
        if self._follower is not None:
            self._follower = None
            self._executor.shutdown(wait=False)

    def refuse_in_use(self) -> None:
        """Return where no process has the namespace open to write it, as it is now; raises StoreInUse that names it."""
        with explained(self._layout.root):
            refuse_locked(self._disk, self._layout.lock)

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        """Raise Unsupported: a reader changes nothing."""
        raise Unsupported(
            f"{self.url!r} is open for reading only (mode=ro); open it without that", url=self.url
        )

    async def _seen(self) -> Follower:
        async with self._refreshing:
            follower = self._follower
            if follower is None:
                message = "the store is not open: use `async with store`, or `await store.open()`"
                raise NotOpen(message, url=self.url)
            await self._in_thread(follower.refresh)
            self.head, self.findings = follower.head, follower.findings
        return follower
