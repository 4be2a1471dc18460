"""A hand on a run in the background, for any thread."""

import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from holdfast.errors import InvalidOption
from holdfast.runtime.live.background import LoopThread
from holdfast.runtime.live.run import LiveRun, SeatStatus
from holdfast.trading.events import Happening

__all__ = ("Handle",)

T = TypeVar("T")


class Handle:
    """A run in the background; its methods may be called from any thread and return when they are committed."""

    def __init__(
        self, run: LiveRun, thread: LoopThread, on_event: Callable[[Happening], None] | None
    ) -> None:
        self._run = run
        self._thread = thread
        self._on_event = on_event
        self._done = thread.start(self._trade())

    async def _trade(self) -> None:
        try:
            await self._run.trade(self._listen)
        except Exception:  # whoever joins gets it too, and often nobody does
            logging.getLogger("holdfast.live").exception("a run in the background has ended")
            raise

    def _listen(self, events: Sequence[Happening]) -> None:
        if self._on_event is None:
            return
        for event in events:
            try:
                self._on_event(event)
            except Exception:  # what listens must not end what trades
                logging.getLogger("holdfast.live").exception("on_event raised for %s", event)

    def stop(self, symbol: str | None = None) -> None:
        """Take no new signals from now on, also after restarts; open ones are watched to their end, then it ends."""
        self._call(self._run.stop(symbol))

    def resume(self, symbol: str | None = None) -> None:
        """Take new signals again, and go on with symbols that were halted."""
        self._call(self._run.resume(symbol))

    def release(self, symbol: str | None = None) -> None:
        """Take the signals of halted symbols off the books, by a person's word, and go on with the symbols."""
        self._call(self._run.release(symbol))

    def close(self, symbol: str, *, strategy_name: str | None = None) -> bool:
        """Close a symbol's open signal at the market now; False where there is none."""
        return self._call(self._run.close(symbol, strategy_name=strategy_name))

    def cancel(self, symbol: str, *, strategy_name: str | None = None) -> bool:
        """Cancel a symbol's scheduled entry now; False where there is none."""
        return self._call(self._run.cancel(symbol, strategy_name=strategy_name))

    def detach(self) -> None:
        """Let go after the step under way; the next start resumes."""
        self._thread.soon(self._run.detach)

    def status(self) -> list[SeatStatus]:
        """Return how each strategy stands on each symbol, as committed."""
        return self._run.status()

    def join(self, timeout: float | None = None) -> None:
        """Wait until the run has ended; raises what ended it, TimeoutError after `timeout` seconds."""
        self._done.result(timeout)

    def _call(self, work: "Coroutine[Any, Any, T]") -> T:
        if self._thread.is_here:
            work.close()
            raise InvalidOption(
                "on_event runs on the run's own thread, which cannot wait for itself: ask from another thread"
            )
        return self._thread.start(work).result()
