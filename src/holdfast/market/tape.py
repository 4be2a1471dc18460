"""A recorded market and how far it has been played: shared by the replay and the simulated exchange."""

from collections.abc import Mapping

from holdfast.errors import BadCandles, InvalidOption, MarketEnded
from holdfast.market.candles import Series
from holdfast.market.intervals import interval_ms
from holdfast.trading.candle import MINUTE, Candle

__all__ = ("Tape",)


class Tape:
    """One-minute candles by symbol, and the market's time `now`: a candle is closed once `now` has reached its end.

    Plays from `start` (by default when `warmup` minutes of all symbols have closed) to the end of the shortest.
    The series are shared, never copied: a second tape of the same candles costs nothing.
    """

    __slots__ = ("end", "now", "series", "start")

    def __init__(self, series: Mapping[str, Series], *, start: int | None = None, warmup: int = 1) -> None:
        _check(series)
        self.series = dict(series)
        first = max(int(one.at[0]) for one in series.values()) + MINUTE
        self.end = min(int(one.at[-1]) for one in series.values()) + MINUTE
        self.start = self.now = first + (warmup - 1) * MINUTE if start is None else start
        if self.start % MINUTE or not first <= self.start <= self.end:
            raise InvalidOption(
                f"the market starts at a whole minute from {first} to {self.end}, not {self.start}"
            )

    def of(self, symbol: str) -> Series:
        """Return a symbol's candles, future ones too; raises InvalidOption for one that is not traded."""
        if symbol not in self.series:
            raise InvalidOption(
                f"{symbol!r} is not traded here, only {', '.join(self.series)}", symbol=symbol
            )
        return self.series[symbol]

    def candles(self, symbol: str, interval: str, since: int, limit: int) -> list[Candle]:
        """Return up to `limit` candles closed by now, from the first that opens at or after `since`."""
        series = self.of(symbol).resample(interval)
        if not len(series):
            return []
        first, length = int(series.at[0]), interval_ms(interval)
        start = max(-(-(since - first) // length), 0)
        stop = min(start + max(limit, 0), max((self.now - first) // length, 0), len(series))
        return series.candles(start, max(start, stop))

    def recent(self, symbol: str, count: int) -> list[Candle]:
        """Return the last `count` candles of a symbol closed by now, oldest first."""
        series = self.of(symbol)
        stop = (self.now - int(series.at[0])) // MINUTE
        return series.candles(max(stop - count, 0), stop)

    def waits_for(self, interval: str, since: int) -> bool:
        """Return whether a request from `since` cannot be answered before the market moves on."""
        return interval == "1m" and since > self.now - MINUTE

    def advance(self) -> None:
        """Let one minute pass; raises MarketEnded where there is none left."""
        if self.now >= self.end:
            raise MarketEnded(f"the market has no candle after {self.end}", at=self.end)
        self.now += MINUTE

    def minutes_to(self, since: int) -> range:
        """Return the minutes that have to pass until the first candle from `since` has closed.

        Raises MarketEnded, with nothing passed, where it never will.
        """
        wanted = -(-since // MINUTE) * MINUTE + MINUTE
        if wanted > self.end:
            raise MarketEnded(f"the market has no candle after {self.end}", at=self.end)
        return range(self.now, wanted, MINUTE)


def _check(series: Mapping[str, Series]) -> None:
    if not series or not all(map(len, series.values())):
        raise InvalidOption("a market needs at least one symbol, and each symbol at least one candle")
    for symbol, one in series.items():
        whole = int(one.at[-1] - one.at[0]) == (len(one) - 1) * MINUTE
        if one.interval != MINUTE or not whole:
            raise BadCandles(f"{symbol}: one-minute candles without gaps are needed", symbol=symbol)
