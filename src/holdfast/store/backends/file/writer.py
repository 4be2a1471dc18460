"""Group commit: all commits that wait become one frame and one flush, on a thread of its own.

There is no linger: a batch is whatever came while the last flush ran. The event loop is woken once a batch.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import TypeVarTuple

from holdfast import points
from holdfast.errors import StoreFull
from holdfast.store.backends.file.journal import FRAME_BYTES, Journal
from holdfast.store.backends.file.staging import Pending

__all__ = ("Writer",)

A = TypeVarTuple("A")

Settled = Callable[[Sequence[Pending], int], None]
Failed = Callable[[Sequence[Pending], Exception], None]


class Writer:
    """The thread that appends to the journal; what came of a batch is told on the event loop.

    After `refused` (no room: nothing was written) it writes nothing until `resume`, since what waits was
    checked against what was refused. After `failed` it never writes again.
    """

    def __init__(
        self,
        journal: Journal,
        loop: asyncio.AbstractEventLoop,
        *,
        settled: Settled,
        refused: Failed,
        failed: Failed,
    ) -> None:
        self._journal = journal
        self._loop = loop
        self._settled = settled
        self._refused = refused
        self._failed = failed
        self._queue: SimpleQueue[Pending | None] = SimpleQueue()
        self._resume = threading.Event()
        self._thread = threading.Thread(target=self._run, name="holdfast-journal", daemon=True)
        self._thread.start()

    def submit(self, pending: Pending) -> None:
        """Queue a commit behind all others."""
        self._queue.put(pending)

    def resume(self) -> None:
        """Drop all that waits, and go on after `refused`."""
        while not self._queue.empty():
            self._queue.get_nowait()
        self._resume.set()

    def stop(self) -> None:
        """Return when everything submitted has been written or refused and the thread has ended."""
        self._queue.put(None)
        self._resume.set()
        self._thread.join()

    def _run(self) -> None:
        going = True
        while going:
            batch, going = self._batch()
            if batch and not self._write(batch):
                return

    def _batch(self) -> tuple[list[Pending], bool]:
        """Wait for a commit, then return it with all that wait, up to a frame's size; False at the end."""
        batch: list[Pending] = []
        size = 0
        pending = self._queue.get()
        while pending is not None:
            batch.append(pending)
            size += len(pending.line)
            if size >= FRAME_BYTES or self._queue.empty():
                return batch, True
            pending = self._queue.get()
        return batch, False

    def _write(self, batch: list[Pending]) -> bool:
        """Append one batch and report; False if nothing may be written any more."""
        self._resume.clear()
        try:
            segment = self._journal.append([pending.line for pending in batch], batch[0].commit.number)
        except StoreFull as error:
            told = self._tell(self._refused, batch, error)
            if told:
                self._resume.wait()
            return told
        except Exception as error:  # reported to everyone who waits, and the store has failed
            self._tell(self._failed, batch, error)
            return False
        points.reached("journal.acknowledged")
        return self._tell(self._settled, batch, segment)

    def _tell(self, what: Callable[[*A], None], *args: *A) -> bool:
        try:
            self._loop.call_soon_threadsafe(what, *args)
        except RuntimeError:  # the loop was closed: nobody waits any more, and nobody would hear of a failure
            return False
        return True
