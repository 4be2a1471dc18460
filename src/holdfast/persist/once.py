"""Something that is done once, however many ask for it at the same time."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

__all__ = ("Once", "finish")


class Once:
    """Runs a coroutine once: concurrent callers share the run, and a failure is retried by the next caller.

    What was done belongs to an event loop (connections, locks); on another loop it is done again.
    """

    def __init__(self) -> None:
        self._run: asyncio.Task[None] | None = None

    async def __call__(self, make: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Return when `make()` has succeeded, now or before; raises what the shared run raised."""
        if self._run is None or _is_stale(self._run):
            self._run = asyncio.ensure_future(make())
            self._run.add_done_callback(_retrieve)
        # Shielded: a caller that gives up must not take the others' run with it.
        await asyncio.shield(self._run)


async def finish(work: Coroutine[Any, Any, Any]) -> Any:
    """Run `work` to its end and return its result, also where the caller is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    task.add_done_callback(_retrieve)
    return await asyncio.shield(task)


def _is_stale(run: asyncio.Task[None]) -> bool:
    if run.get_loop() is not asyncio.get_running_loop():
        return True
    return run.done() and (run.cancelled() or run.exception() is not None)


def _retrieve(run: asyncio.Task[Any]) -> None:
    # Where every caller has gone, nobody else looks: asyncio would print it at some later garbage collection.
    if not run.cancelled():
        run.exception()
