"""Candle files: plain and packed, as exchanges and people write them."""

import gzip
from collections.abc import Callable, Sequence
from functools import cache
from typing import Final

import numpy as np

from holdfast.errors import BadCandles
from holdfast.market import csv
from holdfast.market.csv import read_candles
from holdfast.market.invented import synthetic
from holdfast.market.series import Series
from holdfast.market.timestamps import moment
from holdfast.testing.fuzzing.damage import damaged
from holdfast.testing.fuzzing.dice import Dice
from holdfast.testing.fuzzing.samples import place
from holdfast.testing.fuzzing.target import require

__all__ = ("candles", "times")

ROWS: Final = 12
HEADER: Final = "timestamp,open,high,low,close,volume\n"
TEXTS: Final = (
    "2024-01-01T00:00:00Z", "2024-01-01 00:00", "1704067200", "1704067200000", "1704067200000000", "1704067200.5",
    "20240101T000000+0200", "1704067200000000000", "",
)  # fmt: skip

STAMPS: Final[Sequence[Callable[[int], str]]] = (
    lambda at: str(np.datetime64(at, "ms").astype("datetime64[s]")) + "Z",
    lambda at: str(at // 1000),
    str,
    lambda at: f'"{np.datetime64(at, "ms")}"'.replace("T", " "),
    lambda at: f"{at * 1000}",
)


def candles(data: bytes) -> None:
    """A candle file is candles that can be right, read the same way fast and slowly, or BadCandles."""
    dice = Dice(data)
    whole = dice.pick(_files())
    packed = dice.chance(4)
    given = damaged(dice, gzip.compress(damaged(dice, whole), mtime=0) if packed else whole)
    path = place() / "candles.csv"
    path.write_bytes(given)
    try:
        found = read_candles(path)
    except BadCandles:
        require(given != whole, "refused: a file that nothing happened to")
        return
    _require_right(found)
    body = gzip.decompress(given) if given.startswith(b"\x1f\x8b") else given
    try:
        slowly = _slowly(body)
    except BadCandles:  # a blank that is one in Latin-1 only
        require(not body.isascii(), "refused: read slowly, and read fast it was not")
    else:
        require(np.array_equal(found.at, slowly.at), "times: read fast they are others than read slowly")
        require(found == slowly, "values: read fast they are others than read slowly")


def times(data: bytes) -> None:
    """Text is a moment, or ValueError or OverflowError, which the readers of files know."""
    dice = Dice(data)
    text = damaged(dice, dice.pick(TEXTS).encode()).decode("utf-8", errors="replace")
    try:
        found = moment(text)
    except (ValueError, OverflowError):
        return
    require(abs(found) < 2**63, f"a moment that no array can hold: {found}")


def _require_right(found: Series) -> None:
    columns = (found.open, found.high, found.low, found.close, found.volume)
    require(
        len(found) > 0 and all(len(column) == len(found) for column in columns), "columns: of other lengths"
    )
    require(all(bool(np.isfinite(column).all()) for column in columns), "values: that are no numbers")
    require(bool((np.diff(found.at) == 60_000).all()) and int(found.at[0]) % 60_000 == 0, "times: with gaps")
    require(
        bool(((found.low <= found.open) & (found.open <= found.high)).all()), "values: beyond low and high"
    )


def _slowly(body: bytes) -> Series:
    file = csv._header("candles.csv", body)
    return Series(*csv._slow(file))


@cache
def _files() -> Sequence[bytes]:
    series = synthetic(7, ROWS)
    rows = [(int(at), candle) for at, candle in zip(series.at, series, strict=True)]
    return [
        (
            HEADER
            + "".join(f"{stamp(at)},{c.open},{c.high},{c.low},{c.close},{c.volume}\n" for at, c in rows)
        ).encode()
        for stamp in STAMPS
    ]
