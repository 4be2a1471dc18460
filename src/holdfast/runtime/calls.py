"""Calling a user's code: directly in a backtest, guarded in a live run.

A guarded call has a time limit. A sync function runs on a daemon thread of its own, because a thread that hangs
cannot be stopped and must keep neither the loop nor the process from going on.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, Protocol

from holdfast.system import SystemThreads, Threads, Worker
from holdfast.trading.candle import MINUTE

__all__ = ("Absence", "Caller", "DirectCaller", "GuardedCaller", "Hung")

UserFunction = Callable[[Any], Any]

SLICES: Final = 10
LONGEST: Final = 64
"""Minutes of the market that a strategy which hangs is left alone."""


class Hung(Exception):
    """A user's function did not return in time; `call` is done once it has."""

    def __init__(self, message: str, call: "asyncio.Future[Any]") -> None:
        super().__init__(message)
        self.call = call


class Absence:
    """How long a strategy that hung is left alone: until it has come back, and ever longer if it hangs each time.

    A call that hangs holds up the whole run for its limit, so first one minute of the market is left out, then 2, 4, …
    """

    def __init__(self) -> None:
        self._hangs = 0
        self._until = 0
        self._call: asyncio.Future[Any] | None = None

    def lasts(self, at: int) -> bool:
        """Whether nothing is to be called at the market time `at`."""
        return at <= self._until or (self._call is not None and not self._call.done())

    def begin(self, call: "asyncio.Future[Any]", at: int) -> int:
        """Leave the strategy alone, after a call that hangs; returns for how many minutes at least."""
        minutes = min(1 << self._hangs, LONGEST)
        self._hangs, self._call, self._until = self._hangs + 1, call, at + minutes * MINUTE
        return minutes

    def end(self) -> None:
        """Note that a call has come back in time."""
        self._hangs = 0


class Caller(Protocol):
    """How a strategy's functions are called."""

    async def __call__(self, function: UserFunction, argument: Any, *, limit: float) -> Any:
        """Return what the function (sync or async) returns; raises what it raises, or Hung."""


class DirectCaller:
    """Calls at once, on this thread, for as long as it takes."""

    async def __call__(self, function: UserFunction, argument: Any, *, limit: float) -> Any:
        """Return what the function returns, awaited where it is async."""
        del limit
        result = function(argument)
        return await result if inspect.isawaitable(result) else result


class GuardedCaller:
    """Calls async functions on the loop and sync ones on a daemon thread, both within a time limit."""

    def __init__(self, threads: Threads | None = None) -> None:
        self._threads = threads or SystemThreads()
        self._worker: Worker | None = None

    async def __call__(self, function: UserFunction, argument: Any, *, limit: float) -> Any:
        """Return what the function returns; raises Hung after `limit` seconds.

        Of time in which the whole process stands still (a machine that is suspended, or starved) a tenth of the limit
        counts at most, so that a function is not blamed for it.
        """
        if inspect.iscoroutinefunction(function):
            return await _on_loop(function(argument), limit)
        result = await self._on_thread(function, argument, limit)
        return await _on_loop(result, limit) if inspect.isawaitable(result) else result

    def close(self) -> None:
        """Let the thread end after what it is doing."""
        if self._worker is not None:
            self._worker.end()
            self._worker = None

    async def _on_thread(self, function: UserFunction, argument: Any, limit: float) -> Any:
        if self._worker is None:
            self._worker = self._threads.worker("holdfast-strategy")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._worker.do(partial(_do, loop, answer, function, argument))
        try:
            return await _within(answer, limit)
        except Hung:
            self.close()  # it ends when it comes back: the next call gets a new one
            raise


async def _on_loop(call: Awaitable[Any], limit: float) -> Any:
    task = asyncio.create_task(_served(call))
    try:
        return await _within(task, limit)
    finally:
        task.cancel()  # where it is not done: the run is being cancelled, or it hangs


async def _served(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except (Exception, asyncio.CancelledError):
        raise
    except BaseException as error:
        raise _belonging(error) from error


async def _within(call: "asyncio.Future[Any]", limit: float) -> Any:
    for _ in range(SLICES):  # a wait that ends late, since nothing ran meanwhile, is one slice all the same
        await asyncio.wait({call}, timeout=limit / SLICES)
        if call.cancelled():  # by itself, and not the run: that goes on
            raise RuntimeError("the function cancelled itself")
        if call.done():
            return call.result()
    call.add_done_callback(_unheard)
    raise Hung(f"no answer in {limit} s", call)


def _unheard(call: "asyncio.Future[Any]") -> None:
    """Take what a call answers that nobody waits for any more, so that asyncio does not complain of it."""
    if not call.cancelled():
        call.exception()


def _do(
    loop: asyncio.AbstractEventLoop, answer: "asyncio.Future[Any]", function: UserFunction, argument: Any
) -> None:
    try:
        result, error = function(argument), None
    except BaseException as raised:  # whatever it is, it belongs to the caller
        result, error = None, raised
    if not loop.is_closed():
        loop.call_soon_threadsafe(_settle, answer, result, error)


def _settle(answer: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    if answer.done():  # the caller has given up on it
        return
    if error is None:
        answer.set_result(result)
    elif isinstance(error, Exception) and not isinstance(error, StopIteration):
        answer.set_exception(error)
    else:
        answer.set_exception(_belonging(error))


def _belonging(error: BaseException) -> Exception:
    """Return what to raise for SystemExit and its like, which would end the run, with positions open."""
    return RuntimeError(f"the function raised {error!r}")
