"""`holdfast candles`: made-up candles in a file, for whoever has none."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from holdfast.cli.options import Json, flag
from holdfast.cli.output import Output
from holdfast.errors import InvalidOption
from holdfast.market.invented import SYNTHETIC_START, synthetic
from holdfast.market.series import Series
from holdfast.runtime.backtests import milliseconds

__all__ = ("candles",)

HEADER: Final = "timestamp,open,high,low,close,volume,source\n"


def candles(
    out: Annotated[Path, Parameter(help="The file to write; packed if its name ends in .gz.")],
    /,
    *,
    minutes: Annotated[int, Parameter(help="How many candles of one minute.")] = 10_000,
    seed: Annotated[int, Parameter(help="The same number is the same market, on every machine.")] = 7,
    start: Annotated[str | None, Parameter(help="Time of the first candle; by default 2024-01-01.")] = None,
    price: Annotated[float, Parameter(help="The first price.")] = 40_000.0,
    force: Annotated[bool, flag("Write over a file that is there.")] = False,
    json: Json = False,
) -> None:
    """Write SYNTHETIC one-minute candles: a random walk to try things with, which says nothing about any market.

    Every row says so in its last column.

    Example: `holdfast candles candles.csv --minutes 50000 --seed 7`
    """
    output = Output(json=json)
    if out.exists() and not force:
        raise InvalidOption(f"{out} is there already; --force writes over it", path=str(out))
    first = SYNTHETIC_START if start is None else milliseconds(start)
    series = synthetic(seed, minutes, start=first, price=price)
    text = "".join(_rows(series)).encode()
    out.write_bytes(gzip.compress(text, mtime=0) if out.suffix == ".gz" else text)
    output.say(f"{minutes:,} synthetic candles are in {out}")
    facts = {"path": str(out), "candles": minutes, "seed": seed, "start": first, "synthetic": True}
    output.record("summary", facts)


def _rows(series: Series) -> Iterator[str]:
    yield HEADER
    times = series.at.astype("datetime64[ms]").astype("datetime64[s]").astype(str)
    for at, candle in zip(times, series, strict=True):
        yield f"{at}Z,{candle.open},{candle.high},{candle.low},{candle.close},{candle.volume},synthetic\n"
