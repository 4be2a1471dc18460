"""What a strategy sees when it is asked: the market up to the last closed candle, and its own state."""

import logging
from typing import TYPE_CHECKING, Any

from holdfast.market.intervals import interval_ms
from holdfast.trading.candle import MINUTE
from holdfast.trading.signal import SignalRow

if TYPE_CHECKING:
    from holdfast.market.candles import Series, View, Window

__all__ = ("Context",)


class Context:
    """One call of a strategy. Looking ahead is not possible: there are no candles after the last closed one.

    `symbol`; `now` (market time, ms); `price` (the market's current one); `state` (the strategy's own JSON
    document, a copy: committed with the step, discarded if the call raises); `position` (the open signal's
    row, None while flat); `signal` (the row in whatever state, None while idle); `log`.
    """

    __slots__ = ("_candles", "_history", "log", "now", "price", "signal", "state", "symbol")

    def __init__(
        self,
        *,
        symbol: str,
        now: int,
        price: float,
        state: dict[str, Any],
        signal: SignalRow | None,
        candles: "Window | View",
        history: int,
        log: logging.Logger,
    ) -> None:
        self.symbol = symbol
        self.now = now
        self.price = price
        self.state = state
        self.signal = signal
        self.log = log
        self._candles = candles
        self._history = history

    @property
    def position(self) -> SignalRow | None:
        """The signal while it holds a position, else None."""
        if self.signal is not None and self.signal.status in ("open", "closing"):
            return self.signal
        return None

    def candles(self, interval: str, limit: int) -> "Series":
        """Return the last `limit` closed candles of an interval, oldest first, aligned to UTC.

        Fewer only where the market, or the strategy's `history`, does not reach back that far.
        """
        width = interval_ms(interval) // MINUTE
        forming = self.now // MINUTE % width
        # A recorded market reaches back further than a live one remembers: both show the same.
        return self._candles.candles(interval, min(limit, max(self._history - forming, 0) // width))
