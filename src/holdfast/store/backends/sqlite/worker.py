"""A thread with a connection of its own: what runs on it runs to its end, one thing after the other.

The thread is no daemon: a program that ends waits for what it has begun, and for nothing else.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from holdfast.store.backends.file.waiting import Patience
from holdfast.store.backends.sqlite.faults import SAID, explain, usable_after
from holdfast.store.backends.sqlite.place import Place

__all__ = ("Worker",)

T = TypeVar("T")


class Worker:
    """Runs functions of a connection; a connection that failed is dropped, and the next function gets a new one."""

    def __init__(self, name: str, place: Place, connect: Callable[[], sqlite3.Connection]) -> None:
        self._place = place
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what `work` returns; SQLite's errors are raised as Holdfast's, who is cancelled leaves it running."""
        return await asyncio.wrap_future(self.submit(work))

    async def finish(self, work: Callable[[sqlite3.Connection], T], patience: Patience) -> T:
        """Return what `work` returns, however often the caller is cancelled meanwhile."""
        running = asyncio.wrap_future(self.submit(work))
        await patience.end(running)
        return running.result()

    def submit(self, work: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """Have `work` run behind all else; what it raises costs the connection, if it has to, and is in the future."""
        return self._executor.submit(self._run, work)

    async def stop(self, patience: Patience) -> None:
        """Return when all that was asked for has run, the connection is closed and the thread is ending."""
        closing = asyncio.wrap_future(self._executor.submit(self._drop))
        await patience.end(closing)
        self._executor.shutdown(wait=False)
        closing.result()

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._connection is None:
            self._connection = self._connect()
            self._place.entered()
        try:
            return work(self._connection)
        except BaseException as error:
            self._recover(error)
            if isinstance(error, SAID):
                raise explain(error, self._place.path) from error
            raise

    def _recover(self, error: BaseException) -> None:
        """Undo what was begun; what SQLite failed at, other than for others or for room, costs the connection."""
        cause = error if isinstance(error, sqlite3.Error) else error.__cause__
        broken = isinstance(cause, sqlite3.Error) and not usable_after(cause)
        assert self._connection is not None
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            broken = True
        if broken:
            self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            self._place.left()
            connection.close()
