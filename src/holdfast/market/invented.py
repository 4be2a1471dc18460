"""Made-up candles: a plausible market that never was, the same for a seed on every machine."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from holdfast.errors import InvalidOption
from holdfast.market.series import Floats, Series
from holdfast.trading.candle import MINUTE

__all__ = ("SYNTHETIC_START", "synthetic")

SYNTHETIC_START: Final = 1_704_067_200_000
"""2024-01-01 00:00 UTC: where made-up candles begin, unless told otherwise."""

CENT: Final = 100
GOLDEN: Final = 0x9E3779B97F4A7C15
MEAN_MOVE: Final = 0.0006
CALM: Final = 240
"""Minutes for which the market keeps its temper."""


def synthetic(
    seed: int, minutes: int, *, start: int = SYNTHETIC_START, price: float = 40_000.0, move: float = MEAN_MOVE
) -> Series:
    """Return one-minute candles of a random walk from `price`, in steps of 0.01 and of about `move` a minute.

    SYNTHETIC: for tests, demonstrations and measurements; it says nothing about any market. Only operations whose
    result IEEE 754 fixes are used, so that a seed means the same candles with every version of numpy.
    """
    if minutes < 1 or start % MINUTE or not price > 0:
        raise InvalidOption(
            "synthetic candles need a minute at least, a start on a whole minute, and a price above 0"
        )
    noise = _Noise(seed, minutes)
    temper = 0.4 + 1.6 * noise.uniform()[np.arange(minutes) // CALM]
    close = _cents(price * np.cumprod(1.0 + noise.bell() * temper * move))
    first = np.concatenate(([_cents(np.array([price]))[0]], close[:-1]))
    reach = temper * move * close
    high = _cents(np.maximum(first, close) + noise.uniform() * reach)
    low = _cents(np.minimum(first, close) - noise.uniform() * reach)
    volume = np.rint((5.0 + 45.0 * noise.uniform()) * temper * 1000) / 1000
    at = start + MINUTE * np.arange(minutes, dtype=np.int64)
    ceiling, ground = np.maximum(first, close), np.minimum(first, close)
    return Series(at, first, np.maximum(high, ceiling), np.minimum(low, ground), close, volume)


class _Noise:
    """Columns of numbers, each a stream of its own (splitmix64), whose integers are the same everywhere.

    The n-th number of a column does not depend on how many follow: a longer market begins like a shorter one.
    """

    def __init__(self, seed: int, length: int) -> None:
        self._steps = np.arange(1, length + 1, dtype=np.uint64) * np.uint64(GOLDEN)
        self._seed = seed
        self._column = 0

    def uniform(self) -> Floats:
        """Return a column of numbers from 0 to below 1."""
        self._column += 1
        z = self._steps + np.uint64((self._seed * GOLDEN + self._column * 0xD1B54A32D192ED03) % 2**64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
        return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def bell(self) -> Floats:
        """Return a column of numbers about 0 with a deviation of 1: a sum of four, near enough to normal."""
        return (self.uniform() + self.uniform() + self.uniform() + self.uniform() - 2.0) * 1.7320508075688772


def _cents(prices: NDArray[Any]) -> Floats:
    # At least a cent: a walk may come near 0, a price never does.
    return np.asarray(np.maximum(np.rint(prices * CENT), 1.0) / CENT)
