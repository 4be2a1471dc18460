"""Crash points that kill: which there are, and a process that ends itself at one of them."""

import itertools
import os
import signal
import threading
from importlib import import_module
from typing import Final

from holdfast import points
from holdfast.testing.nursery.requests import Kill

__all__ = ("armed", "known_points")

LISTS: Final = (
    "holdfast.persist",
    "holdfast.runtime.live",
    "holdfast.store.lease",
    "holdfast.store.backends.file",
    "holdfast.store.backends.mongo",
    "holdfast.store.backends.postgres",
    "holdfast.store.backends.redis",
    "holdfast.store.backends.sqlite",
    "holdfast.store.tools",
    "holdfast.store.wrappers",
    "holdfast.store.wrappers.replicated",
)


def known_points() -> tuple[str, ...]:
    """Return every crash point that is listed, sorted."""
    return tuple(
        sorted({point for module in LISTS for point in getattr(import_module(module), "POINTS", ())})
    )


class armed:  # noqa: N801  # a context manager, named for how it reads
    """Replaces `points.reached`: each point is written to a file descriptor, and the kills are carried out.

    What has been written survives SIGKILL: it is in the kernel's hands. A point that is not listed raises.
    """

    def __init__(self, kills: tuple[Kill, ...], fd: int) -> None:
        self._fd = fd
        self._index = {point: bytes([index]) for index, point in enumerate(known_points())}
        self._counts = {point: itertools.count(1) for point in self._index}
        self._any = itertools.count(1)
        self._due = {(kill.point, kill.nth) for kill in kills if kill.nth}

    def __enter__(self) -> None:
        points.reached = self._reached

    def __exit__(self, *_: object) -> None:
        points.reached = lambda point: None

    def _reached(self, point: str) -> None:
        os.write(self._fd, self._index[point])
        # `next` of a count is atomic: two threads never have the same turn.
        if (point, next(self._counts[point])) in self._due or ("", next(self._any)) in self._due:
            os.kill(os.getpid(), signal.SIGKILL)
            threading.Event().wait()  # until the signal has been delivered
