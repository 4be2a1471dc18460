"""The lifecycle, one story a test: what becomes of a signal, and what must never become of it."""

from typing import Any

import pytest
from msgspec.structs import replace

from holdfast.trading.candle import MINUTE
from holdfast.trading.events import Closed, Closing, Opened
from holdfast.trading.ids import client_prefix, operation_id, signal_id
from holdfast.trading.inputs import Input
from holdfast.trading.lifecycle import MAX_EXIT_FAILURES, step
from holdfast.trading.pnl import pnl
from holdfast.trading.rules import Rules
from holdfast.trading.signal import Intent
from tests.trading.builders import (
    ORIGIN,
    T0,
    TOUCH,
    VWAP,
    Life,
    candle,
    decide,
    fill,
    flat,
    long,
    request,
    short,
    tick,
    told,
)

UP, DOWN = candle(0, 100, 111, 99, 110), candle(0, 100, 101, 94, 95)


def changes_nothing(life: Life, given: Input) -> bool:
    """Tell it, and say whether it was as if nothing had been told."""
    before, events = life.row, len(life.events)
    life.give(given)
    return life.row is before and len(life.events) == events


# ---------------------------------------------------------------- decisions


def test_a_market_entry() -> None:
    life = Life()
    life.give(decide(long(note="why")))
    row, order = life.alive, life.order
    assert (row.status, row.id, row.quantity, row.note) == (
        "opening",
        signal_id("default", "my-strategy", "BTC/USDT", T0),
        1.0,
        "why",
    )
    assert order.client_id == operation_id("default", "my-strategy", "BTC/USDT", T0, 1)
    assert order.client_id.startswith(client_prefix("default", "my-strategy"))
    assert (order.side, order.type, order.trigger, order.reduce_only) == ("buy", "market", None, False)
    assert row.entry.status == "new"
    assert life.kinds == ["Decided", "Opening"]
    assert (life.events[1].client_id, life.events[1].price, life.events[1].quantity) == (
        order.client_id,
        100.0,
        1.0,
    )


def test_a_resting_entry() -> None:
    life = Life()
    life.give(decide(short(entry_price=102.0)))
    order = life.order
    assert (order.side, order.type, order.price, order.stop_loss) == ("sell", "limit", 102.0, 105.0)
    assert life.kinds == ["Decided", "Scheduled"]
    life.give(told(order, "open"))
    assert (life.alive.status, life.alive.intent, life.alive.entry.status) == ("scheduled", None, "open")


@pytest.mark.parametrize(("rules", "trigger", "price"), [(TOUCH, None, 99.0), (VWAP, "entry", 100.0)])
def test_an_entry_price_that_the_market_has_reached(rules: Rules, trigger: str | None, price: float) -> None:
    life = Life(rules)
    life.give(decide(long(entry_price=100.0), price=99.0))
    assert (life.order.type, life.order.trigger, life.alive.status) == ("market", trigger, "opening")
    assert life.events[1].price == price


def test_a_refused_decision_leaves_no_row() -> None:
    life = Life()
    life.give(decide(long(), refusal="risk house: full"))
    assert life.row is None
    assert life.kinds == ["Decided", "Rejected"]
    assert life.events[1].reason == "risk house: full"
    assert life.events[0].signal_id == life.events[1].signal_id


def test_no_second_decision_while_one_is_alive() -> None:
    with pytest.raises(ValueError, match=r"while signal .* is open"):
        Life().open().give(decide(long()))


@pytest.mark.parametrize("given", [tick(flat(0)), request(), told(Life().open().alive.entry, "filled")])
def test_nothing_becomes_of_nothing(given: Input) -> None:
    assert step(None, given, TOUCH).row is None
    assert step(None, given, TOUCH).events == ()


# ---------------------------------------------------------------- opening


