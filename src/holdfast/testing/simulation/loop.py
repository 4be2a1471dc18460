"""An event loop on the world's time: one a process, so that a process can be killed between any two of its steps.

Ready callbacks keep their order, which asyncio promises; what differs from run to run is how long things take.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from contextvars import Context
from typing import Any, Final, TypeVar

from holdfast.testing.simulation.world import Deed, Owner, World

__all__ = ("SimulatedLoop", "nowhere")

T = TypeVar("T")

UNWINDINGS: Final = 20

Loop: Any = asyncio.AbstractEventLoop  # most of which nobody here asks for


class SimulatedLoop(Loop):  # type: ignore[misc]
    """What asyncio asks of a loop, as far as anybody here uses it; `failed` are errors that nobody handled."""

    def __init__(self, world: World, owner: Owner, delay: Callable[[], float]) -> None:
        self.closed = False
        self.failed: list[str] = []
        self._tasks: list[asyncio.Task[Any]] = []
        self._world = world
        self._owner = owner
        self._delay = delay
        self._last = 0.0

    def time(self) -> float:
        """Return the world's time."""
        return self._world.now

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Call soon, in the order of asking."""
        handle = asyncio.Handle(callback, args, self, context)
        if not self.closed:
            self._world.soon(self._owner, handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call in that many seconds."""
        return self.call_at(self._world.now + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call at that time."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        if not self.closed:
            self._world.at(when, self._owner, handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Call a little later, as it takes a while until another thread is heard; in the order of asking."""
        if self.closed:
            raise RuntimeError("Event loop is closed")
        self._last = max(self._last, self._world.now + self._delay())
        return self.call_at(self._last, callback, *args, context=context)

    def run_in_executor(self, executor: Executor, func: Callable[..., T], *args: Any) -> "asyncio.Future[T]":
        """Return the future of a call on an executor's thread."""
        return asyncio.wrap_future(executor.submit(func, *args), loop=self)

    def create_future(self) -> "asyncio.Future[Any]":
        """Return a future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, **options: Any) -> "asyncio.Task[Any]":
        """Return a task of this loop."""
        task = asyncio.Task(coro, loop=self, **options)
        if not self.closed:
            self._tasks.append(task)  # nothing of a dead process is unwound before its burial
        return task

    def bury(self) -> None:
        """Unwind what the tasks of an ended process have left standing, where nothing comes of it."""
        for task in self._tasks:
            if not task.done():
                _unwound(task.get_coro())
        self._tasks.clear()

    def start(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Begin a task from outside of the loop."""
        return self.create_task(work)

    def is_closed(self) -> bool:
        """Whether it will never run again."""
        return self.closed

    def is_running(self) -> bool:
        """Whether it runs."""
        return not self.closed

    def get_debug(self) -> bool:
        """Whether asyncio's own checks are on: never."""
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Note what nobody handled, while somebody could have."""
        if not self.closed:
            self.failed.append(f"{context.get('message')}: {context.get('exception')!r}")

    async def shutdown_asyncgens(self) -> None:
        """Do nothing: generators end with their process."""

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Asked for by asyncio's own handles; the world drops what was cancelled when its time comes."""


def _unwound(work: Any) -> None:
    """Close a coroutine, again where it waits for something in its `finally`."""
    for _ in range(UNWINDINGS):
        try:
            work.close()
        except BaseException as error:  # whatever it is, it comes to nothing
            if not isinstance(error, RuntimeError):
                return
        else:
            return


class _Nobody:
    def perform(self, deed: Deed) -> None:
        """Do nothing."""


@contextmanager
def nowhere() -> Iterator[SimulatedLoop]:
    """Be on a loop on which nothing ever happens: what is unwound meanwhile may begin what it likes."""
    loop, before = SimulatedLoop(World("nowhere"), _Nobody(), lambda: 0.0), asyncio._get_running_loop()
    loop.closed = True
    asyncio._set_running_loop(loop)
    try:
        yield loop
    finally:
        asyncio._set_running_loop(before)
