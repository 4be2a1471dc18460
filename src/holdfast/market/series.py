"""Candles in numpy arrays: cheap to slice, impossible to change."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from holdfast.errors import BadCandles
from holdfast.market.intervals import interval_ms
from holdfast.trading.candle import MINUTE, Candle

__all__ = ("Floats", "Ints", "Series", "merged")

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Columns = tuple[Ints, Floats, Floats, Floats, Floats, Floats]

CHUNK = 4096


class Series(Sequence[Candle]):
    """Candles of one interval, oldest first; its arrays (`at`, `open` ... `volume`) are read-only views.

    `series[-1]` is a Candle, a slice is a Series over the same memory. Nothing is checked here: candles from
    outside come through `read_candles`.
    """

    __slots__ = ("_resampled", "at", "close", "high", "interval", "low", "open", "volume")

    def __init__(  # noqa: PLR0917  # a candle's fields, in a candle's order
        self,
        at: ArrayLike,
        open: ArrayLike,
        high: ArrayLike,
        low: ArrayLike,
        close: ArrayLike,
        volume: ArrayLike,
        *,
        interval: int = MINUTE,
    ) -> None:
        self.at: Ints = _frozen(at, np.int64)
        self.open: Floats = _frozen(open, np.float64)
        self.high: Floats = _frozen(high, np.float64)
        self.low: Floats = _frozen(low, np.float64)
        self.close: Floats = _frozen(close, np.float64)
        self.volume: Floats = _frozen(volume, np.float64)
        self.interval = interval
        self._resampled: dict[int, Series] = {}

    @classmethod
    def of(cls, candles: Iterable[Candle], *, interval: int = MINUTE) -> Self:
        """Return the series of these candles."""
        rows = [(c.at, c.open, c.high, c.low, c.close, c.volume) for c in candles]
        columns = list(zip(*rows, strict=True)) if rows else [()] * 6
        return cls(*columns, interval=interval)

    @property
    def columns(self) -> Columns:
        """The six arrays, in the order of a Candle's fields."""
        return self.at, self.open, self.high, self.low, self.close, self.volume

    def __len__(self) -> int:
        return len(self.at)

    @overload
    def __getitem__(self, index: int) -> Candle: ...
    @overload
    def __getitem__(self, index: slice) -> "Series": ...
    def __getitem__(self, index: int | slice) -> "Candle | Series":
        if isinstance(index, slice):
            return Series(*(column[index] for column in self.columns), interval=self.interval)
        return Candle(*(column[index].item() for column in self.columns))

    def __iter__(self) -> Iterator[Candle]:
        for start in range(0, len(self), CHUNK):  # whole lists would hold a year of candles as objects
            yield from self.candles(start, start + CHUNK)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Series):
            return NotImplemented
        pairs = zip(self.columns, other.columns, strict=True)
        return self.interval == other.interval and all(np.array_equal(a, b) for a, b in pairs)

    __hash__ = None  # type: ignore[assignment]  # compared by value, and too big to hash

    def __repr__(self) -> str:
        return f"Series({len(self)} candles of {self.interval // MINUTE}m)"

    def candles(self, start: int, stop: int) -> list[Candle]:
        """Return the candles of those positions as a list: the quickest way to many of them."""
        return list(map(Candle, *(column[start:stop].tolist() for column in self.columns)))

    def resample(self, interval: str) -> "Series":
        """Return candles of a longer interval, aligned in UTC, whole ones only; remembered for the next call.

        The candles must have no gap (BadCandles), and their interval must divide the longer one.
        """
        length = interval_ms(interval)
        if length == self.interval:
            return self
        if length not in self._resampled:
            self._resampled[length] = self._merge(length)
        return self._resampled[length]

    def _merge(self, length: int) -> "Series":
        if length % self.interval:
            raise BadCandles(f"candles of {self.interval} ms cannot be merged into candles of {length} ms")
        if len(self) and int(self.at[-1] - self.at[0]) != (len(self) - 1) * self.interval:
            raise BadCandles("candles with gaps cannot be merged into longer ones: fill the gaps first")
        width = length // self.interval
        skipped = int(-self.at[0] % length) // self.interval if len(self) else 0
        whole = max(len(self) - skipped, 0) // width
        return merged(self[skipped : skipped + whole * width], length)


def merged(series: Series, length: int) -> Series:
    """Return candles of `length` ms; the series is aligned and holds whole ones only."""
    shape = (-1, length // series.interval)
    return Series(
        series.at.reshape(shape)[:, 0],
        series.open.reshape(shape)[:, 0],
        series.high.reshape(shape).max(axis=1),
        series.low.reshape(shape).min(axis=1),
        series.close.reshape(shape)[:, -1],
        _sum(series.volume.reshape(shape)),
        interval=length,
    )


def _sum(volume: Floats) -> Floats:
    # Added in order of time: `sum` adds in an order that depends on the shape, and differs in the last bit.
    summed: Floats = np.add.accumulate(volume, axis=1)[:, -1]
    return summed


def _frozen(values: ArrayLike, dtype: type[Any]) -> NDArray[Any]:
    view = np.asarray(values, dtype=dtype).view()
    view.flags.writeable = False
    return view