def test_a_fill_opens() -> None:
    life = Life()
    life.give(decide(long(quantity=3.0)))
    order = life.order
    life.give(told(order, "filled", fill(100.0, 1.0, T0 + 5, "a"), fill(103.0, 2.0, T0 + 6, "b")))
    row, event = life.alive, life.events[-1]
    assert (row.status, row.intent, row.held, row.opened_at) == ("open", None, 3.0, T0 + 5)
    assert isinstance(event, Opened)
    assert (event.price, event.quantity, event.opened_at, len(event.fills)) == (102.0, 3.0, T0 + 5, 2)


@pytest.mark.parametrize("status", ["rejected", "cancelled"])
def test_an_entry_that_comes_to_nothing_is_rejected(status: str) -> None:
    life = Life()
    life.give(decide(long()))
    life.give(told(life.order, status, reason="no money" if status == "rejected" else ""))
    assert life.row is None
    assert life.kinds[-1] == "Rejected"
    assert life.events[-1].reason in ("no money", "the exchange says cancelled, with nothing filled")


def test_a_part_filled_before_the_cancel_is_a_position() -> None:
    life = Life()
    life.give(decide(long()))
    life.give(told(life.order, "cancelled", fill(100.0, 0.4)))
    assert (life.alive.status, life.alive.held) == ("open", 0.4)


def test_filled_without_fills_is_half_an_answer() -> None:
    life = Life()
    life.give(decide(long()))
    order = life.order
    assert changes_nothing(life, told(order, "filled"))
    life.give(told(order, "filled", fill(100.0, 1.0)))
    assert life.alive.status == "open"


def test_a_fill_of_nothing_is_no_fill() -> None:
    life = Life()
    life.give(decide(long()))
    life.give(told(life.order, "cancelled", fill(100.0, 0.0)))
    assert life.kinds[-1] == "Rejected"


def test_an_unknown_answer_settles_nothing() -> None:
    life = Life()
    life.give(decide(long(entry_price=98.0)))
    assert changes_nothing(life, told(life.order, "new"))
    life = Life()
    life.give(decide(long()))
    intent = life.alive.intent
    life.give(told(life.order, "open"))  # a market order that is accepted, and not yet filled
    assert (life.alive.status, life.alive.intent) == ("opening", intent)
    assert changes_nothing(life, tick(UP))


def test_a_market_order_filled_in_part_stays_under_way() -> None:
    life = Life()
    life.give(decide(long()))
    order = life.order
    life.give(told(order, "open", fill(100.0, 0.4, id="a")))
    assert (life.alive.status, life.alive.held) == ("open", 0.4)
    assert life.alive.intent is not None
    assert changes_nothing(life, tick(DOWN))  # no exit while the entry may still grow
    life.give(told(order, "filled", fill(100.0, 0.4, id="a"), fill(100.0, 0.6, id="b")))
    assert life.row is not None
    assert life.row.intent is None
    assert life.row.held == 1.0
    assert life.kinds.count("Opened") == 1


# ---------------------------------------------------------------- a resting entry


def test_a_resting_entry_fills() -> None:
    life = Life().schedule()
    life.give(told(life.alive.entry, "filled", fill(98.0, 1.0, T0 + MINUTE), at=T0 + 2 * MINUTE))
    assert (life.alive.status, life.alive.opened_at, life.alive.watch_from) == (
        "open",
        T0 + MINUTE,
        T0 + 2 * MINUTE,
    )


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (tick(candle(0, 99, 99, 95, 99)), "stop_loss"),
        (tick(flat(119)), "expired"),
        (request(), "user"),
        (request("cancel"), "user"),
        (request(reason="flatten"), "flatten"),
    ],
)
def test_a_resting_entry_is_given_up(given: Input, reason: str) -> None:
    life = Life().schedule()
    resting = life.alive.entry
    life.give(tick(flat(0)), tick(flat(118)))
    assert life.alive.intent is None
    life.give(given)
    assert life.alive.intent == Intent(kind="cancel", client_id=resting.client_id, at=given.at)
    assert life.alive.status == "scheduled"  # until the exchange says so
    assert changes_nothing(life, told(resting, "open"))
    life.give(told(resting, "cancelled"))
    assert life.row is None
    assert (life.kinds, life.events[-1].reason) == (["Decided", "Scheduled", "Cancelled"], reason)


