"""The account of a simulated market: ids, positions, reduce-only, parts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.broker.account import Account, Dedupe, Now
from holdfast.errors import Rejected
from holdfast.trading.candle import MINUTE, Candle
from holdfast.trading.order import Order

T0 = 1_700_000_040_000
AT_100 = Now(T0, Candle(T0 - MINUTE, 100, 101, 99, 100, 1), 100.0)


def order(client_id: str = "a", side: Any = "buy", quantity: float = 1.0, **more: Any) -> Order:
    kind: Any = "limit" if "price" in more else "market"
    return Order(client_id=client_id, symbol="X", side=side, type=kind, quantity=quantity, **more)


def candle(minute: int, low: float, high: float) -> Candle:
    return Candle(T0 + minute * MINUTE, high, high, low, low, 1.0)


def test_a_market_order_is_filled_at_once() -> None:
    account = Account()
    state = account.submit(order(), AT_100).state
    assert (state.status, state.fills[0].price, state.fills[0].at, state.fills[0].id) == (
        "filled",
        100.0,
        T0,
        "a-1",
    )
    assert (account.positions, account.open) == ({"X": 1.0}, [])
    assert account.cancel("a", "X") is account.find("a", "X")
    assert (account.find("a", "Y"), account.cancel("b", "X")) == (None, None)


def test_a_limit_order_rests_until_the_market_comes() -> None:
    account = Account()
    assert account.submit(order(price=95.0), AT_100).state.status == "open"
    assert account.match("X", candle(0, 96, 99)) == []
    assert account.match("Y", candle(1, 90, 99)) == []
    (entry,) = account.match("X", candle(1, 94, 99))
    assert (entry.state.status, entry.state.fills[0].price, entry.state.fills[0].at) == (
        "filled",
        95.0,
        T0 + MINUTE,
    )
    assert account.match("X", candle(2, 90, 99)) == []
    assert [e.number for e in account.filled_since(T0 + MINUTE)] == [1]
    assert list(account.filled_since(T0 + 2 * MINUTE)) == []


def test_a_candle_from_before_an_order_does_not_fill_it() -> None:
    account = Account()
    account.submit(order(price=95.0), Now(T0 + 20_000, AT_100.candle, 100.0))
    assert account.match("X", candle(0, 90, 99)) == []
    assert len(account.match("X", candle(1, 90, 99))) == 1


def test_a_cancelled_order_is_final() -> None:
    account = Account()
    account.submit(order(price=95.0), AT_100)
    cancelled = account.cancel("a", "X")
    assert cancelled is not None
    assert (cancelled.state.status, account.open) == ("cancelled", [])
    assert account.match("X", candle(1, 90, 99)) == []


@pytest.mark.parametrize(
    ("dedupe", "again_while_open", "again_when_final"),
    [("open", False, True), ("never", True, True), ("always", False, False)],
)
def test_a_repeated_client_id(dedupe: Dedupe, again_while_open: bool, again_when_final: bool) -> None:
    for price, again in ((95.0, again_while_open), (None, again_when_final)):
        account = Account(dedupe=dedupe)
        one = order(price=price) if price else order()
        account.submit(one, AT_100)
        if again:
            entry = account.submit(one, AT_100)
            assert (account.find("a", "X"), account.repeated()) == (entry, {"a": 2})
            assert {fill.id for fill in entry.state.fills} <= {"a.2-1"}
        else:
            with pytest.raises(Rejected) as caught:
                account.submit(one, AT_100)
            assert (caught.value.reason, len(account.entries), account.repeated()) == ("duplicate", 1, {})


def test_reduce_only_never_opens_enlarges_or_turns_a_position() -> None:
    account = Account()
    for side in ("buy", "sell"):
        with pytest.raises(Rejected) as caught:
            account.submit(order("r", side, reduce_only=True), AT_100)
        assert caught.value.reason == "reduce-only"
    account.submit(order("a", "sell", 2.0), AT_100)
    with pytest.raises(Rejected):
        account.submit(order("r", "sell", reduce_only=True), AT_100)
    state = account.submit(order("r", "buy", 5.0, reduce_only=True), AT_100).state
    assert (state.status, state.quantity, state.filled, account.positions) == ("filled", 2.0, 2.0, {"X": 0.0})


def test_rounding_is_neither_a_position_nor_missing() -> None:
    account = Account()
    for client_id, side, quantity in (("a", "buy", 0.3), ("b", "buy", 0.6), ("c", "sell", 0.3)):
        account.submit(order(client_id, side, quantity), AT_100)
    assert account.positions["X"] < 0.6  # by one bit
    state = account.submit(order("d", "sell", 0.6, reduce_only=True), AT_100).state
    assert (state.filled, account.positions["X"]) == (0.6, 0.0)


def test_a_resting_reduce_only_order_takes_what_is_left() -> None:
    account = Account()
    account.submit(order("a", "buy", 2.0), AT_100)
    account.submit(order("r", "sell", 2.0, price=105.0, reduce_only=True), AT_100, part=0.25)
    account.submit(order("s", "sell", 2.0, price=110.0, reduce_only=True), AT_100)
    (first,) = account.match("X", candle(1, 100, 106))
    assert (first.state.status, first.state.filled, account.positions["X"]) == ("open", 0.5, 1.5)
    account.submit(order("x", "sell", 1.0), AT_100)
    (rest, gone) = account.match("X", candle(2, 100, 111))
    assert (rest.state.status, rest.state.filled, gone.state.status) == ("filled", 1.0, "cancelled")
    assert [fill.id for fill in rest.state.fills] == ["r-1", "r-2"]
    assert (account.positions["X"], account.open) == (0.0, [])


def test_a_part_of_a_market_order() -> None:
    account = Account()
    state = account.submit(order(quantity=2.0), AT_100, part=0.25).state
    assert (state.status, state.filled, account.positions["X"]) == ("cancelled", 0.5, 0.5)


@pytest.mark.parametrize("wrong", [{"quantity": 0.0}, {"quantity": float("nan")}, {"price": -1.0}])
def test_nonsense_is_refused(wrong: dict[str, float]) -> None:
    account = Account()
    with pytest.raises(Rejected):
        account.submit(order(**wrong), AT_100)  # type: ignore[arg-type]  # one of the above
    assert account.entries == {}


@given(st.lists(st.tuples(st.sampled_from(["buy", "sell"]), st.integers(1, 9), st.booleans()), max_size=30))
def test_positions_are_the_sum_of_fills(orders: list[tuple[str, int, bool]]) -> None:
    account, held = Account(), 0
    for number, (side, quantity, reduce_only) in enumerate(orders):
        sign = 1 if side == "buy" else -1
        expected = min(quantity, max(-held * sign, 0)) if reduce_only else quantity
        try:
            account.submit(order(str(number), side, float(quantity), reduce_only=reduce_only), AT_100)
        except Rejected:
            assert expected == 0
        held += sign * expected
        assert account.positions.get("X", 0.0) == held
