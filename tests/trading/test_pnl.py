"""Profit and loss by the table that users of other frameworks compare with, to 1e-9."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.trading.pnl import Entry, Partial, effective_entry, may_average, pnl, position_pnl
from holdfast.trading.rules import Rules
from holdfast.trading.signal import Side

RULES, FREE = Rules(), Rules(fee=0, slippage=0)
PRICES = st.floats(0.01, 1e6)


def entries(*prices: float) -> list[Entry]:
    return [Entry(price) for price in prices]


@pytest.mark.parametrize(
    ("side", "entry", "price", "percent"),
    [
        ("long", 100, 110, 9.570439560),
        ("short", 100, 90, 9.629639640),
        ("long", 50000, 51000, 1.594407592),
        ("long", 50000, 49000, -2.393608392),
        ("long", 50000, 50000, -0.399600400),
        ("short", 50000, 50000, -0.400400400),
    ],
)
def test_one_entry_one_exit(side: Side, entry: float, price: float, percent: float) -> None:
    assert pnl(side, entry, price, RULES) == pytest.approx(percent, abs=1e-9)
    assert position_pnl(side, [Entry(entry)], [], price, RULES) == pytest.approx(percent, abs=1e-9)


def test_two_entries_act_as_one() -> None:
    both = entries(100, 80)
    percent = position_pnl("long", both, [], 100, RULES)
    assert effective_entry(both) == pytest.approx(88.888889, abs=1e-6)
    assert percent == pytest.approx(12.062949550, abs=1e-9)
    assert percent / 100 * 200 == pytest.approx(24.125899, abs=1e-6)
    assert pnl("long", effective_entry(both), 100, RULES) == pytest.approx(percent, abs=1e-9)


@pytest.mark.parametrize(
    ("opened", "partials", "price", "percent"),
    [
        ([Entry(100), Entry(80, 200)], [Partial(95, 40, 2)], 110, 20.869818182),
        (entries(100, 80, 70), [Partial(115, 25, 1), Partial(112, 25, 2)], 105, 30.258272478),
        (entries(100, 85, 75), [Partial(110, 30, 2), Partial(88, 20, 3)], 95, 12.636520085),
    ],
)
def test_partial_exits(opened: list[Entry], partials: list[Partial], price: float, percent: float) -> None:
    assert position_pnl("long", opened, partials, price, RULES) == pytest.approx(percent, abs=1e-9)


def test_a_long_life_of_entries_and_exits() -> None:
    # 1000; 30 % at 1150; 950 and 880; 20 % at 860; 920; 40 % at 1050; the rest at 1200.
    opened = entries(1000, 950, 880, 920)
    partials = [Partial(1150, 30, 1), Partial(860, 20, 3), Partial(1050, 40, 4)]
    assert effective_entry(opened, partials) == pytest.approx(929.917012, abs=1e-6)
    assert position_pnl("long", opened, partials, 1200, FREE) == pytest.approx(17.895031204, abs=1e-9)
    assert position_pnl("long", opened, partials, 1200, RULES) == pytest.approx(17.441817220, abs=1e-9)


def test_averaging_in_after_a_partial_exit_counts_what_was_left() -> None:
    assert effective_entry(entries(100, 80), [Partial(110, 30, 1)]) == pytest.approx(87.179487179, abs=1e-9)


def test_percent_is_of_the_basis_that_is_left() -> None:
    # Four times 20 % of 100, 180, 244 and 295.2: 163.84 of 400, worth nothing at the end.
    partials = [Partial(price, 20, count) for price, count in ((100, 1), (80, 2), (72, 3), (65, 4))]
    opened = entries(100, 80, 72, 65)
    gain = position_pnl("long", opened, [*partials], 0, FREE) + 100
    walked = [20.0, 36.0, 48.8, 59.04]
    weights = sum(walked) / 400 * 100
    assert weights == pytest.approx(40.96)
    worth = sum(
        basis * price / effective_entry(opened[: i + 1], partials[:i])
        for i, (basis, price) in enumerate(zip(walked, (100, 80, 72, 65), strict=True))
    )
    assert gain == pytest.approx(worth / 400 * 100)


@given(side=st.sampled_from(["long", "short"]), entry=PRICES, parts=st.lists(st.floats(1, 99), max_size=5))
def test_exits_in_parts_at_one_price_are_one_exit(side: Side, entry: float, parts: list[float]) -> None:
    price = entry * 1.07
    whole = pnl(side, entry, price, RULES)
    partials = [Partial(price, percent, 1) for percent in parts]
    assert position_pnl(side, [Entry(entry, 250.0)], partials, price, RULES) == pytest.approx(whole, abs=1e-9)


@given(entry=PRICES, price=PRICES)
def test_costs_only_cost(entry: float, price: float) -> None:
    for side in ("long", "short"):
        assert pnl(side, entry, price, RULES) < pnl(side, entry, price, FREE)


def test_averaging_in_needs_a_new_extreme() -> None:
    assert may_average("long", entries(100, 90), 89)
    assert not may_average("long", entries(100, 90), 90)
    assert not may_average("long", entries(100, 90), 95)
    assert may_average("short", entries(100, 110), 111)
    assert not may_average("short", entries(100, 110), 110)


def test_a_position_without_entries_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one entry"):
        effective_entry([])
    with pytest.raises(ValueError, match="nothing is left"):
        effective_entry(entries(100), [Partial(110, 100, 1)])
    with pytest.raises(ValueError, match="nothing is left"):
        effective_entry(entries(100), [Partial(110, 50, 0)])
