"""Calling a user's code: directly in a backtest, guarded in a live run.

A guarded call has a time limit. A sync function runs on a daemon thread of its own, because a thread that hangs
cannot be stopped and must keep neither the loop nor the process from going on.
"""

import asyncio
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from holdfast.system import SystemThreads, Threads, Worker

__all__ = ("Caller", "DirectCaller", "GuardedCaller", "Hung")

UserFunction = Callable[[Any], Any]


class Hung(Exception):
    """A user's function did not return in time; it is not called again in this process."""


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
        """Return what the function returns; raises Hung after `limit` seconds."""
        is_async = inspect.iscoroutinefunction(function)
        timer = asyncio.timeout(limit)
        try:
            async with timer:
                return await (function(argument) if is_async else self._on_thread(function, argument))
        except TimeoutError as error:
            if not timer.expired():  # the function's own, of a request that it made
                raise
            self._worker = None  # the thread may never come back: the next call gets a new one
            raise Hung(f"no answer in {limit} s") from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise RuntimeError("the function cancelled itself") from error  # not the run: it goes on

    def close(self) -> None:
        """Let the thread end after what it is doing."""
        if self._worker is not None:
            self._worker.end()
            self._worker = None

    async def _on_thread(self, function: UserFunction, argument: Any) -> Any:
        if self._worker is None:
            self._worker = self._threads.worker("holdfast-strategy")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._worker.do(partial(_serve, loop, answer, function, argument))
        result = await answer
        return await result if inspect.isawaitable(result) else result


def _serve(
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
    else:  # SystemExit and its like would end the run, with positions open
        answer.set_exception(RuntimeError(f"the function raised {error!r}"))
