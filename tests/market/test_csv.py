"""Candle files: what is right in any of its spellings, and the row of what is not."""

import gzip
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import BadCandles
from holdfast.market import Series, read_candles, synthetic
from holdfast.market.csv import _fast, _header, _slow
from holdfast.trading.candle import MINUTE, Candle

SERIES = synthetic(5, 40)
HEADER = "timestamp,open,high,low,close,volume"
REAL = Path(os.environ.get("HOLDFAST_CANDLES", "../shared/data/btc-perp-1m-2022-01.csv.gz"))


def moment(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC)


SPELLINGS: dict[str, Callable[[int], str]] = {
    "iso": lambda at: moment(at).strftime("%Y-%m-%dT%H:%M:%S"),
    "iso minutes": lambda at: moment(at).strftime("%Y-%m-%d %H:%M"),
    "iso micros": lambda at: moment(at).strftime("%Y-%m-%d %H:%M:%S.%f"),
    "iso Z": lambda at: moment(at).strftime("%Y-%m-%dT%H:%M:%SZ"),
    "iso utc": lambda at: moment(at).isoformat(),
    "iso offset": lambda at: moment(at).astimezone(timezone(timedelta(hours=5.5))).isoformat(),
    "iso basic": lambda at: moment(at).strftime("%Y%m%dT%H%M%S"),
    "s": lambda at: str(at // 1000),
    "s with a point": lambda at: f"{at / 1000:.1f}",
    "ms": str,
    "us": lambda at: f"{at}000",
    "us with a point": lambda at: f"{at}000.0",
    "ns": lambda at: f"{at}000000",
    "quoted": lambda at: f'"{moment(at).isoformat()}"',
}


def row(candle: Candle, spell: Callable[[int], str] = str) -> str:
    return f"{spell(candle.at)},{candle.open},{candle.high},{candle.low},{candle.close},{candle.volume}"


def rows(series: Series = SERIES, spell: Callable[[int], str] = str) -> list[str]:
    return [HEADER, *(row(candle, spell) for candle in series)]


def written(tmp_path: Path, lines: list[str], *, end: str = "\n") -> Path:
    path = tmp_path / "candles.csv"
    path.write_bytes((end.join(lines) + end).encode())
    return path


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_times_in_every_spelling(spelling: str, tmp_path: Path) -> None:
    path = written(tmp_path, rows(spell=SPELLINGS[spelling]))
    assert read_candles(path) == SERIES
    assert Series(*_slow(_header("slow", path.read_bytes()))) == SERIES


def test_years_are_read_the_fast_way(tmp_path: Path) -> None:
    for spelling in ("iso", "iso micros", "iso Z", "iso utc", "s", "ms", "ns"):
        path = written(tmp_path, rows(spell=SPELLINGS[spelling]))
        assert _fast(_header("fast", path.read_bytes())) == SERIES, spelling


def test_columns_in_any_order_and_case(tmp_path: Path) -> None:
    lines = ["Close, Trades ,VOLUME,Date,low,High,Open"]
    lines += [f"{c.close},9,{c.volume},{moment(c.at)},{c.low},{c.high},{c.open}" for c in SERIES]
    assert read_candles(str(written(tmp_path, lines, end="\r\n"))) == SERIES


def test_gzip_byte_order_mark_and_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "candles.csv.gz"
    lines = rows()
    path.write_bytes(gzip.compress(("\ufeff" + "\n".join([*lines[:5], "", *lines[5:], "", ""])).encode()))
    assert read_candles(path) == SERIES
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BadCandles, match="broken gzip"):
        read_candles(path)


def test_one_candle_is_enough(tmp_path: Path) -> None:
    assert list(read_candles(written(tmp_path, rows()[:2]))) == [SERIES[0]]


@given(st.data())
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    price = st.floats(1e-6, 1e9)
    candles = []
    for minute in range(data.draw(st.integers(1, 5))):
        low, first, last, high = sorted(data.draw(st.lists(price, min_size=4, max_size=4)))
        at = SERIES[0].at + minute * MINUTE
        candles.append(Candle(at, first, high, low, last, data.draw(st.floats(0, 1e12))))
    spell = SPELLINGS[data.draw(st.sampled_from(sorted(SPELLINGS)))]
    path = written(tmp_path_factory.getbasetemp(), rows(Series.of(candles), spell))
    assert list(read_candles(path)) == candles


def changed(line: int, column: str, value: str) -> list[str]:
    lines = rows()
    cells = lines[line - 1].split(",")
    cells[HEADER.split(",").index(column)] = value
    return [*lines[: line - 1], ",".join(cells), *lines[line:]]