def test_what_happened_before_the_decision_gives_nothing_up() -> None:
    life = Life()
    life.give(decide(long(entry_price=98.0), at=T0 + 30_000))
    life.give(told(life.order, "open"))
    assert changes_nothing(life, tick(candle(0, 100, 100, 90, 100)))
    life.give(tick(candle(1, 100, 100, 90, 100)))
    assert life.alive.cancel_reason == "stop_loss"


def test_a_cancel_that_loses_to_a_fill_leaves_a_position() -> None:
    life = Life().schedule()
    life.give(tick(flat(119)))
    life.give(told(life.alive.entry, "filled", fill(98.0, 1.0)))
    assert (life.alive.status, life.alive.intent, life.alive.held) == ("open", None, 1.0)
    assert life.kinds == ["Decided", "Scheduled", "Opened"]


def test_a_wish_to_be_flat_does_not_lose_to_a_fill() -> None:
    life = Life().schedule()
    life.give(request(reason="flatten"))
    life.give(told(life.alive.entry, "filled", fill(98.0, 1.0)))
    assert life.kinds[-2:] == ["Opened", "Closing"]
    assert (life.alive.status, life.alive.close_reason, life.order.quantity) == ("closing", "flatten", 1.0)


def test_a_wish_waits_for_the_answer_that_is_under_way() -> None:
    life = Life()
    life.give(decide(long()))
    order = life.order
    life.give(request())
    assert (life.alive.status, life.alive.close_reason) == ("opening", "user")
    assert changes_nothing(life, request())
    life.give(told(order, "filled", fill(100.0, 1.0)))
    assert life.kinds == ["Decided", "Opening", "Opened", "Closing"]

    life = Life()
    life.give(decide(long(entry_price=98.0)))
    order = life.order
    life.give(request("cancel"))
    life.give(told(order, "open"))
    assert life.alive.intent == Intent(kind="cancel", client_id=order.client_id, at=T0)


def test_a_cancel_is_nothing_to_a_position() -> None:
    assert changes_nothing(Life().open(), request("cancel"))
    life = Life()
    life.give(decide(long()))
    assert changes_nothing(life, request("cancel"))


def test_a_resting_entry_that_the_exchange_cancels_or_rejects() -> None:
    life = Life().schedule()
    life.give(told(life.alive.entry, "cancelled"))
    assert (life.kinds[-1], life.events[-1].reason) == ("Cancelled", "cancelled at the exchange")
    life = Life().schedule()
    life.give(told(life.alive.entry, "rejected", reason="self-trade"))
    assert (life.kinds[-1], life.events[-1].reason) == ("Rejected", "self-trade")


# ---------------------------------------------------------------- an entry filled in part


def in_part() -> Life:
    life = Life().schedule()
    return_to = life.alive.entry
    life.give(told(return_to, "open", fill(98.0, 0.4, T0, "a")))
    assert (life.alive.status, life.alive.held, life.alive.entry.final) == ("open", 0.4, False)
    return life


def test_the_rest_may_still_fill() -> None:
    life = in_part()
    life.give(told(life.alive.entry, "filled", fill(98.0, 0.4, T0, "a"), fill(98.0, 0.6, T0 + MINUTE, "b")))
    assert (life.alive.held, life.alive.opened_at, life.kinds.count("Opened")) == (1.0, T0, 1)


def test_the_rest_is_given_up_in_time() -> None:
    life = in_part()
    life.give(tick(flat(118)))
    assert life.alive.intent is None
    life.give(tick(flat(119)))
    assert life.alive.intent is not None
    assert (life.alive.status, life.alive.intent.kind) == ("open", "cancel")
    life.give(told(life.alive.entry, "cancelled", fill(98.0, 0.5, T0, "a")))
    assert (life.alive.status, life.alive.intent, life.alive.held) == ("open", None, 0.5)


