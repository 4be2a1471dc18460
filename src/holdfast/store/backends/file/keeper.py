"""Housekeeping while the store is open: entity files within a second, checkpoints, and a spare segment.

The event loop decides and hands over; the work runs on a thread, so that no commit waits for it. One piece of
work at a time, and each comes to its end, whoever asked for it and is cancelled meanwhile.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from functools import partial

from msgspec import Struct

from holdfast.errors import NotOpen, StoreFull
from holdfast.store.backends.file.checkpoint import Checkpointer, Snapshot
from holdfast.store.backends.file.faults import explained
from holdfast.store.backends.file.live import Live
from holdfast.store.backends.file.manifest import Manifest
from holdfast.store.backends.file.segments import Spare
from holdfast.store.backends.file.waiting import Patience
from holdfast.store.base import Key
from holdfast.store.state import Stored
from holdfast.system import Clock, Threads

__all__ = ("Keeper",)

Changed = Mapping[Key, Stored | None]


class Done(Struct, frozen=True):
    """What came of a piece of work: the manifest, if one was written, and what went wrong after that."""

    manifest: Manifest | None
    error: Exception | None


Work = asyncio.Future[Done]


class Keeper:
    """The housekeeping of one open namespace."""

    def __init__(
        self, checkpointer: Checkpointer, spare: Spare, clock: Clock, threads: Threads, root: str, *,
        flush_seconds: float, checkpoint_seconds: float, checkpoint_bytes: int,
    ) -> None:  # fmt: skip
        self._checkpointer = checkpointer
        self._spare = spare
        self._clock = clock
        self._root = root
        self._flush_seconds = flush_seconds
        self._checkpoint_seconds = checkpoint_seconds
        self._checkpoint_bytes = checkpoint_bytes
        self._thread = threads.pool(1, "holdfast-keeper")  # readers never fill it
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._work: Work | None = None
        self._last_checkpoint = clock.monotonic()
        self._live: Live | None = None
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Say that there is something to do."""
        self._wake.set()
        if self._live is not None and self._task is not None and self._task.done():
            self.start(self._live)  # someone cancelled all tasks, and uses the store on

    def start(self, live: Live) -> None:
        """Begin keeping house."""
        self._live = live
        self._wake.set()
        self._task = asyncio.create_task(self._run(live), name="holdfast-keeper")

    async def stop(self, patience: Patience) -> None:
        """Return when the housekeeping under way is done; no more begins."""
        self._live = None
        self._stopping.set()
        self._wake.set()
        if self._task is not None:
            await patience.end(self._task)
        while self._work is not None:
            await patience.end(self._work)

    async def checkpoint(self, live: Live) -> None:
        """Write a checkpoint of now. Raises StoreFull or Unavailable; cancelling gives up nothing but the wait."""
        live.check_alive()
        await self._turn()
        live.check_alive()
        if self._stopping.is_set():
            raise NotOpen("the store was closed before the checkpoint began", path=self._root)
        _written(await asyncio.shield(self._begin(live, live.snapshot())))

    async def finish(self, live: Live, patience: Patience) -> None:
        """Write the last checkpoint, after which no journal is needed. Raises StoreFull or Unavailable."""
        work = self._begin(live, live.snapshot(clean=True))
        await patience.end(work)
        _written(work.result())

    def release(self) -> None:
        """Return when nothing of this runs any more."""
        self._thread.shutdown()

    async def _run(self, live: Live) -> None:
        while not self._stopping.is_set():
            await self._wake.wait()
            await self._turn()
            if self._stopping.is_set() or live.failed:
                return
            with suppress(Exception):  # what came of it is seen to by `_settle`
                await asyncio.shield(self._begin(live, live.snapshot() if self._is_due(live) else None))
            if not live.uncovered and live.full is None:
                self._wake.clear()
            await self._nap()

    async def _nap(self) -> None:
        sleep = asyncio.ensure_future(self._clock.sleep(self._flush_seconds))
        stop = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({sleep, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sleep, stop):
                task.cancel()
        await asyncio.wait({sleep, stop})

    def _is_due(self, live: Live) -> bool:
        if live.full is not None or live.uncovered_bytes >= self._checkpoint_bytes:
            return True
        waited = self._clock.monotonic() - self._last_checkpoint
        return live.uncovered and waited >= self._checkpoint_seconds

    async def _turn(self) -> None:
        while self._work is not None:
            await asyncio.wait({self._work})

    def _begin(self, live: Live, snapshot: Snapshot | None) -> Work:
        """Hand over what there is to do. Until `_settle` has seen to what came of it, no other work may begin."""
        changed = live.take_dirty()
        work = asyncio.wrap_future(self._thread.submit(self._do, live, changed, snapshot))
        work.add_done_callback(partial(self._settle, live, changed, snapshot))
        self._work = work
        return work

    def _settle(self, live: Live, changed: Changed, snapshot: Snapshot | None, work: Work) -> None:
        self._work = None
        error = work.exception()
        if error is None:
            self._covered(live, snapshot, work.result().manifest)
            error = work.result().error
        else:
            live.put_back(changed)
        if isinstance(error, StoreFull):
            live.full = error  # tried again after each nap; the journal still has everything
            self._wake.set()
        elif error is not None:  # told to everyone who commits from now on
            live.fail(error)
        else:
            live.full = None

    def _covered(self, live: Live, snapshot: Snapshot | None, manifest: Manifest | None) -> None:
        if snapshot is not None and manifest is not None:
            self._last_checkpoint = self._clock.monotonic()
            _trim(live, snapshot, manifest)

    # On the thread:

    def _do(self, live: Live, changed: Changed, snapshot: Snapshot | None) -> Done:
        with explained(self._root):
            self._spares_first(live)
            self._checkpointer.write_files(changed)
            manifest = None if snapshot is None else self._checkpointer.checkpoint(snapshot)
        return Done(manifest, self._make_room(manifest))

    def _make_room(self, manifest: Manifest | None) -> Exception | None:
        """Drop what the manifest made superfluous; that it counts is true whatever happens here."""
        try:
            with explained(self._root):
                if manifest is not None:
                    self._checkpointer.drop_segments()
                self._spare.prepare()
        except Exception as error:
            return error
        return None

    def _spares_first(self, live: Live) -> None:
        """Keep the journal's room before files take it: they can wait, since the journal has what is in them."""
        try:
            self._spare.prepare()
        except StoreFull as error:  # tried again after the checkpoint, which may free a segment
            with suppress(RuntimeError):  # the loop is closed: nobody commits any more
                self._loop.call_soon_threadsafe(setattr, live, "full", error)


def _written(done: Done) -> None:
    """Raise what failed the store behind a manifest; that there is no room for spares undoes no checkpoint."""
    if done.error is not None and not isinstance(done.error, StoreFull):
        raise done.error


def _trim(live: Live, snapshot: Snapshot, manifest: Manifest) -> None:
    """Let go of the events that are on disk now."""
    for name, tail in snapshot.tails.items():
        stream = live.streams[name]
        stream.chunks = tuple(manifest.streams[name])
        del stream.tail[: len(tail)]
