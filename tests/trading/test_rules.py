"""What may be asked for: every rule refuses what it should, says where and what to do, and nothing else."""

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import InvalidOption, InvalidSignal
from holdfast.trading.lifecycle import step
from holdfast.trading.rules import Rules, size, validate
from holdfast.trading.signal import Signal
from tests.trading.builders import TOUCH, decide, long, short

NONSENSE = st.one_of(
    st.none(), st.booleans(), st.text(max_size=3), st.integers(), st.floats(), st.just([]), st.just(1j)
)


def refused(signal: Any, price: float = 100.0, rules: Rules = TOUCH) -> tuple[str, str]:
    with pytest.raises(InvalidSignal) as caught:
        validate(signal, price, rules)
    assert str(caught.value)
    return caught.value.field, caught.value.rule


def test_what_is_right_is_returned() -> None:
    for signal in (long(), short(), long(entry_price=98.0), short(entry_price=102.0), long(time_limit=1)):
        assert validate(signal, 100.0, TOUCH) == signal


@pytest.mark.parametrize(
    ("signal", "field", "rule"),
    [
        ({"side": "long"}, "signal", "type"),
        (long(side="up"), "side", "type"),
        (long(take_profit="110"), "take_profit", "type"),
        (long(take_profit=None), "take_profit", "type"),
        (long(stop_loss=True), "stop_loss", "type"),
        (long(take_profit=math.nan), "take_profit", "finite"),
        (long(take_profit=math.inf), "take_profit", "finite"),
        (long(stop_loss=0), "stop_loss", "positive"),
        (long(stop_loss=-95.0), "stop_loss", "positive"),
        (long(entry_price=math.nan), "entry_price", "finite"),
        (long(quantity=0.0), "quantity", "positive"),
        (long(cost=-1), "cost", "positive"),
        (long(cost="100"), "cost", "type"),
        (long(note=7), "note", "type"),
        (long(note="\ud800"), "note", "type"),
        (long(take_profit=99.0), "take_profit", "order"),
        (long(stop_loss=101.0), "stop_loss", "order"),
        (long(entry_price=94.0), "stop_loss", "order"),
        (short(take_profit=101.0), "take_profit", "order"),
        (short(stop_loss=99.0), "stop_loss", "order"),
        (long(take_profit=100.4), "take_profit", "min_distance"),
        (long(stop_loss=99.6), "stop_loss", "min_distance"),
        (short(take_profit=99.6), "take_profit", "min_distance"),
        (long(stop_loss=79.0), "stop_loss", "max_distance"),
        (long(time_limit=0), "time_limit", "whole_minutes"),
        (long(time_limit=1.5), "time_limit", "whole_minutes"),
        (long(time_limit=True), "time_limit", "whole_minutes"),
        (long(time_limit="60"), "time_limit", "whole_minutes"),
        (long(time_limit=1441), "time_limit", "max_time_limit"),
        (long(time_limit=None), "time_limit", "max_time_limit"),
    ],
)
def test_each_rule(signal: Any, field: str, rule: str) -> None:
    assert refused(signal) == (field, rule)


def test_an_immediate_entry_is_between_its_levels() -> None:
    assert refused(long(entry_price=100.0), price=94.0) == ("stop_loss", "immediate")
    assert refused(long(entry_price=100.0), price=95.0) == ("stop_loss", "immediate")
    assert refused(short(entry_price=100.0), price=106.0) == ("stop_loss", "immediate")
    assert validate(long(entry_price=100.0), 95.1, TOUCH)
    # A resting entry does not care where the market is on its far side.
    assert validate(long(entry_price=100.0), 120.0, TOUCH)


def test_for_ever_needs_rules_that_allow_it() -> None:
    rules = Rules(max_time_limit=None)
    assert validate(long(time_limit=None), 100.0, rules).time_limit is None
    assert validate(long(time_limit=10**6), 100.0, rules).time_limit == 10**6


def test_a_distance_as_asked_for_is_not_refused_for_binary_dust() -> None:
    price = 50000.0
    assert 50000 * 1.005 < 50250  # what a strategy computes
    assert validate(long(take_profit=price * 1.005, stop_loss=price * 0.995), price, TOUCH)


@pytest.mark.parametrize("price", [math.nan, 0.0, -1.0, math.inf])
def test_a_market_without_a_price(price: float) -> None:
    assert refused(long(), price=price) == ("price", "positive")


def test_messages_say_what_where_and_what_to_do() -> None:
    with pytest.raises(
        InvalidSignal, match=r"take_profit is 99: for a long it must be above the entry at 100"
    ):
        validate(long(take_profit=99.0), 100.0, TOUCH)
    with pytest.raises(InvalidSignal, match=r"stop_loss is 30 % from the entry at 100: bring it within 20 %"):
        validate(long(stop_loss=70.0), 100.0, TOUCH)


