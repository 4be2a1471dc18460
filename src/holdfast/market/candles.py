"""What a strategy sees of the market: a rolling `Window` of a live one, a `View` of a recorded one.

Both have `last`, `recent(n)` and `candles(interval, limit)`, and never show more than the last closed candle.
"""

import numpy as np

from holdfast.errors import BadCandles
from holdfast.market.intervals import interval_ms
from holdfast.market.series import CHUNK, Floats, Series, merged
from holdfast.trading.candle import MINUTE, Candle

__all__ = ("Series", "View", "Window")


class Window:
    """The last `minutes` one-minute candles of a symbol, appended one at a time in amortised constant time.

    Candles must follow each other without a gap. What `candles` returned stays as it was.
    """

    __slots__ = ("_columns", "_first", "_last", "_start", "_stop", "minutes")

    def __init__(self, minutes: int = 1_500) -> None:
        self.minutes = max(minutes, 1)
        self._columns: Floats = np.empty((5, 2 * self.minutes))
        self._first = 0  # the open time of column 0
        self._start = self._stop = 0
        self._last: Candle | None = None

    def __len__(self) -> int:
        return self._stop - self._start

    @property
    def last(self) -> Candle:
        """The last closed candle; raises BadCandles where there is none yet."""
        if self._last is None:
            raise BadCandles("no candle has closed yet")
        return self._last

    def append(self, candle: Candle) -> None:
        """Add the candle that closed next; raises BadCandles if it does not follow the last one."""
        if self._last is None:
            self._first = candle.at
        elif candle.at != self._last.at + MINUTE:
            raise BadCandles(
                f"the candle at {candle.at} does not follow the one at {self._last.at}", at=candle.at
            )
        if self._stop == self._columns.shape[1]:
            self._renew()
        column = self._columns[:, self._stop]
        column[0], column[1], column[2] = candle.open, candle.high, candle.low
        column[3], column[4] = candle.close, candle.volume
        self._last = candle
        self._stop += 1
        self._start = max(self._start, self._stop - self.minutes)

    def rewind(self, at: int) -> None:
        """Forget the candles that open at or after `at`; older ones come back as far as they are still there."""
        if self._last is not None and self._last.at >= at:
            self._stop -= min((self._last.at - at) // MINUTE + 1, len(self))
            self._start = max(self._stop - self.minutes, 0)
            self._last = self._series(self._stop - 1, self._stop)[0] if self._stop else None

    def recent(self, count: int) -> list[Candle]:
        """Return the last `count` candles as a list, oldest first; fewer where there are fewer."""
        series = self._series(max(self._stop - count, self._start), self._stop)
        return series.candles(0, len(series))

    def candles(self, interval: str, limit: int) -> Series:
        """Return up to `limit` closed candles of an interval, aligned in UTC, ending at the last closed one."""
        length = interval_ms(interval)
        if length == MINUTE:
            return self._series(max(self._stop - limit, self._start), self._stop)
        width = length // MINUTE
        forming = (self._first // MINUTE + self._stop) % width
        stop = self._stop - forming
        whole = min(max(stop - self._start, 0) // width, limit)
        return merged(self._series(stop - whole * width, stop), length)

    def _series(self, start: int, stop: int) -> Series:
        at = self._first + MINUTE * np.arange(start, stop, dtype=np.int64)
        return Series(at, *self._columns[:, start:stop])

    def _renew(self) -> None:
        # Into new memory: series handed out earlier still look at the old one.
        columns = np.empty_like(self._columns)
        columns[:, : len(self)] = self._columns[:, self._start : self._stop]
        self._first += self._start * MINUTE
        self._columns, self._start, self._stop = columns, 0, len(self)


class View:
    """The first `end` candles of a recorded series, as a `Window` would show them; move `end` to go on in time.

    Nothing is copied, and longer intervals are merged once for the whole series.
    """

    __slots__ = ("_chunk", "_from", "end", "series")

    def __init__(self, series: Series, end: int = 0) -> None:
        self.series = series
        self.end = end
        self._chunk: list[Candle] = []
        self._from = 0

    def __len__(self) -> int:
        return self.end

    @property
    def last(self) -> Candle:
        """The last closed candle; raises BadCandles where there is none yet."""
        if not self.end:
            raise BadCandles("no candle has closed yet")
        return self._at(self.end - 1)

    def advance(self) -> Candle:
        """Let the next candle close and return it; raises IndexError after the last one."""
        if self.end >= len(self.series):
            raise IndexError("the series has no further candle")
        self.end += 1
        return self._at(self.end - 1)

    def recent(self, count: int) -> list[Candle]:
        """Return the last `count` candles as a list, oldest first; fewer where there are fewer."""
        start = max(self.end - count, 0)
        offset = start - self._from
        if offset >= 0 and self.end - self._from <= len(self._chunk):
            return self._chunk[offset : self.end - self._from]
        return self.series.candles(start, self.end)

    def candles(self, interval: str, limit: int) -> Series:
        """Return up to `limit` closed candles of an interval, aligned in UTC, ending at the last closed one."""
        longer = self.series.resample(interval)
        if longer is self.series:
            stop = self.end
        elif not self.end or not len(longer):
            stop = 0
        else:
            now = int(self.series.at[0]) + self.end * MINUTE
            stop = max((now - int(longer.at[0])) // longer.interval, 0)
        return longer[max(stop - limit, 0) : stop]

    def _at(self, index: int) -> Candle:
        offset = index - self._from
        if not 0 <= offset < len(self._chunk):
            # A little of the past stays in, so that `recent` is quick across the seam.
            self._from = max(index - 64, 0)
            self._chunk = self.series.candles(self._from, index + CHUNK)
            offset = index - self._from
        return self._chunk[offset]
