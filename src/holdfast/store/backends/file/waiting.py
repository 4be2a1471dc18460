"""Waiting that is not given up: what has begun on a thread goes on, whoever is cancelled meanwhile."""

import asyncio
from typing import Any

__all__ = ("Patience",)


class Patience:
    """Waits to the end of each thing, however often the caller is cancelled; it is told once all are done.

    No task of its own is involved: one would be cancelled, too, by whoever cancels all there are, as
    `asyncio.run` does at its end.
    """

    def __init__(self) -> None:
        self._cancelled: asyncio.CancelledError | None = None

    @property
    def tried(self) -> bool:
        """Whether the caller has been cancelled meanwhile."""
        return self._cancelled is not None

    async def end(self, *futures: asyncio.Future[Any]) -> None:
        """Return when all `futures` are done, whatever came of them."""
        while not all(future.done() for future in futures):
            try:
                await asyncio.wait(futures)
            except asyncio.CancelledError as error:
                self._cancelled = error

    def tell(self) -> None:
        """Raise the cancellation that was put off."""
        if self._cancelled is not None:
            raise self._cancelled
