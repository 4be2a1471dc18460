"""Group commit: all commits that wait become one frame and one flush, on a thread of its own.

There is no linger: a batch is whatever came while the last flush ran. The event loop is woken once a batch.
"""

import asyncio
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import TypeVarTuple

from holdfast import points
from holdfast.errors import StoreFull
from holdfast.store.backends.file.journal import FRAME_BYTES, Journal
from holdfast.store.backends.file.staging import Pending
from holdfast.system import Threads

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
        threads: Threads,
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
        self._queue: SimpleQueue[Pending] = SimpleQueue()
        self._held = False
        self._over = False
        self._worker = threads.worker("holdfast-journal")

    def submit(self, pending: Pending) -> None:
        """Queue a commit behind all others."""
        self._queue.put(pending)
        self._worker.do(self._turn)

    def resume(self) -> None:
        """Drop all that waits, and go on after `refused`."""
        while not self._queue.empty():
            self._queue.get_nowait()
        self._held = False

    def stop(self) -> None:
        """Return when everything submitted has been written or refused and the thread has ended."""
        self._worker.end()
        self._worker.join()

    # On the thread:

    def _turn(self) -> None:
        """Write all that waits, up to a frame's size; nothing is left where an earlier turn took it."""
        if self._held or self._over:
            return
        batch = self._batch()
        if batch and not self._write(batch):
            self._over = True

    def _batch(self) -> list[Pending]:
        batch: list[Pending] = []
        size = 0
        while size < FRAME_BYTES:
            try:
                batch.append(self._queue.get_nowait())
            except Empty:
                break
            size += len(batch[-1].line)
        return batch

    def _write(self, batch: list[Pending]) -> bool:
        """Append one batch and report; False if nothing may be written any more."""
        try:
            segment = self._journal.append([pending.line for pending in batch], batch[0].commit.number)
        except StoreFull as error:
            self._held = True  # before anybody hears of it, who then lets it go on
            return self._tell(self._refused, batch, error)
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
