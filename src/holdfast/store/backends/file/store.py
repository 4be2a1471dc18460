"""`file:./logs/data`: the default store. Durable through power loss, one entity a readable file."""

import asyncio
from collections.abc import Sequence
from typing import Final

from holdfast.errors import InvalidOption, NotOpen, StoreFull
from holdfast.store.backends.file.disk import Disk
from holdfast.store.backends.file.findings import Finding
from holdfast.store.backends.file.keeper import Keeper
from holdfast.store.backends.file.layout import Layout
from holdfast.store.backends.file.live import Live
from holdfast.store.backends.file.opening import Opening, open_namespace
from holdfast.store.backends.file.reader import FileReader
from holdfast.store.backends.file.segments import DEFAULT_SEGMENT_BYTES
from holdfast.store.backends.file.view import FileView
from holdfast.store.backends.file.waiting import Patience
from holdfast.store.base import Change, CommitId, Durability
from holdfast.store.url import StoreUrl
from holdfast.system import Clock, Ids, SystemClock, SystemThreads, Threads, system_ids

__all__ = ("DEFAULT_BASE_DIR", "FileStore", "from_url")

DEFAULT_BASE_DIR: Final = "./logs/data"


class FileStore(FileView):
    """A namespace in a folder: an acknowledged commit survives power loss, and entities are readable files.

    One process writes at a time. `findings` says what the last `open` found that should not be. Commits are
    durable when they return; the entity files follow within `flush_seconds`, checkpoints every
    `checkpoint_seconds` or `checkpoint_bytes` of journal.
    """

    durability = Durability.POWER_LOSS

    def __init__(
        self,
        base_dir: str = DEFAULT_BASE_DIR,
        *,
        namespace: str = "default",
        clock: Clock | None = None,
        ids: Ids = system_ids,
        disk: Disk | None = None,
        threads: Threads | None = None,
        segment_bytes: int = DEFAULT_SEGMENT_BYTES,
        flush_seconds: float = 0.5,
        checkpoint_seconds: float = 60.0,
        checkpoint_bytes: int = 16 << 20,
    ) -> None:
        self.base_dir = base_dir
        self.url = f"file:{base_dir}"
        self.namespace = namespace
        self.findings: tuple[Finding, ...] = ()
        self._clock = clock or SystemClock()
        self._ids = ids
        self._disk = disk or Disk()
        self._threads = threads or SystemThreads()
        self._segment_bytes = segment_bytes
        self._flush_seconds = flush_seconds
        self._checkpoint_seconds = checkpoint_seconds
        self._checkpoint_bytes = checkpoint_bytes
        self._changing = asyncio.Lock()
        self._layout = Layout("")
        self._live: Live | None = None

    @property
    def head(self) -> int:  # type: ignore[override]
        """The number of the namespace's last durable commit."""
        return 0 if self._live is None else self._live.head

    async def open(self) -> None:
        """Lock and recover the namespace, making it if it is not there; opening an open store does nothing."""
        async with self._changing:
            self._check_home()
            if self._live is None:
                await self._open(Patience())

    async def close(self) -> None:
        """Finish running commits, write a checkpoint, let go of the lock; closing a closed store does nothing."""
        async with self._changing:
            self._check_home()
            if self._live is not None:
                await self._close(self._live, Patience())

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        """Make all changes or none; return when they survive a power cut."""
        return await self._open_live().commit(changes, commit_id, vital)

    async def checkpoint(self) -> None:
        """Return when entity files and streams are up to date and durable, so that a copy of them is one."""
        await self._keeper.checkpoint(self._open_live())

    async def _open(self, patience: Patience) -> None:
        self._executor = self._threads.pool(2, "holdfast-files")
        opened = asyncio.wrap_future(self._executor.submit(self._opening))
        await patience.end(opened)
        try:
            live = self._start(opened.result())
            if patience.tried:  # nobody is there to close it
                await self._close(live, patience)
        finally:
            if self._live is None:
                self._executor.shutdown(wait=False)
            patience.tell()

    def _start(self, opening: Opening) -> Live:
        self._lock = opening.lock
        self._journal = opening.journal
        self.findings = tuple(opening.loaded.findings)
        self._keeper = Keeper(
            opening.checkpointer, opening.spare, self._clock, self._threads, self._layout.root,
            flush_seconds=self._flush_seconds, checkpoint_seconds=self._checkpoint_seconds,
            checkpoint_bytes=self._checkpoint_bytes,
        )  # fmt: skip
        try:
            live = Live(
                opening, self._disk, self._layout.root, clock=self._clock, ids=self._ids,
                threads=self._threads, wake=self._keeper.wake,
            )  # fmt: skip
        except BaseException:  # the writer's thread could not be started
            self._release()
            raise
        self._live = live
        self._keeper.start(live)
        return live

    def _opening(self) -> Opening:
        self._layout = Layout.of(self._disk.absolute(self.base_dir), self.namespace)
        opening = open_namespace(
            self._disk, self._layout, self.namespace,
            clock=self._clock, ids=self._ids, segment_bytes=self._segment_bytes,
        )  # fmt: skip
        volatile = self._disk.is_volatile(self._layout.root)
        self.durability = Durability.PROCESS_CRASH if volatile else Durability.POWER_LOSS
        return opening

    async def _close(self, live: Live, patience: Patience) -> None:
        self._live = None
        try:
            await self._keeper.stop(patience)
            await live.finish(patience)
            if not live.failed:
                await self._last_checkpoint(live, patience)
        finally:
            self._release()
            patience.tell()

    def _release(self) -> None:
        """Let go of everything, the lock last: whoever gets it must be the only one who writes."""
        self._keeper.release()
        self._executor.shutdown(wait=False)  # they only read
        try:
            self._journal.close()
        finally:
            self._disk.close(self._lock)

    def _check_home(self) -> None:
        """Raise NotOpen where a store that is open elsewhere is opened or closed.

        One whose event loop was closed under it is let go of: the next open finds all of it in the journal.
        """
        live = self._live
        if live is not None and live.orphaned:
            self._live = None
            live.stop()
            self._release()
        elif live is not None:
            live.check_home()

    async def _last_checkpoint(self, live: Live, patience: Patience) -> None:
        try:
            await self._keeper.finish(live, patience)
        except StoreFull as error:  # nothing is lost: the next open finds it all in the journal
            self.findings += (Finding("full", self._layout.root, str(error)),)

    async def _seen(self) -> Live:
        return self._open_live()

    def _open_live(self) -> Live:
        if self._live is None:
            message = "the store is not open: use `async with store`, or `await store.open()`"
            raise NotOpen(message, url=self.url)
        return self._live


def from_url(url: StoreUrl, *, clock: Clock, ids: Ids) -> FileStore | FileReader:
    """Return the store of `file:PATH`; its option is `mode` (`rw` or `ro`)."""
    options = url.only("mode")
    if options.get("mode", "rw") not in ("rw", "ro"):
        raise InvalidOption(f"mode={options['mode']!r} in {url.text!r}; known: ro, rw", option="mode")
    if url.host not in (None, "", "localhost"):
        raise InvalidOption(f"{url.text!r} names a host; write file:PATH or file:///PATH", url=url.text)
    if options.get("mode") == "ro":
        return FileReader(url.path or DEFAULT_BASE_DIR, namespace=url.namespace)
    return FileStore(url.path or DEFAULT_BASE_DIR, namespace=url.namespace, clock=clock, ids=ids)
