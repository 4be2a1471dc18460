"""What the two fill models answer, candle by candle."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from holdfast.trading.candle import MINUTE, Candle
from holdfast.trading.fills import Exit, FillModel, current_price, execute, exit_of, marketable, rest
from holdfast.trading.order import Order, Trigger
from tests.trading.builders import T0, Life, candle, decide, fill, flat, long, short, told

LEVELS = st.sampled_from([90.0, 95.0, 99.0, 100.0, 101.0, 105.0, 110.0])


@st.composite
def candles(draw: st.DrawFn, minute: int = 0) -> Candle:
    a, b, c, d = (draw(LEVELS) for _ in range(4))
    return candle(minute, a, max(a, b, c, d), min(a, b, c, d), b, draw(st.sampled_from([0.0, 1.0])))


def market(side: str, trigger: Trigger | None = None, level: float | None = None) -> Order:
    return Order(
        client_id="x", symbol="BTC/USDT", side=side, type="market", quantity=2.0,  # type: ignore[arg-type]
        trigger=trigger, trigger_price=level,
    )  # fmt: skip


def limit(side: str, price: float, stop_loss: float | None = None) -> Order:
    return Order(
        client_id="x", symbol="BTC/USDT", side=side, type="limit", quantity=2.0,  # type: ignore[arg-type]
        price=price, stop_loss=stop_loss,
    )  # fmt: skip


def price_of(model: FillModel, order: Order, given: Candle, price: float) -> float:
    state = execute(model, order, given, price, T0 + 7)
    assert (state.status, state.fills[0].id, state.fills[0].at) == ("filled", "x-1", T0 + 7)
    return state.fills[0].price


# ---------------------------------------------------------------- the current price


def test_touch_price_is_the_last_close() -> None:
    assert current_price("touch", [flat(0, 99), candle(1, 100, 105, 95, 102)]) == 102


def test_vwap_price_is_of_the_last_five() -> None:
    window = [flat(0, 1.0), *(candle(i, 100, 100 + i, 100 - i, 100 + i, i) for i in range(1, 6))]
    expected = sum((300 + i) / 3 * i for i in range(1, 6)) / 15
    assert current_price("vwap", window) == pytest.approx(expected, abs=1e-12)
    assert current_price("vwap", window[-2:]) == pytest.approx((304 / 3 * 4 + 305 / 3 * 5) / 9, abs=1e-12)


def test_vwap_price_without_volume_is_the_mean_close() -> None:
    assert current_price("vwap", [candle(i, 1, 9, 1, 100 + i, 0) for i in range(5)]) == 102


@pytest.mark.parametrize(
    ("side", "price", "there"),
    [
        ("long", 99, True),
        ("long", 100, True),
        ("long", 101, False),
        ("short", 101, True),
        ("short", 100, True),
        ("short", 99, False),
    ],
)
def test_marketable(side: str, price: float, there: bool) -> None:
    assert marketable(side, 100, price) is there  # type: ignore[arg-type]


# ---------------------------------------------------------------- which exit

TAKE, STOP, TIME = Exit("take_profit", 110.0), Exit("stop_loss", 95.0), Exit("time_limit", None)
LIMITED = long(time_limit=3)


@pytest.mark.parametrize(
    ("model", "given", "price", "expected"),
    [
        ("touch", candle(0, 100, 109, 96, 100), 100, None),
        ("touch", candle(0, 100, 110, 96, 100), 100, TAKE),
        ("touch", candle(0, 100, 109, 95, 100), 100, STOP),
        ("touch", candle(0, 100, 120, 90, 100), 100, STOP),  # spans both
        ("touch", candle(0, 112, 115, 111, 112), 112, TAKE),  # a gap over the level
        ("touch", candle(1, 100, 100, 100, 100), 100, None),
        ("touch", candle(2, 100, 100, 100, 100), 100, TIME),  # closes three minutes after the opening
        ("touch", candle(2, 100, 110, 100, 100), 100, TAKE),
        ("touch", candle(2, 100, 120, 90, 100), 100, STOP),
        ("vwap", candle(0, 100, 120, 96, 119), 109, None),  # a take-profit needs the current price
        ("vwap", candle(0, 100, 120, 96, 119), 110, TAKE),
        ("vwap", candle(0, 100, 120, 95, 119), 110, STOP),
        ("vwap", candle(2, 100, 120, 90, 100), 110, TIME),  # time goes before levels
    ],
)
def test_exit_of_a_long(model: FillModel, given: Candle, price: float, expected: Exit | None) -> None:
    row = Life().open(LIMITED).alive
    assert exit_of(model, row, given, price, given.at + MINUTE) == expected


def test_exit_of_a_short_mirrors() -> None:
    row = Life().open(short()).alive
    spans, takes, stops = (
        candle(0, 100, 105, 90, 100),
        candle(0, 100, 104, 90, 91),
        candle(0, 100, 105, 91, 91),
    )
    for model in ("touch", "vwap"):
        assert exit_of(model, row, spans, 100, T0 + MINUTE) == Exit("stop_loss", 105.0)
        assert exit_of(model, row, takes, 90, T0 + MINUTE) == Exit("take_profit", 90.0)
        assert exit_of(model, row, stops, 91, T0 + MINUTE) == Exit("stop_loss", 105.0)


def test_without_a_time_limit_there_is_no_time() -> None:
    row = Life().open(long(time_limit=None)).alive
    assert exit_of("touch", row, flat(100_000), 100, T0 + 100_001 * MINUTE) is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (candle(0, 100, 120, 96, 99), None),  # the high may have come before the fill at 98
        (candle(0, 100, 120, 95, 99), STOP),  # the stop lies beyond the entry: it came after
        (candle(0, 100, 120, 96, 111), TAKE),  # the close did, too
        (candle(-1, 100, 120, 90, 90), None),  # closed before the fill
    ],
)
def test_in_the_candle_that_fills_a_resting_entry(given: Candle, expected: Exit | None) -> None:
    life = Life().schedule()
    life.give(told(life.alive.entry, "filled", fill(98.0, 1.0, T0)))
    assert exit_of("touch", life.alive, given, given.close, given.at + MINUTE) == expected
    assert exit_of("vwap", life.alive, given, given.close, given.at + MINUTE) is None


def test_in_the_candle_that_a_market_entry_fills_inside_only_the_close_counts() -> None:
    life = Life()
    life.give(decide(long(), at=T0 + 3_000))
    life.give(told(life.order, "filled", fill(100.0, 1.0, T0 + 3_500)))
    spans = candle(0, 100, 120, 90, 100)
    assert exit_of("touch", life.alive, spans, 100, T0 + MINUTE) is None
    below = replace(spans, close=94.0)
    assert exit_of("touch", life.alive, below, 94, T0 + MINUTE) == STOP
    assert exit_of("touch", life.alive, candle(1, 100, 100, 95, 100), 100, T0 + 2 * MINUTE) == STOP


# ---------------------------------------------------------------- fills of market orders


@pytest.mark.parametrize(
    ("side", "trigger", "level", "given", "price", "expected"),
    [
        ("buy", None, None, candle(0, 90, 110, 80, 100), 101, 101),  # no trigger: the current price
        ("sell", "take_profit", 110.0, candle(0, 100, 115, 99, 112), 112, 110),
        ("sell", "take_profit", 110.0, candle(0, 113, 115, 109, 112), 112, 113),  # gap: the open, better
        ("sell", "stop_loss", 95.0, candle(0, 100, 101, 94, 94), 94, 95),
        ("sell", "stop_loss", 95.0, candle(0, 92, 96, 91, 93), 93, 92),  # gap: the open, worse
        ("buy", "take_profit", 90.0, candle(0, 100, 101, 89, 91), 91, 90),
        ("buy", "take_profit", 90.0, candle(0, 88, 91, 87, 91), 91, 88),
        ("buy", "stop_loss", 105.0, candle(0, 100, 106, 99, 106), 106, 105),
        ("buy", "stop_loss", 105.0, candle(0, 108, 109, 104, 106), 106, 108),
        ("sell", "take_profit", 110.0, candle(1, 105, 106, 104, 105), 105, 105),  # the market has left again
        ("sell", "stop_loss", 95.0, candle(1, 100, 101, 99, 100), 100, 100),
        ("buy", "entry", 100.0, candle(0, 99, 101, 98, 99), 99, 99),
    ],
)
def test_touch_fills(
    side: str, trigger: Trigger | None, level: float | None, given: Candle, price: float, expected: float
) -> None:
    assert price_of("touch", market(side, trigger, level), given, price) == expected


@pytest.mark.parametrize("trigger", ["entry", "take_profit", "stop_loss"])
@pytest.mark.parametrize("side", ["buy", "sell"])
def test_vwap_fills_at_exactly_the_level(side: str, trigger: Trigger) -> None:
    assert price_of("vwap", market(side, trigger, 97.0), candle(0, 80, 120, 80, 100), 101) == 97.0
    assert price_of("vwap", market(side), candle(0, 80, 120, 80, 100), 101) == 101


@given(given=candles(), level=LEVELS, side=st.sampled_from(["buy", "sell"]), stop=st.booleans())
def test_a_touch_fill_is_a_price_of_the_candle(given: Candle, level: float, side: str, stop: bool) -> None:
    trigger: Trigger = "stop_loss" if stop else "take_profit"
    found = price_of("touch", market(side, trigger, level), given, given.close)
    assert given.low <= found <= given.high
    if given.low <= level <= given.high:  # a stop is never filled better than its level, a take never worse
        better = found >= level if side == "sell" else found <= level
        assert found == level or better is not stop


# ---------------------------------------------------------------- resting orders


@pytest.mark.parametrize(
    ("side", "given", "touch", "vwap"),
    [
        ("buy", candle(0, 101, 102, 100.5, 101), None, None),
        ("buy", candle(0, 101, 102, 100, 101), 100, 100),
        ("buy", candle(0, 99, 102, 98, 101), 99, 100),  # a gap: the open, which is better
        ("buy", candle(0, 99, 99.5, 98, 99), 99, 100),
        ("buy", candle(0, 101, 102, 95, 101), 100, None),  # through the stop-loss: the bot cancels first
        ("sell", candle(0, 99, 99.5, 98, 99), None, None),
        ("sell", candle(0, 99, 100, 98, 99), 100, 100),
        ("sell", candle(0, 101, 102, 100.5, 101), 101, 100),
        ("sell", candle(0, 99, 105, 98, 99), 100, None),
    ],
)
def test_rest(side: str, given: Candle, touch: float | None, vwap: float | None) -> None:
    order = limit(side, 100.0, stop_loss=95.0 if side == "buy" else 105.0)
    models: list[tuple[FillModel, float | None]] = [("touch", touch), ("vwap", vwap)]
    for model, expected in models:
        state = rest(model, order, given)
        assert (state and state.fills[0].price) == expected
        if state is not None:
            assert (state.status, state.filled, state.fills[0].at) == ("filled", 2.0, given.at)


def test_a_limit_order_that_arrives_where_the_market_is_already() -> None:
    state = execute("touch", limit("buy", 100.0), flat(0, 99), 99, T0)
    assert (state.status, state.fills[0].price) == ("filled", 99)
    assert execute("vwap", limit("buy", 100.0), flat(0, 99), 99, T0).fills[0].price == 100
    assert execute("touch", limit("buy", 100.0), flat(0, 101), 101, T0).status == "open"
    assert execute("touch", limit("sell", 100.0), flat(0, 99), 99, T0).status == "open"


def test_only_limit_orders_rest() -> None:
    with pytest.raises(ValueError, match="only limit orders rest"):
        rest("touch", market("buy"), flat(0))


@given(given=candles(), level=LEVELS, side=st.sampled_from(["buy", "sell"]))
def test_a_resting_order_never_fills_worse_than_its_price(given: Candle, level: float, side: str) -> None:
    state = rest("touch", limit(side, level), given)
    if state is None:
        assert given.low > level if side == "buy" else given.high < level
    else:
        price = state.fills[0].price
        assert math.isclose(price, level) or (price < level if side == "buy" else price > level)
        assert given.low <= price <= given.high
