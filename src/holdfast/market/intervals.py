"""Intervals by name, in milliseconds, and the UTC boundaries they start at."""

from typing import Final

from holdfast.errors import InvalidOption
from holdfast.trading.candle import MINUTE

__all__ = ("INTERVALS", "floor", "interval_ms")

INTERVALS: Final = {
    "1m": MINUTE,
    "3m": 3 * MINUTE,
    "5m": 5 * MINUTE,
    "15m": 15 * MINUTE,
    "30m": 30 * MINUTE,
    "1h": 60 * MINUTE,
    "2h": 120 * MINUTE,
    "4h": 240 * MINUTE,
    "1d": 1440 * MINUTE,
}
"""Every interval there is. Each divides a day, so that its candles start at the same UTC times every day."""


def interval_ms(interval: str) -> int:
    """Return an interval's length in milliseconds; raises InvalidOption for one that does not exist."""
    length = INTERVALS.get(interval)
    if length is None:
        raise InvalidOption(f"there is no interval {interval!r}: use one of {', '.join(INTERVALS)}")
    return length


def floor(at: int, interval: str) -> int:
    """Return when the interval that `at` falls into began, in UTC."""
    return at - at % interval_ms(interval)