def test_the_rest_is_cancelled_before_the_exit() -> None:
    life = in_part()
    entry = life.alive.entry
    life.give(tick(candle(1, 100, 111, 99, 110)))
    row = life.alive
    assert row.intent is not None
    assert (row.status, row.intent.kind, row.exits) == ("closing", "cancel", ())
    assert changes_nothing(life, tick(candle(2, 100, 111, 99, 110)))
    # The cancel races a further fill: the exit is for all of it, still at the level that caused it.
    life.give(told(entry, "cancelled", fill(98.0, 0.4, T0, "a"), fill(98.0, 0.3, T0, "b")))
    assert (life.order.quantity, life.order.trigger, life.order.trigger_price) == (0.7, "take_profit", 110.0)
    life.give(told(life.order, "filled", fill(110.0, 0.7)))
    assert life.row is None
    assert life.kinds == ["Decided", "Scheduled", "Opened", "Closing", "Closed"]


def test_a_part_filled_while_the_cancel_is_under_way() -> None:
    life = Life().schedule()
    entry = life.alive.entry
    life.give(tick(flat(119)))
    life.give(told(entry, "open", fill(98.0, 0.4, id="a")))
    row = life.alive
    assert row.intent is not None
    assert (row.status, row.intent.kind) == ("open", "cancel")
    life.give(told(entry, "cancelled", fill(98.0, 0.4, id="a")))
    assert (life.alive.status, life.alive.intent, life.alive.held) == ("open", None, 0.4)


# ---------------------------------------------------------------- closing


@pytest.mark.parametrize(
    ("given", "reason", "level"),
    [
        (tick(UP), "take_profit", 110.0),
        (tick(DOWN), "stop_loss", 95.0),
        (tick(candle(0, 100, 120, 90, 100)), "stop_loss", 95.0),  # spans both
        (tick(flat(1439)), "time_limit", None),
        (request(), "user", None),
        (request(reason="flatten"), "flatten", None),
    ],
)
def test_a_position_is_closed(given: Any, reason: str, level: float | None) -> None:
    life = Life().open()
    life.give(given)
    row, order = life.alive, life.order
    assert (row.status, row.close_reason, row.steps) == ("closing", reason, 2)
    assert (order.side, order.type, order.quantity, order.reduce_only) == ("sell", "market", 1.0, True)
    assert (order.trigger, order.trigger_price) == (reason if level else None, level)
    assert order.client_id == operation_id("default", "my-strategy", "BTC/USDT", T0, 2)
    life.give(told(order, "filled", fill(104.0, 1.0, T0 + 9)))
    assert life.row is None
    assert life.kinds == ["Decided", "Opening", "Opened", "Closing", "Closed"]
    closing, closed = life.events[-2:]
    assert isinstance(closing, Closing)
    assert isinstance(closed, Closed)
    assert (closing.reason, closing.level, closing.quantity) == (reason, level, 1.0)
    assert (closed.reason, closed.entry_price, closed.price, closed.quantity) == (reason, 100.0, 104.0, 1.0)
    assert closed.pnl_percent == pnl("long", 100, 104, TOUCH)
    assert closed.pnl_cost == pytest.approx(closed.pnl_percent)
    assert closed.orders == (order.client_id,)


def test_a_short_is_bought_back() -> None:
    life = Life().open(short())
    life.give(tick(candle(0, 100, 101, 89, 90)))
    assert (life.order.side, life.order.trigger, life.order.trigger_price) == ("buy", "take_profit", 90.0)
    life.give(told(life.order, "filled", fill(90.0, 1.0)))
    assert life.events[-1].pnl_percent == pnl("short", 100, 90, TOUCH)


def test_a_late_exit_is_at_the_market_and_says_so() -> None:
    life = Life().open()
    life.give(tick(DOWN, late=True))
    assert (life.order.trigger, life.order.trigger_price) == (None, None)
    life.give(told(life.order, "filled", fill(80.0, 1.0)))
    assert [event.late for event in life.events[-2:]] == [True, True]
    assert life.events[-2].level == 95.0
    assert life.events[-1].price == 80.0


