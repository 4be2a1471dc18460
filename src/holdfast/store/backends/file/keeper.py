"""Housekeeping while the store is open: entity files within a second, checkpoints, and a spare segment.

One task on the event loop decides and hands over; the work runs on a thread, so that no commit waits for it.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar, TypeVarTuple

from holdfast.errors import StoreFull
from holdfast.store.backends.file.checkpoint import Checkpointer, Snapshot
from holdfast.store.backends.file.faults import explained
from holdfast.store.backends.file.live import Live
from holdfast.store.backends.file.manifest import Manifest
from holdfast.store.backends.file.segments import Spare
from holdfast.system import Clock

__all__ = ("Keeper",)

T = TypeVar("T")
A = TypeVarTuple("A")


class Keeper:
    """The housekeeping of one open namespace."""

    def __init__(
        self, checkpointer: Checkpointer, spare: Spare, executor: Executor, clock: Clock, root: str, *,
        flush_seconds: float, checkpoint_seconds: float, checkpoint_bytes: int,
    ) -> None:  # fmt: skip
        self._checkpointer = checkpointer
        self._spare = spare
        self._executor = executor
        self._clock = clock
        self._root = root
        self._flush_seconds = flush_seconds
        self._checkpoint_seconds = checkpoint_seconds
        self._checkpoint_bytes = checkpoint_bytes
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._working = asyncio.Lock()
        self._last_checkpoint = clock.monotonic()
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Say that there is something to do."""
        self._wake.set()

    def start(self, live: Live) -> None:
        """Begin keeping house."""
        self._wake.set()
        self._task = asyncio.create_task(self._run(live), name="holdfast-keeper")

    async def stop(self) -> None:
        """Return when the housekeeping under way is done; no more begins."""
        self._stopping.set()
        self._wake.set()
        if self._task is not None:
            await self._task

    async def checkpoint(self, live: Live) -> None:
        """Write a checkpoint of now. Raises StoreFull or Unavailable."""
        async with self._working:
            await self._work(live, live.snapshot())

    async def finish(self, live: Live) -> None:
        """Write the last checkpoint, after which no journal is needed. Raises StoreFull or Unavailable."""
        await self._work(live, live.snapshot(clean=True))

    async def _run(self, live: Live) -> None:
        while not self._stopping.is_set():
            await self._wake.wait()
            if self._stopping.is_set() or live.failed:
                return
            await self._step(live)
            if not live.uncovered and live.full is None:
                self._wake.clear()
            await self._nap()

    async def _nap(self) -> None:
        sleep = asyncio.ensure_future(self._clock.sleep(self._flush_seconds))
        stop = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({sleep, stop}, return_when=asyncio.FIRST_COMPLETED)
        for task in (sleep, stop):
            task.cancel()
        await asyncio.wait({sleep, stop})

    async def _step(self, live: Live) -> None:
        try:
            async with self._working:
                await self._work(live, live.snapshot() if self._is_due(live) else None)
        except StoreFull as error:
            live.full = error  # tried again after each nap; the journal still has everything
        except Exception as error:  # told to everyone who commits from now on
            live.fail(error)
        else:
            live.full = None

    def _is_due(self, live: Live) -> bool:
        if live.full is not None or live.uncovered_bytes >= self._checkpoint_bytes:
            return True
        waited = self._clock.monotonic() - self._last_checkpoint
        return live.uncovered and waited >= self._checkpoint_seconds

    async def _work(self, live: Live, snapshot: Snapshot | None) -> None:
        await self._spares_first(live)
        await self._in_thread(self._checkpointer.write_files, live.take_dirty())
        if snapshot is not None:
            manifest = await self._in_thread(self._checkpointer.checkpoint, snapshot)
            self._last_checkpoint = self._clock.monotonic()
            _trim(live, snapshot, manifest)
            await self._in_thread(self._checkpointer.drop_segments)
        await self._in_thread(self._spare.prepare)

    async def _spares_first(self, live: Live) -> None:
        """Keep the journal's room before files take it: they can wait, since the journal has what is in them."""
        try:
            await self._in_thread(self._spare.prepare)
        except StoreFull as error:  # tried again after the checkpoint, which may free a segment
            live.full = error

    async def _in_thread(self, work: Callable[[*A], T], *args: *A) -> T:
        with explained(self._root):
            return await asyncio.get_running_loop().run_in_executor(self._executor, work, *args)


def _trim(live: Live, snapshot: Snapshot, manifest: Manifest) -> None:
    """Let go of the events that are on disk now."""
    for name, tail in snapshot.tails.items():
        stream = live.streams[name]
        stream.chunks = tuple(manifest.streams[name])
        del stream.tail[: len(tail)]
