"""Threads that are none: each job happens at one instant of the world's time, some time after it was given.

So a job is never seen half done by its own process; a kill or a power cut still finds it half done, at each call
to the disk.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any, TypeVar

from holdfast.testing.simulation.loop import SimulatedLoop
from holdfast.testing.simulation.world import Gone

__all__ = ("SimulatedThreads",)

T = TypeVar("T")


class SimulatedThreads:
    """What runs beside a process's event loop; `delay` says how long it is until a job's turn has come."""

    def __init__(self, loop: SimulatedLoop, delay: Callable[[], float]) -> None:
        self._loop = loop
        self._delay = delay

    def pool(self, count: int, name: str) -> Executor:
        """Return an executor, whose jobs come one after the other."""
        del count, name
        return _Pool(self._loop, self._delay)

    def worker(self, name: str) -> "_Line":
        """Return a thread of its own."""
        del name
        return _Line(self._loop, self._delay)


class _Line:
    """Jobs in their order, each when its time has come, or all at once where somebody waits for their end."""

    def __init__(self, loop: SimulatedLoop, delay: Callable[[], float]) -> None:
        self._loop = loop
        self._delay = delay
        self._last = 0.0
        self._jobs: deque[Callable[[], object]] = deque()

    def do(self, job: Callable[[], object]) -> None:
        self._jobs.append(job)
        self._last = max(self._last, self._loop.time() + self._delay())
        self._loop.call_at(self._last, self._turn)

    def end(self) -> None:
        pass

    def join(self) -> None:
        while self._jobs:
            self._turn()

    def _turn(self) -> None:
        if self._jobs:
            self._jobs.popleft()()


class _Pool(Executor):
    def __init__(self, loop: SimulatedLoop, delay: Callable[[], float]) -> None:
        self._line = _Line(loop, delay)

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        future: Future[T] = Future()
        self._line.do(partial(_done, future, partial(fn, *args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        if wait:
            self._line.join()


def _done(future: "Future[T]", job: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = job()
    except Gone:
        raise
    except BaseException as error:  # whatever it is, it belongs to whoever waits
        future.set_exception(error)
    else:
        future.set_result(result)