AT = SERIES[20].at  # the candle on line 22
BAD = {
    "gap": ([*rows()[:21], *rows()[22:]], 22, "timestamp", "comes after a gap"),
    "twice": ([*rows()[:22], *rows()[21:]], 23, "timestamp", "is there twice"),
    "disorder": ([*rows()[:20], rows()[21], rows()[20], *rows()[22:]], 21, "timestamp", "comes after a gap"),
    "backwards": ([HEADER, *reversed(rows()[1:])], 3, "timestamp", "earlier than the row before"),
    "misaligned": (changed(22, "timestamp", str(AT + 1)), 22, "timestamp", "not a whole minute"),
    "no time": (changed(22, "timestamp", "yesterday"), 22, "timestamp", "neither ISO 8601"),
    "now": (changed(22, "timestamp", "now"), 22, "timestamp", "neither ISO 8601"),
    "empty time": (changed(22, "timestamp", ""), 22, "timestamp", "neither ISO 8601"),
    "nan": (changed(22, "close", "nan"), 22, "close", "not a finite number"),
    "inf": (changed(22, "volume", "inf"), 22, "volume", "not a finite number"),
    "word": (changed(22, "high", "n/a"), 22, "high", "not a number"),
    "empty": (changed(22, "open", ""), 22, "open", "not a number"),
    "negative": (changed(22, "low", "-1"), 22, "low", "not above 0"),
    "zero": (changed(22, "open", "0"), 22, "open", "not above 0"),
    "volume": (changed(22, "volume", "-0.5"), 22, "volume", "below 0"),
    "high": (changed(22, "high", "1"), 22, "high", "below the low"),
    "open": (changed(22, "open", "1"), 22, "open", "not between low and high"),
    "close": (changed(22, "close", "99999999"), 22, "close", "not between low and high"),
    "short row": ([*rows()[:21], f"{AT},1,2", *rows()[22:]], 22, "low", "is missing"),
    "no column": ([rows()[0].replace("high", "hi"), *rows()[1:]], 1, "high", "no column high"),
    "no header": (rows()[1:], 1, "timestamp or time or date", "no column timestamp or time or date, open"),
    "header only": (rows()[:1], 2, None, "no candle"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_candles_name_the_row(name: str, tmp_path: Path) -> None:
    lines, line, column, reason = BAD[name]
    with pytest.raises(BadCandles) as caught:
        read_candles(written(tmp_path, lines))
    assert caught.value.row == line
    assert reason in str(caught.value)
    assert caught.value.facts.get("column") == column
    assert str(tmp_path) in str(caught.value)


def test_the_first_bad_row_is_named_past_blank_lines(tmp_path: Path) -> None:
    lines = changed(30, "close", "nan")
    with pytest.raises(
        BadCandles, match=r"line 31: close .nan. is not a finite number\. Correct the value\."
    ) as caught:
        read_candles(written(tmp_path, [*lines[:8], "", *lines[8:]]))
    assert (caught.value.row, caught.value.value) == (31, "nan")


def test_an_empty_file_and_none(tmp_path: Path) -> None:
    with pytest.raises(BadCandles, match="line 1: the header has no column"):
        read_candles(written(tmp_path, []))
    with pytest.raises(FileNotFoundError):
        read_candles(tmp_path / "nowhere.csv")


def test_real_candles() -> None:
    if not REAL.exists():
        pytest.skip(f"there are no real candles at {REAL} (HOLDFAST_CANDLES names another place)")
    series = read_candles(REAL)
    assert len(series) > 1_000
    assert len(series.resample("1h")) > 10


@pytest.mark.parametrize("at", [12, 40, -9])
def test_a_packed_file_with_a_changed_byte_is_broken(tmp_path: Path, at: int) -> None:
    path = tmp_path / "candles.csv.gz"
    data = bytearray(gzip.compress("\n".join(rows()).encode()))
    data[at] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(BadCandles, match="broken gzip"):
        read_candles(path)


def test_a_packed_file_that_unpacks_without_an_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.market.csv.LARGEST", 1_000)
    path = tmp_path / "candles.csv.gz"
    path.write_bytes(gzip.compress(bytes(1_001)))
    with pytest.raises(BadCandles, match="unpacks to more"):
        read_candles(path)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("timestamp,open\rhigh,low,close,volume\n1,1,1,1,1,1", "no line of CSV"),
        (f"{HEADER}\n" + '"' + "x" * 200_000 + '",1,1,1,1,1', "no line of CSV"),
        (f"{HEADER}\n,,,,,\n,,,,,\n", "no candle"),
        (f"{HEADER}\n{'9' * 40},1,1,1,1,1", "neither ISO 8601"),
        (f"{HEADER}\n{10**23},1,1,1,1,1", "neither ISO 8601"),
        (f"{HEADER}\n1704067200000\0,1,1,1,1,1", "neither ISO 8601"),
        (f"{HEADER}\n1704067200,1,1,1,1,1\n1704067260,1,1,1,1,1\n{2**61 + 1704067320},1,1,1,1,1", "line 4"),
    ],
)
def test_what_no_reader_of_csv_or_numbers_takes_is_refused(tmp_path: Path, body: str, complaint: str) -> None:
    path = tmp_path / "candles.csv"
    path.write_text(body, newline="")
    with pytest.raises(BadCandles, match=complaint):
        read_candles(path)


def test_times_of_two_units_are_read_alike_fast_and_slowly(tmp_path: Path) -> None:
    first, second, *_ = rows(spell=lambda at: str(at // 1000))[1:]
    later = second.replace(second.partition(",")[0], str(SERIES[1].at))
    assert read_candles(written(tmp_path, [HEADER, first, later])) == SERIES[:2]