def test_candles_from_before_the_opening_say_nothing() -> None:
    life = Life().open()
    assert changes_nothing(life, tick(candle(-1, 100, 120, 80, 100), late=True))
    assert changes_nothing(life, tick(flat(0), late=True))


def test_candles_with_gaps_between_them() -> None:
    life = Life().open(long(time_limit=10))
    life.give(tick(flat(3)))
    life.give(
        tick(candle(60, 120, 121, 119, 120))
    )  # an hour is missing, and the market has moved over the level
    assert life.alive.close_reason == "take_profit"
    life = Life().open(long(time_limit=10))
    life.give(tick(flat(60)))
    assert life.alive.close_reason == "time_limit"


def test_nothing_new_is_begun_while_an_exit_has_no_outcome() -> None:
    life = Life().open()
    life.give(tick(UP))
    assert changes_nothing(life, tick(DOWN))
    assert changes_nothing(life, request())
    assert changes_nothing(life, request("cancel"))
    life.give(told(life.order, "open"))
    assert life.order.client_id == life.alive.exits[0].client_id


def test_an_exit_filled_in_part_is_followed_by_one_for_the_rest() -> None:
    life = Life().open(quantity=0.3)
    life.give(tick(UP))
    first = life.order
    life.give(told(first, "cancelled", fill(110.0, 0.1, id="a")))
    assert (life.alive.status, life.alive.intent, life.alive.held) == ("closing", None, 0.2)
    life.give(tick(flat(1)))
    second = life.order
    assert second.client_id != first.client_id
    assert (second.quantity, second.trigger) == (0.2, None)  # not at the level any more
    life.give(told(second, "filled", fill(100.0, 0.2, id="b")))
    closed = life.events[-1]
    assert life.kinds[-2:] == ["Closing", "Closed"]
    assert closed.price == pytest.approx((110 * 0.1 + 100 * 0.2) / 0.3)
    assert closed.orders == (first.client_id, second.client_id)
    assert len(closed.fills) == 2


def test_held_has_no_binary_dust() -> None:
    life = Life().open(quantity=0.3)
    life.give(tick(UP))
    life.give(told(life.order, "cancelled", fill(110.0, 0.1, id="a"), fill(110.0, 0.1, id="b")))
    life.give(tick(flat(1)))
    assert life.order.quantity == 0.1  # 0.3 - 0.1 - 0.1 is 0.09999999999999998 in binary
    life.give(told(life.order, "filled", fill(110.0, 0.1, id="c")))
    assert life.row is None


def test_what_an_exchange_rounds_away_is_no_position() -> None:
    life = Life().open()
    life.give(tick(UP))
    life.give(told(life.order, "filled", fill(110.0, 1.0 - 1e-12)))
    assert life.row is None
    assert life.halt == ""


def test_an_exit_that_sold_more_than_was_held_halts() -> None:
    life = Life().open()
    life.give(tick(UP))
    life.give(told(life.order, "filled", fill(110.0, 1.5)))
    assert life.row is None
    assert "0.5 more than was held" in life.halt


# ---------------------------------------------------------------- exits that are refused


def refuse(life: Life, minute: int) -> None:
    life.give(told(life.order, "rejected", reason="margin"))
    assert (life.alive.status, life.alive.intent) == ("closing", None)
    life.give(tick(flat(minute)))


def test_exits_refused_too_often_halt() -> None:
    life = Life().open()
    life.give(tick(UP))
    ids = [life.order.client_id]
    for minute in range(1, MAX_EXIT_FAILURES):
        refuse(life, minute)
        assert life.halt == ""
        ids.append(life.order.client_id)
    refuse(life, MAX_EXIT_FAILURES)
    assert life.alive.intent is None
    assert (
        life.halt == "the exchange refused 5 exits in a row of long 1.0 BTC/USDT (margin): close it by hand"
    )
    assert len(set(ids)) == MAX_EXIT_FAILURES
    # Whoever lifts the halt wants it tried again.
    life.give(tick(flat(9)))
    assert life.halt == ""
    assert life.order.client_id not in ids


