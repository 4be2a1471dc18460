"""The thread that a desk's background runs share: one event loop, so that they can share one open store."""

import asyncio
import concurrent.futures.thread  # noqa: F401  # registers its end when it is imported: before ours
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from holdfast.errors import NotOpen

__all__ = ("LoopThread",)

T = TypeVar("T")

PARTING: Final = 5.0
"""Seconds that what hangs is given to clean up, before its loop is closed."""


class LoopThread:
    """An event loop on a thread of its own, which ends with the last coroutine that was started on it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._guard = threading.Lock()
        self._running = 0
        self._over = False
        self._thread = threading.Thread(target=self._serve, name="holdfast-live")
        self._thread.start()
        # Where a script ends before its runs, Python would first shut down every executor, and the runs' store with
        # it. What is registered after the executors is called before them.
        threading._register_atexit(self._thread.join)  # type: ignore[attr-defined]

    @property
    def over(self) -> bool:
        """Whether the thread has ended, or is about to: nothing can be started here any more."""
        return self._over

    @property
    def is_here(self) -> bool:
        """Whether the caller is on this thread."""
        return threading.current_thread() is self._thread

    def start(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Run a coroutine on the loop and return its future; raises NotOpen once the thread is over."""
        with self._guard:
            if self._over:
                work.close()
                raise NotOpen("the run has ended: start another one")
            self._running += 1
            return asyncio.run_coroutine_threadsafe(self._counted(work), self._loop)

    def soon(self, call: Callable[[], object]) -> None:
        """Call a function on the loop, soon; nothing happens once the thread is over."""
        with self._guard:
            if not self._over:
                self._loop.call_soon_threadsafe(call)

    async def _counted(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return await work
        finally:
            with self._guard:
                self._running -= 1
                self._over = not self._running
                if self._over:
                    self._loop.call_soon(self._loop.stop)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(_parted())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()


async def _parted() -> None:
    """Let what is still under way, as a strategy that hung, clean up after itself, for a while."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        if not task.cancelling():  # else it is cleaning up already
            task.cancel()
    if left:
        await asyncio.wait(left, timeout=PARTING)