@given(
    side=NONSENSE | st.sampled_from(["long", "short"]),
    take_profit=NONSENSE,
    stop_loss=NONSENSE,
    entry_price=NONSENSE,
    time_limit=NONSENSE,
    quantity=NONSENSE,
    cost=NONSENSE,
    note=NONSENSE,
    price=st.floats(),
)
def test_nonsense_is_refused_or_it_can_be_stored(price: float, **fields: Any) -> None:
    signal = Signal(**fields)
    try:
        checked = validate(signal, price, TOUCH)
    except InvalidSignal:
        return
    assert msgspec.json.decode(msgspec.json.encode(checked), type=Signal) == checked


def test_numbers_of_arrays_become_plain_ones() -> None:
    signal = long(
        take_profit=np.float64(110), stop_loss=np.float32(95), time_limit=np.int64(5), quantity=np.int32(2)
    )
    checked = validate(signal, np.float64(100.0), TOUCH)
    assert [type(v) for v in (checked.take_profit, checked.stop_loss, checked.quantity)] == [float] * 3
    assert type(checked.time_limit) is int
    # Decided without being validated, they are plain all the same: the row goes to a store.
    row = step(None, decide(signal, np.float64(100.0)), TOUCH).row
    assert row is not None
    assert type(row.take_profit) is type(row.quantity) is float


# ---------------------------------------------------------------- size


def sized(price: float = 100.0, signal: Signal | None = None, **market: Any) -> float:
    return size(signal or long(quantity=None), price, TOUCH, **market)


@pytest.mark.parametrize(
    ("signal", "price", "step", "expected"),
    [
        (long(quantity=0.30000000000000004), 100, 0.1, 0.3),
        (long(quantity=0.3), 100, 0.1, 0.3),  # 0.3 // 0.1 is 2 in binary
        (long(quantity=0.29), 100, 0.1, 0.2),
        (long(quantity=None, cost=0.3), 0.1, 1, 3),  # 0.3 / 0.1 is 2.9999999999999996 in binary
        (long(quantity=None, cost=100), 3, 1e-08, 33.33333333),
        (long(quantity=None), 50000, 0.00001, 0.002),  # the default cost
        (long(quantity=None, cost=100, entry_price=98), 100, 0.01, 1.02),  # at the entry price
        (long(quantity=5.0, cost=1.0), 100, 0, 5.0),  # quantity goes first
        (long(quantity=123456789.123456789), 100, 1e-08, 123456789.12345679),
        (long(quantity=7.0), 100, 2, 6.0),
    ],
)
def test_size(signal: Signal, price: float, step: float, expected: float) -> None:
    found = size(signal, price, TOUCH, quantity_step=step)
    assert found == expected
    assert type(found) is float


def test_too_small_is_refused() -> None:
    cases: list[tuple[dict[str, float], str]] = [
        ({"quantity_step": 2.0}, "min_quantity"),
        ({"min_quantity": 1.01}, "min_quantity"),
        ({"min_cost": 100.01}, "min_cost"),
        ({"quantity_step": 0.3, "min_cost": 100.0}, "min_cost"),
    ]
    for market, rule in cases:
        with pytest.raises(InvalidSignal) as caught:
            sized(100.0, None, **market)
        assert (caught.value.field, caught.value.rule) == ("cost", rule)
    with pytest.raises(
        InvalidSignal, match=r"quantity comes to 0.05 base units, the market takes 0.1 at least"
    ):
        sized(signal=long(quantity=0.05), quantity_step=0.1)
    assert sized(min_quantity=1.0, min_cost=100.0) == 1.0
    assert sized(price=3.0, min_cost=100.0) == 100 / 3


@given(quantity=st.floats(1e-9, 1e12), digits=st.integers(0, 8), price=st.floats(1e-6, 1e9))
def test_a_size_is_a_whole_number_of_steps_and_not_above_what_was_asked(
    quantity: float, digits: int, price: float
) -> None:
    step = float(f"1e-{digits}")
    try:
        found = sized(price, signal=long(quantity=quantity), quantity_step=step)
    except InvalidSignal:
        assert quantity < step
        return
    assert quantity - step * 1.001 - quantity * 1e-15 <= found <= quantity
    assert float(f"{found:.{digits}f}") == found


# ---------------------------------------------------------------- the rules themselves


@pytest.mark.parametrize(
    "options",
    [
        {"fill_model": "magic"},
        {"fee": -0.1},
        {"fee": math.nan},
        {"slippage": "0.1"},
        {"scheduled_minutes": 0},
        {"scheduled_minutes": 1.5},
        {"max_time_limit": 0},
        {"max_time_limit": True},
        {"min_stop_loss": 0},
        {"min_stop_loss": 21.0},
        {"default_cost": math.inf},
        {"min_take_profit": 0.39},
        {"fee": 0.2},
    ],
)
def test_rules_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption) as caught:
        Rules(**options)
    assert caught.value.option in str(caught.value)


def test_rules_at_their_edges_are_taken() -> None:
    assert Rules(fee=0, slippage=0, min_take_profit=0.01).fee == 0
    assert Rules(fee=0.15, slippage=0.1).min_take_profit == 0.5
    assert Rules(max_time_limit=None).max_time_limit is None