def test_a_part_filled_starts_the_count_anew() -> None:
    life = Life().open()
    life.give(tick(UP))
    for minute in range(1, MAX_EXIT_FAILURES):
        refuse(life, minute)
    life.give(told(life.order, "cancelled", fill(110.0, 0.5)))
    assert life.alive.failures == 0


def test_asked_to_close_again_it_tries_at_once() -> None:
    life = Life().open()
    life.give(tick(UP))
    life.give(told(life.order, "rejected"))
    assert changes_nothing(life, request("cancel"))
    life.give(request())
    assert life.order.quantity == 1.0
    assert life.kinds.count("Closing") == 1


# ---------------------------------------------------------------- words twice, late, and of others


def test_an_order_of_somebody_else_says_nothing() -> None:
    life = Life().open()
    other = replace(life.alive.entry, client_id="hf-other")
    assert changes_nothing(life, told(other, "filled", fill(1.0, 1.0)))


def test_a_final_word_is_never_taken_back() -> None:
    life = Life().open()
    entry = life.alive.entry
    for late in (told(entry, "open"), told(entry, "new"), told(entry, "cancelled"), told(entry, "rejected")):
        assert changes_nothing(life, late)


def test_a_fill_that_was_seen_stays() -> None:
    life = in_part()
    entry = life.alive.entry
    assert changes_nothing(life, told(entry, "open"))
    life.give(told(entry, "cancelled"))  # an answer that lags behind the fills
    assert (life.alive.status, life.alive.held, life.alive.entry.status) == ("open", 0.4, "cancelled")


def test_a_fill_that_is_listed_after_the_final_word_counts() -> None:
    life = Life()
    life.give(decide(long()))
    order = life.order
    life.give(told(order, "cancelled", fill(100.0, 0.4, id="a")))
    life.give(told(order, "cancelled", fill(100.0, 0.4, id="a"), fill(100.0, 0.1, id="b")))
    assert life.alive.held == 0.5
    life.give(tick(UP))
    assert life.order.quantity == 0.5


def test_an_exchange_without_fill_ids_tells_one_fill_that_grows() -> None:
    life = in_part()
    entry = life.alive.entry
    life.give(told(entry, "open", fill(98.5, 0.6, T0, "a")))
    assert (life.alive.held, life.alive.entry.fills[0].price) == (0.6, 98.5)
    assert changes_nothing(life, told(entry, "open", fill(98.0, 0.4, T0, "a")))


def test_what_an_exchange_makes_of_our_order_is_not_taken_over() -> None:
    life = Life()
    life.give(decide(long()))
    theirs = replace(life.alive.entry, price=0.0, quantity=0.999, symbol="BTCUSDT")
    life.give(told(theirs, "filled", fill(100.0, 0.999)))
    assert (life.alive.entry.price, life.alive.entry.quantity, life.alive.entry.symbol) == (
        None,
        1.0,
        "BTC/USDT",
    )
    assert life.alive.held == 0.999


def test_a_late_word_on_an_earlier_exit_counts() -> None:
    life = Life().open()
    life.give(tick(UP))
    first = life.order
    life.give(told(first, "cancelled"))
    life.give(tick(flat(1)))
    second = life.order
    life.give(told(first, "cancelled", fill(110.0, 0.4, id="a")))
    assert (life.alive.held, life.order) == (0.6, second)
    life.give(told(second, "filled", fill(100.0, 0.6, id="b")))
    assert life.row is None
    assert life.halt == ""


def test_ids_of_two_decisions_differ() -> None:
    ids = {
        operation_id(ORIGIN.namespace, ORIGIN.strategy, s, at, n)
        for s in "ab"
        for at in (1, 11)
        for n in (1, 11)
    }
    assert len(ids) == 8
    assert all(len(i) == 33 and set(i) <= set("hf-0123456789abcde") for i in ids)
