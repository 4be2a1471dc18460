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

__all__ = ("Caller", "DirectCaller", "GuardedCaller", "Hung", "in_words")

UserFunction = Callable[[Any], Any]

SLICES: Final = 10
"""A time limit is waited for in so many parts, of which one may take longer and is one all the same."""

LONGEST: Final = 500
"""Characters of an error that are stored."""


class Hung(Exception):
    """A user's function did not return in time; `call` is done once it has."""

    def __init__(self, message: str, call: "asyncio.Future[Any]") -> None:
        super().__init__(message)
        self.call = call


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

        Once in a call, time in which the whole process stands still (a machine that is suspended, or starved) counts as
        a tenth of the limit, so that a function is not blamed for it.
        """
        limits = _Limits(limit)
        if inspect.iscoroutinefunction(function):
            return await _on_loop(function(argument), limits)
        result = await self._on_thread(function, argument, limits)
        return await _on_loop(result, limits) if inspect.isawaitable(result) else result

    def close(self) -> None:
        """Let the thread end after what it is doing."""
        if self._worker is not None:
            self._worker.end()
            self._worker = None

    async def _on_thread(self, function: UserFunction, argument: Any, limits: "_Limits") -> Any:
        if self._worker is None:
            self._worker = self._threads.worker("holdfast-strategy")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._worker.do(partial(_do, loop, answer, function, argument))
        try:
            return await limits.within(answer)
        except Hung:
            self.close()  # it ends when it comes back: the next call gets a new one
            raise


class _Limits:
    """What is left of a call's time limit, in slices."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._left = float(SLICES)
        self._stood = False

    async def within(self, call: "asyncio.Future[Any]") -> Any:
        """Return what a call returns; raises what it raises, or Hung."""
        call.add_done_callback(_unheard)
        loop = asyncio.get_running_loop()
        while self._left > 0:
            began = loop.time()
            await asyncio.wait({call}, timeout=self._limit / SLICES)
            if call.cancelled():  # by itself, and not the run: that goes on
                raise RuntimeError("the function cancelled itself")
            if call.done():
                return call.result()
            self._pass((loop.time() - began) * SLICES / self._limit)
        call.add_done_callback(_dropped)
        raise Hung(f"no answer in {self._limit:g} s", call)

    def _pass(self, slices: float) -> None:
        # Nothing ran meanwhile; if that happens again, it is the function that blocks the loop.
        stood = slices > 2
        self._left -= slices if stood and self._stood else 1.0
        self._stood = self._stood or stood


async def _on_loop(call: Awaitable[Any], limits: _Limits) -> Any:
    task = asyncio.create_task(_served(call))
    try:
        return await limits.within(task)
    finally:
        task.cancel()  # where it is not done: the run is being cancelled, or it hangs


async def _served(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except (Exception, asyncio.CancelledError, GeneratorExit, KeyboardInterrupt):
        raise  # the last is a person's: nobody else raises it on the loop
    except BaseException as error:
        raise _belonging(error) from error


def _unheard(call: "asyncio.Future[Any]") -> None:
    """Take a call's error, so that nobody complains where it comes too late to be heard."""
    if not call.cancelled():
        call.exception()


def _dropped(call: "asyncio.Future[Any]") -> None:
    """Close what a call that came too late wants to have awaited."""
    if not call.cancelled() and call.exception() is None and inspect.iscoroutine(call.result()):
        call.result().close()


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
    return RuntimeError(f"the function raised {in_words(error)}")


def in_words(error: BaseException) -> str:
    """Return a user's error as a text that can be stored, whatever the error is."""
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:
        text = f"{type(error).__name__}, which does not say what it is"
    return text[:LONGEST].encode(errors="backslashreplace").decode()
