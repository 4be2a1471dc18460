"""Series, Window and View, held against the simplest thing that could be right: lists of candles."""

from functools import reduce
from itertools import pairwise
from operator import add

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import BadCandles, InvalidOption
from holdfast.market import Series, View, Window, synthetic
from holdfast.market.intervals import INTERVALS, floor, interval_ms
from holdfast.trading.candle import MINUTE, Candle

DAY = 1440 * MINUTE
T0 = 1_704_067_200_000
FIXED = (41369.58, 96771.224)

minutes_in = st.integers(1, 400)
offsets = st.integers(0, 1500)
intervals = st.sampled_from([*INTERVALS][:7])


def naive(candles: list[Candle], interval: str) -> list[Candle]:
    """Merge whole, aligned groups of candles, one at a time."""
    length = interval_ms(interval)
    groups: dict[int, list[Candle]] = {}
    for candle in candles:
        groups.setdefault(candle.at - candle.at % length, []).append(candle)
    return [
        Candle(
            at, group[0].open, max(c.high for c in group), min(c.low for c in group), group[-1].close,
            # Added in order, as numpy does it: the sum() of Python 3.12 and later rounds less.
            reduce(add, (c.volume for c in group)),
        )
        for at, group in groups.items()
        if len(group) * MINUTE == length
    ]  # fmt: skip


def made(minutes: int, offset: int, seed: int = 1) -> Series:
    return synthetic(seed, minutes, start=T0 + offset * MINUTE)


def test_intervals_divide_a_day_and_start_with_it() -> None:
    assert [interval_ms(name) for name in ("1m", "15m", "4h")] == [MINUTE, 15 * MINUTE, 240 * MINUTE]
    assert all(DAY % length == 0 for length in INTERVALS.values())
    assert floor(T0 + 17 * MINUTE + 5, "15m") == T0 + 15 * MINUTE
    with pytest.raises(InvalidOption, match="use one of 1m, 3m"):
        interval_ms("7m")


def test_a_series_is_a_sequence_of_candles() -> None:
    series = made(10, 0)
    assert list(series) == [series[i] for i in range(10)]
    assert series[-1] == list(series)[-1]
    assert list(series[2:5]) == list(series)[2:5]
    assert Series.of(series) == series
    assert series[1:] != series
    assert series != list(series)
    assert series[3] in series
    assert len(Series.of([])) == 0
    assert repr(series) == "Series(10 candles of 1m)"
    with pytest.raises(IndexError):
        _ = series[10]


def test_nobody_changes_a_series() -> None:
    series = made(10, 0)
    with pytest.raises(ValueError, match="read-only"):
        series.close[0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        series[2:4].close[0] = 1.0


@given(minutes_in, offsets, intervals)
def test_resampled_as_one_by_one(minutes: int, offset: int, interval: str) -> None:
    series = made(minutes, offset)
    assert list(series.resample(interval)) == naive(list(series), interval)


def test_longer_candles_from_longer_candles() -> None:
    series = made(600, 7)
    direct, stepped = series.resample("1h"), series.resample("5m").resample("1h")
    assert all(map(np.array_equal, direct.columns[:-1], stepped.columns[:-1]))
    assert np.allclose(direct.volume, stepped.volume)  # added up in another order
    with pytest.raises(BadCandles, match="cannot be merged"):
        series.resample("2h").resample("3m")


def test_candles_with_a_gap_are_not_resampled() -> None:
    candles = list(made(30, 0))
    with pytest.raises(BadCandles, match="gaps"):
        Series.of(candles[:10] + candles[11:]).resample("5m")


@given(
    minutes_in, offsets, st.integers(1, 60), st.lists(st.tuples(intervals, st.integers(0, 40)), min_size=1)
)
def test_a_window_shows_the_last_minutes(
    minutes: int, offset: int, kept: int, asked: list[tuple[str, int]]
) -> None:
    candles = list(made(minutes, offset))
    window = Window(kept)
    for candle in candles:
        window.append(candle)
    seen = candles[-kept:]
    assert (len(window), window.last) == (len(seen), candles[-1])
    for interval, limit in asked:
        assert list(window.candles(interval, limit)) == (naive(seen, interval)[-limit:] if limit else [])
        assert window.recent(limit) == (seen[-limit:] if limit else [])


@given(minutes_in, offsets, st.data())
def test_a_view_shows_what_a_window_shows(minutes: int, offset: int, data: st.DataObject) -> None:
    series = made(minutes, offset)
    view, window = View(series), Window(minutes)
    end = data.draw(st.integers(1, minutes))
    for _ in range(end):
        window.append(view.advance())
    for interval in INTERVALS:
        limit = data.draw(st.integers(0, 40))
        assert view.candles(interval, limit) == window.candles(interval, limit)
        assert view.recent(limit) == window.recent(limit)
    assert (len(view), view.last) == (len(window), window.last)


def test_a_view_moves_both_ways_and_ends() -> None:
    series = made(10_000, 0)
    view = View(series)
    assert list(iter(view.advance, series[-1])) == list(series)[:-1]
    with pytest.raises(IndexError):
        view.advance()
    view.end = 3
    assert (view.last, view.recent(2)) == (series[2], list(series)[1:3])
    view.end = 9_000
    assert view.recent(70) == list(series)[8_930:9_000]


def test_what_a_window_showed_stays_as_it_was() -> None:
    window, series = Window(10), made(100, 0)
    shown = []
    for candle in series:
        window.append(candle)
        shown.append((window.candles("1m", 10), list(window.candles("1m", 10))))
    assert all(list(now) == then for now, then in shown)
    assert all(later.at[-1] - earlier.at[-1] == MINUTE for (earlier, _), (later, _) in pairwise(shown))


def test_a_window_takes_only_the_next_candle() -> None:
    window, series = Window(10), made(3, 0)
    with pytest.raises(BadCandles, match="no candle"):
        _ = window.last
    with pytest.raises(BadCandles, match="no candle"):
        _ = View(series).last
    assert (window.recent(5), len(window.candles("1h", 5)), len(View(series).candles("5m", 5))) == ([], 0, 0)
    window.append(series[0])
    for wrong in (series[0], series[2]):
        with pytest.raises(BadCandles, match="does not follow"):
            window.append(wrong)
    window.append(series[1])
    assert len(window) == 2


def test_synthetic_candles_are_right_and_the_same_for_ever() -> None:
    series = synthetic(7, 3_000)
    assert series == synthetic(7, 5_000)[:3_000]
    assert series != synthetic(8, 3_000)
    # These numbers are a promise: recorded results name a seed, and not its candles.
    assert series[0] == Candle(T0, 40000.0, 40049.97, 39990.35, 40017.1, 24.263)
    assert (series[-1].close, round(float(series.volume.sum()), 3)) == FIXED
    assert (np.diff(series.at) == MINUTE).all()
    assert (series.open[1:] == series.close[:-1]).all()
    for column in (series.open, series.close):
        assert ((series.low <= column) & (column <= series.high)).all()
    moves = np.diff(np.log(series.close))
    assert 0.0002 < moves.std() < 0.002
    with pytest.raises(InvalidOption):
        synthetic(7, 0)


def test_synthetic_prices_stay_above_nothing() -> None:
    assert float(synthetic(3, 20_000, price=0.02, move=0.2).low.min()) >= 0.01
