"""A recorded market inside the process, that waits for whoever asks."""

from collections.abc import Mapping

from holdfast.market.candles import Series
from holdfast.market.protocol import Market
from holdfast.market.tape import Tape
from holdfast.trading.candle import Candle

__all__ = ("ReplayExchange",)


class ReplayExchange:
    """Recorded candles by symbol, one minute later each time somebody asks beyond the last closed one.

    Nothing is remembered between processes: a run that goes on after a crash asks from where it was, and the
    market catches up with it. It starts when `warmup` minutes have closed, or at `start` (market time, ms): earlier
    candles are there to look back at.
    """

    waits = True

    def __init__(
        self,
        name: str,
        series: Mapping[str, Series],
        *,
        start: int | None = None,
        warmup: int = 1,
        markets: Mapping[str, Market] | None = None,
    ) -> None:
        self.name = name
        self._tape = Tape(series, start=start, warmup=warmup)
        self._markets = dict(markets or {})

    async def candles(self, symbol: str, interval: str, since: int, limit: int) -> list[Candle]:
        """Return up to `limit` closed candles from `since`; one-minute candles that are to come are waited for.

        Raises MarketEnded at the end of the recording, InvalidOption for an unknown symbol or interval.
        """
        self._tape.of(symbol)
        if limit > 0 and self._tape.waits_for(interval, since):
            for _ in self._tape.minutes_to(since):
                self._tape.advance()
        return self._tape.candles(symbol, interval, since, limit)

    async def now(self) -> int:
        """Return the market's time: the end of the last closed minute."""
        return self._tape.now

    async def market(self, symbol: str) -> Market:
        """Return a symbol's trading rules; raises InvalidOption for one that is not traded."""
        self._tape.of(symbol)
        return self._markets.get(symbol, Market(symbol=symbol))
