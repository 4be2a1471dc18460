"""Threads in the world's time: each job begins some time after it was given, and takes as long as it stands.

A job may happen at one instant, or be `torn`: then it stands at some of its calls to the disk, while the event loop and
the process's other threads go on. A kill or a power cut finds it half done in either case.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from holdfast.testing.simulation.carrying import Carrier, carrier
from holdfast.testing.simulation.loop import SimulatedLoop
from holdfast.testing.simulation.world import Gone

__all__ = ("SimulatedThreads",)

T = TypeVar("T")


class SimulatedThreads:
    """What runs beside a process's event loop; `delay` says how long it is until something's turn has come."""

    def __init__(self, loop: SimulatedLoop, delay: Callable[[], float], *, torn: bool) -> None:
        self._loop = loop
        self._delay = delay
        self._torn = torn
        self._lines: list[_Line] = []

    def end(self) -> None:
        """Let the jobs that stand come to their end, once their process is dead: each by what it is told next."""
        for line in self._lines:
            line.give_up()

    def _line(self) -> "_Line":
        self._lines.append(_Line(self._loop, self._delay, torn=self._torn))
        return self._lines[-1]

    def pool(self, count: int, name: str) -> Executor:
        """Return an executor, whose jobs come one after the other."""
        del count, name
        return _Pool(self._line())

    def worker(self, name: str) -> "_Line":
        """Return a thread of its own."""
        del name
        return self._line()


class _Line:
    """Jobs in their order, each when its time has come, or all at once where somebody waits for their end."""

    def __init__(self, loop: SimulatedLoop, delay: Callable[[], float], *, torn: bool) -> None:
        self._loop = loop
        self._delay = delay
        self._torn = torn
        self._jobs: deque[Callable[[], object]] = deque()
        self._carrier: Carrier | None = None
        self._busy = False

    def do(self, job: Callable[[], object]) -> None:
        self._jobs.append(job)
        if not self._busy:
            self._busy = True
            self._loop.call_later(self._delay(), self._turn)

    def end(self) -> None:
        pass

    def join(self) -> None:
        while self._carrier is not None or self._jobs:
            self._step()

    def give_up(self) -> None:
        self._jobs.clear()
        while (
            self._carrier is not None and self._carrier.standing
        ):  # else it is this one that ends the process
            self._step()

    def _turn(self) -> None:
        self._step()
        self._busy = self._carrier is not None or bool(self._jobs)
        if self._busy:
            self._loop.call_later(self._delay(), self._turn)

    def _step(self) -> None:
        """Go on with the job that stands, or begin the next one."""
        if self._carrier is not None:
            self._carrier = None if self._carrier.go_on() else self._carrier
        elif self._jobs and self._torn:
            mine = carrier()
            self._carrier = None if mine.begin(partial(_quietly, self._jobs.popleft())) else mine
        elif self._jobs:
            self._jobs.popleft()()


class _Pool(Executor):
    def __init__(self, line: _Line) -> None:
        self._line = line

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        future: Future[T] = Future()
        self._line.do(partial(_done, future, partial(fn, *args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        if wait:
            self._line.join()


def _quietly(job: Callable[[], object]) -> None:
    with suppress(Gone):  # its process is dead
        job()


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
