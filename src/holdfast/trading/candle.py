"""One candle, and the minute it stands for. All times are milliseconds since 1970 UTC, in market time."""

from typing import Final

from msgspec import Struct

__all__ = ("MINUTE", "Candle")

MINUTE: Final = 60_000


class Candle(Struct, frozen=True, array_like=True):
    """What the market did in one interval; `at` is its open time, prices are in quote units."""

    at: int
    open: float
    high: float
    low: float
    close: float
    volume: float
