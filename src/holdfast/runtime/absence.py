"""How long a strategy that hung is left alone."""

import asyncio
from typing import Any, Final

from holdfast.trading.candle import MINUTE

__all__ = ("Absence",)

LONGEST: Final = 64
"""Minutes of the market that a strategy which hangs again and again is left alone."""


class Absence:
    """A strategy that hung is left alone until it has come back, and ever longer if it hangs each time.

    A call that hangs holds up the whole run for its limit, so first one minute of the market is left out, then 2, 4, …
    """

    def __init__(self) -> None:
        self._hangs = 0
        self._began = self._until = 0
        self._call: asyncio.Future[Any] | None = None
        self._said = ""

    def lasts(self, at: int) -> bool:
        """Whether nothing is to be called at the market time `at`."""
        return at <= self._until or (self._call is not None and not self._call.done())

    def begin(self, call: "asyncio.Future[Any]", why: str, at: int) -> str:
        """Leave the strategy alone, after a call that hangs; returns what to tell of it."""
        minutes = min(1 << min(self._hangs, 10), LONGEST)
        self._hangs, self._call, self._began, self._until = self._hangs + 1, call, at, at + minutes * MINUTE
        self._said = (
            f"it hangs ({why}): it is left alone until it has come back, and for {minutes} min at least"
        )
        return self._said

    def said(self, at: int) -> str:
        """Return what was to be told at `at`, where that minute is taken anew; "" at all others."""
        return self._said if at == self._began else ""

    def end(self) -> None:
        """Note that a call has come back in time."""
        self._hangs = 0
