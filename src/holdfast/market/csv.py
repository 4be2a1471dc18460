"""Candles from a CSV file: all of them right, or none and the row that is not."""

import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from io import BytesIO, StringIO
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from holdfast.errors import BadCandles
from holdfast.market.series import Series
from holdfast.market.timestamps import moment, moments
from holdfast.trading.candle import MINUTE

__all__ = ("read_candles",)

TIMES: Final = ("timestamp", "time", "date")
VALUES: Final = ("open", "high", "low", "close", "volume")
GZIP: Final = b"\x1f\x8b"
LARGEST: Final = 1 << 30
LONGEST_TIME: Final = 48
CORRECT: Final = "Correct the value."


class File(NamedTuple):
    """A file's name, its lines after the header, and where each column of a candle is."""

    path: str
    body: bytes
    columns: tuple[int, ...]
    time: str


class Fault(NamedTuple):
    """What is wrong with a row: its position, the column ("" for the time), why, and what to do."""

    position: int
    column: str
    reason: str
    remedy: str


def read_candles(path: str | Path) -> Series:
    """Return the one-minute candles of a CSV file (plain or gzip), oldest first and without a gap.

    The header names `timestamp` (or `time`, `date`: the open time), `open`, `high`, `low`, `close` and `volume`, in
    any order and case; other columns are left out. Times are ISO 8601 (UTC unless they say otherwise) or seconds,
    milli-, micro- or nanoseconds since 1970. Raises BadCandles for the first row that cannot be right, with `row`
    (the line in the file), `column`, `value` and `reason`.
    """
    file = _header(str(path), _bytes(path))
    series = _fast(file) or Series(*_slow(file))
    fault = _fault(series)
    if fault is not None:
        _blame(file, fault)
    return series


def _bytes(path: str | Path) -> bytes:
    data = Path(path).read_bytes()
    if not data.startswith(GZIP):
        return data
    try:
        with gzip.open(BytesIO(data)) as file:
            found = file.read(LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise BadCandles(f"{path} is a broken gzip file: {error}", row=0, reason=str(error)) from error
    if len(found) > LARGEST:
        reason = f"unpacks to more than {LARGEST:,} bytes"
        raise BadCandles(f"{path} {reason}, which no candles do: unpack and look at it", row=0, reason=reason)
    return found


def _header(path: str, data: bytes) -> File:
    head, _, body = data.removeprefix(b"\xef\xbb\xbf").partition(b"\n")
    names = [name.strip().lower() for name in _names(path, head)]
    time = next((name for name in TIMES if name in names), "")
    missing = [*([] if time else [" or ".join(TIMES)]), *(name for name in VALUES if name not in names)]
    if missing:
        reason = f"the header has no column {', '.join(missing)}"
        raise BadCandles(
            f"{path}, line 1: {reason}; it has {', '.join(names) or 'nothing'}. Name the columns in the first line.",
            row=1,
            column=missing[0],
            reason=reason,
        )
    if not body.strip():
        raise BadCandles(f"{path} has no candle after its header", row=2, reason="no candle")
    return File(path, body, tuple(names.index(name) for name in (time, *VALUES)), time)


def _names(path: str, head: bytes) -> list[str]:
    try:
        return next(csv.reader([head.decode(errors="replace")]), [])
    except csv.Error as error:
        raise BadCandles(f"{path}, line 1: is no line of CSV: {error}", row=1, reason=str(error)) from error


def _fast(file: File) -> Series | None:
    """Return the candles of a file in which every value can be read; None leaves it to the slow way."""
    if b"\0" in file.body:  # numpy drops it at the end of a text, and would take such a time for right
        return None
    types = [("at", f"S{LONGEST_TIME}"), *((name, "f8") for name in VALUES)]
    try:
        rows = np.loadtxt(
            BytesIO(file.body),
            dtype=types,
            delimiter=",",
            usecols=file.columns,
            comments=None,
            quotechar='"',
            ndmin=1,
            encoding="latin-1",
        )
        at = moments(rows["at"])
    except (ValueError, OverflowError):
        return None
    return Series(at, *(np.ascontiguousarray(rows[name]) for name in VALUES))


def _slow(file: File) -> list[Sequence[float]]:
    """Return the six columns read value by value; raises BadCandles for the first that is none."""
    rows = [_row(file, line, row) for line, row in _rows(file)]
    if not rows:
        raise BadCandles(f"{file.path} has no candle after its header", row=2, reason="no candle")
    return list(zip(*rows, strict=True))


def _rows(file: File) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(StringIO(file.body.decode(errors="replace"), newline=""))
    try:
        for row in reader:
            if row and any(value.strip() for value in row):
                yield reader.line_num + 1, row
    except csv.Error as error:
        line = reader.line_num + 1
        raise BadCandles(
            f"{file.path}, line {line}: is no line of CSV: {error}", row=line, reason=str(error)
        ) from error


def _row(file: File, line: int, row: list[str]) -> list[float]:
    return [_value(file, line, row, name) for name in (file.time, *VALUES)]


def _value(file: File, line: int, row: list[str], name: str) -> float:
    position = file.columns[0 if name == file.time else 1 + VALUES.index(name)]
    if position >= len(row):
        _refuse(file, line, name, "", Fault(0, name, "is missing", "Complete the row."))
    value = row[position].strip()
    try:
        return moment(value) if name == file.time else float(value)
    except (ValueError, OverflowError):
        known = "neither ISO 8601 nor a number since 1970" if name == file.time else "not a number"
        _refuse(file, line, name, value, Fault(0, name, f"is {known}", CORRECT))


def _fault(series: Series) -> Fault | None:
    """Return the first row that cannot be right, None where there is none."""
    found = [Fault(int(np.argmax(bad)), *told) for bad, *told in _checks(series) if bad.any()]
    return min(found, key=lambda fault: fault.position, default=None)


def _checks(series: Series) -> Iterator[tuple[NDArray[np.bool_], str, str, str]]:
    for name in VALUES:
        column = getattr(series, name)
        yield ~np.isfinite(column), name, "is not a finite number", CORRECT
        if name != "volume":
            yield column <= 0, name, "is not above 0", CORRECT
    yield series.volume < 0, "volume", "is below 0", CORRECT
    yield series.high < series.low, "high", "is below the low", CORRECT
    for name in ("open", "close"):
        column = getattr(series, name)
        yield (column > series.high) | (column < series.low), name, "is not between low and high", CORRECT
    yield (
        series.at % MINUTE != 0,
        "",
        "is not a whole minute",
        "Candles must be of one minute, by their open time.",
    )
    step = np.diff(series.at, prepend=series.at[0] - MINUTE)
    yield step == 0, "", "is there twice", "Leave one of the two rows out."
    yield step < 0, "", "is earlier than the row before", "Sort the rows by time, oldest first."
    yield (
        step > MINUTE,
        "",
        "comes after a gap",
        "Fill the minutes in between, or use the part before or after.",
    )


def _blame(file: File, fault: Fault) -> NoReturn:
    line, row = next(one for number, one in enumerate(_rows(file)) if number == fault.position)
    name = fault.column or file.time
    position = file.columns[1 + VALUES.index(name) if fault.column else 0]
    _refuse(file, line, name, row[position].strip(), fault)


def _refuse(file: File, line: int, column: str, value: str, fault: Fault) -> NoReturn:
    raise BadCandles(
        f"{file.path}, line {line}: {column} {value!r} {fault.reason}. {fault.remedy}",
        row=line,
        column=column,
        value=value,
        reason=fault.reason,
    )
