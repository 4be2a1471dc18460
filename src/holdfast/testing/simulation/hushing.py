"""Around runs: a run has the crash points while it goes on, and what its dead processes leave is let go of unheard."""

import gc
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from holdfast import points
from holdfast.testing.simulation.loop import nowhere
from holdfast.testing.simulation.running import Running

__all__ = ("hushed", "quiet")


@contextmanager
def quiet(running: Running) -> Iterator[None]:
    """Have a run's crash points while inside."""
    before, points.reached = points.reached, running.reached
    try:
        with nowhere():
            yield
    finally:
        points.reached = before


@contextmanager
def hushed() -> Iterator[None]:
    """Hear nothing of what dead processes leave behind, and nothing of what thousands of bots warn of."""
    log, hook, enabled = logging.getLogger("holdfast"), sys.unraisablehook, gc.isenabled()
    level = log.level
    log.setLevel(logging.CRITICAL)
    sys.unraisablehook = lambda _: None
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # coroutines that nobody lived to await
            yield
    finally:
        gc.unfreeze()
        with nowhere(), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            gc.collect()  # all that is left, while nobody listens
        if enabled:
            gc.enable()
        sys.unraisablehook = hook
        log.setLevel(level)
