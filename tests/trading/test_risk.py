"""Risk profiles: places are limited, counted once, and given back."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.trading.risk import Position, Positions, RiskProfile, RiskView, admit, position_key, release

EMPTY = Positions()
OPEN = RiskProfile(name="house")


def place(strategy: str = "a", symbol: str = "BTC/USDT", cost: float = 100.0, signal: str = "1") -> Position:
    return Position(
        strategy=strategy, symbol=symbol, side="long", cost=cost, quantity=1.0, since=0, signal_id=signal
    )


def test_a_place_is_taken_and_given_back() -> None:
    one, refusal = admit(OPEN, EMPTY, place())
    assert refusal == ""
    assert one.entries == {"a/BTC/USDT": place()}
    assert EMPTY.entries == {}
    assert release(one, "a", "BTC/USDT") == EMPTY
    assert release(one, "a", "ETH/USDT") == one


def test_the_same_signal_has_one_place() -> None:
    one, _ = admit(OPEN, EMPTY, place())
    assert admit(RiskProfile(name="house", max_positions=1), one, place()) == (one, "")
    again, refusal = admit(OPEN, one, place(signal="2"))
    assert again is one
    assert "held by signal 1" in refusal


def test_limits() -> None:
    profile = RiskProfile(name="house", max_positions=2, max_cost=250.0)
    one, _ = admit(profile, EMPTY, place("a"))
    same, refusal = admit(profile, one, place("b", cost=150.01))
    assert same is one
    assert refusal == "risk house: the positions would cost 250.01, max_cost is 250"
    two, refusal = admit(profile, one, place("b", cost=150.0))
    assert refusal == ""
    assert admit(profile, two, place("c"))[1] == "risk house: 2 positions are held, max_positions is 2"
    assert admit(profile, one, place("b", cost=float("nan")))[1]


def test_validations_see_the_places_in_order() -> None:
    seen: list[RiskView] = []
    profile = RiskProfile(name="house", validations=(seen.append,))
    positions = EMPTY
    for name in "cab":
        positions, _ = admit(profile, positions, place(name))
    assert [p.strategy for p in seen[-1].positions] == ["a", "c"]
    assert seen[-1].wanted == place("b")
    assert list(positions.entries) == sorted(positions.entries)


def _raises(view: RiskView) -> None:
    raise RuntimeError("no longs today")


def _silent(view: RiskView) -> None:
    raise KeyError


@pytest.mark.parametrize(
    ("validation", "refusal"),
    [
        (lambda view: None, ""),
        (lambda view: True, ""),
        (lambda view: "", ""),
        (lambda view: "too many", "risk house: <lambda>: too many"),
        (lambda view: False, "risk house: <lambda> said no"),
        (_raises, "risk house: _raises: no longs today"),
        (_silent, "risk house: _silent: KeyError"),
        (lambda view: np.float64(1) < 2, ""),
        (lambda view: np.float64(1) > 2, "risk house: <lambda> said no"),
        (lambda view: [], "risk house: <lambda>: []"),  # nonsense is no yes
    ],
)
def test_what_a_validation_may_answer(validation: Any, refusal: str) -> None:
    profile = RiskProfile(name="house", validations=(lambda view: True, validation))
    positions, found = admit(profile, EMPTY, place())
    assert found.startswith(refusal)
    assert bool(found) is bool(refusal)
    assert bool(positions.entries) is not bool(refusal)


NAMES = st.text("ab/%2F", min_size=1, max_size=6)


@given(one=st.tuples(NAMES, NAMES), other=st.tuples(NAMES, NAMES))
def test_no_two_pairs_share_a_place(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (position_key(*one) == position_key(*other)) is (one == other)


@given(order=st.permutations("abcd"), costs=st.lists(st.floats(0.1, 1e6), min_size=4, max_size=4))
def test_the_order_of_arrival_leaves_no_trace(order: list[str], costs: list[float]) -> None:
    places = {name: place(name, cost=cost) for name, cost in zip("abcd", costs, strict=True)}

    def filled(names: Any) -> Positions:
        positions = EMPTY
        for name in names:
            positions, _ = admit(OPEN, positions, places[name])
        return positions

    assert filled(order) == filled("abcd")
    assert msgspec.json.encode(filled(order)) == msgspec.json.encode(filled("abcd"))
    limit = RiskProfile(name="house", max_cost=sum(costs))
    assert admit(limit, filled(order), place("e"))[1] == admit(limit, filled("abcd"), place("e"))[1]
    assert msgspec.json.decode(msgspec.json.encode(filled(order)), type=Positions) == filled("abcd")
