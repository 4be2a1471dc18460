"""`file:…?mode=ro`: any number of processes that follow a namespace, while another writes it or none does.

A reader takes no lock and creates and changes nothing. It flushes what it read of the journal before it shows
it, so that it is never ahead of the disk.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from holdfast.errors import Corrupt, NotOpen, StoreMissing, Unsupported
from holdfast.store.backends.file.applying import apply
from holdfast.store.backends.file.disk import Disk, Stamp
from holdfast.store.backends.file.entries import Committed
from holdfast.store.backends.file.faults import explained
from holdfast.store.backends.file.findings import Finding, corrupt_store
from holdfast.store.backends.file.frames import HEADER_BYTES
from holdfast.store.backends.file.layout import Layout
from holdfast.store.backends.file.manifest import MISSING, has_history, read_manifest
from holdfast.store.backends.file.recovery import Loaded, load
from holdfast.store.backends.file.replay import Segment, read_on, read_segment, replay
from holdfast.store.backends.file.streams import Stream
from holdfast.store.backends.file.view import FileView
from holdfast.store.base import Change, CommitId, Durability, Key
from holdfast.store.state import Stored, Table

__all__ = ("FileReader", "Follower", "load_stable")

_ATTEMPTS = 20


def load_stable(disk: Disk, layout: Layout) -> tuple[Loaded, Stamp]:
    """Return a namespace as it is, read between two changes of the manifest, and that manifest's stamp.

    A writer may drop a segment or replace a file while they are read: then all is read again. Raises
    StoreMissing, FromTheFuture, or Corrupt if it still looks so without the manifest having changed.
    """
    for attempt in range(_ATTEMPTS):
        stamp = disk.stamp(layout.manifest)
        manifest = read_manifest(disk, layout)
        if (stamp is None or manifest is None) and has_history(disk, layout):
            raise corrupt_store(layout.manifest, MISSING)
        if stamp is None or manifest is None:
            message = f"there is no store at {layout.root}; nothing was created"
            raise StoreMissing(message, path=layout.root)
        try:
            loaded = load(disk, layout, manifest, replay(disk, layout, manifest))
        except (Corrupt, FileNotFoundError):
            if attempt + 1 == _ATTEMPTS:
                raise
        else:
            if disk.stamp(layout.manifest) == stamp:
                return loaded, stamp
    raise Corrupt(
        f"{layout.root} changes faster than it can be read", key=None, reason="changes", path=layout.root
    )


class Follower:
    """A namespace as another process wrote it, brought up to date by `refresh`; used by one thread at a time."""

    def __init__(self, disk: Disk, layout: Layout) -> None:
        self._disk = disk
        self._layout = layout
        self._stamp: Stamp | None = None
        self._segment: Segment | None = None
        self.table = Table()
        self.streams: dict[str, Stream] = {}
        self.broken: dict[Key, Finding] = {}
        self.findings: tuple[Finding, ...] = ()
        self.head = 0

    def refresh(self) -> None:
        """Take up what has become durable since the last time."""
        with explained(self._layout.root):
            if self._stamp is None or self._disk.stamp(self._layout.manifest) != self._stamp:
                self._load()
            self._follow()

    def _load(self) -> None:
        loaded, self._stamp = load_stable(self._disk, self._layout)
        self._segment = loaded.replay.open_segment
        self.table, self.streams, self.head = loaded.table, loaded.streams, loaded.head
        self.broken, self.findings = loaded.broken, tuple(loaded.findings)
        if self._segment is not None and loaded.replay.commits:
            self._flush(self._segment)

    def _follow(self) -> None:
        while self._segment is not None:
            self._follow_one(self._segment)
            path = self._layout.segment(self._segment.index + 1)
            if self._disk.stamp(path) is None:
                return
            self._segment = read_segment(self._disk, self._layout, self._segment.index + 1)
            self._flush(self._segment)
            self._take(self._segment.commits)

    def _follow_one(self, segment: Segment) -> None:
        path = self._layout.segment(segment.index)
        try:
            fd = self._disk.open(path)
        except FileNotFoundError:  # dropped by a checkpoint after all of it was read here
            return
        try:
            if self._disk.read_at(fd, HEADER_BYTES, segment.last.end).strip(b"\0"):
                commits = read_on(path, segment, self._disk.read(path))
                if commits:
                    self._disk.flush(fd)  # before it is shown: the writer's own flush may still be under way
                    self._take(commits)
        finally:
            self._disk.close(fd)

    def _flush(self, segment: Segment) -> None:
        fd = self._disk.open(self._layout.segment(segment.index))
        try:
            self._disk.flush(fd)
        finally:
            self._disk.close(fd)

    def _take(self, commits: Sequence[Committed]) -> None:
        changed: dict[Key, Stored | None] = {}
        for commit in commits:
            if commit.number == self.head + 1:
                apply(commit, self.streams, changed)
                self.head = commit.number
        self.table.update(changed)
        for key in changed:  # its file was newer than the manifest, and this is why
            self.broken.pop(key, None)


class FileReader(FileView):
    """A namespace in a folder, read only: what its writer has made durable, as of each call."""

    durability = Durability.POWER_LOSS

    def __init__(self, base_dir: str, *, namespace: str = "default", disk: Disk | None = None) -> None:
        self.base_dir = base_dir
        self.url = f"file:{base_dir}?mode=ro"
        self.namespace = namespace
        self.findings: tuple[Finding, ...] = ()
        self._disk = disk or Disk()
        self._follower: Follower | None = None
        self._refreshing = asyncio.Lock()

    async def open(self) -> None:
        """Read the namespace; raises StoreMissing, and creates nothing, where there is none."""
        if self._follower is not None:
            return
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="holdfast-reader")
        self._layout = Layout.of(self._disk.absolute(self.base_dir), self.namespace)
        follower = Follower(self._disk, self._layout)
        try:
            await self._in_thread(follower.refresh)
        except BaseException:
            self._executor.shutdown(wait=False)
            raise
        self._follower = follower
        self.findings = follower.findings

    async def close(self) -> None:
        """Stop following; there is nothing else to let go of."""
        if self._follower is not None:
            self._follower = None
            self._executor.shutdown(wait=False)

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        """Raise Unsupported: a reader changes nothing."""
        raise Unsupported(f"{self.url!r} is open for reading only; open it without mode=ro", url=self.url)

    async def _seen(self) -> Follower:
        if self._follower is None:
            message = "the store is not open: use `async with store`, or `await store.open()`"
            raise NotOpen(message, url=self.url)
        async with self._refreshing:
            follower = self._follower
            await self._in_thread(follower.refresh)
            self.head, self.findings = follower.head, follower.findings
        return follower
