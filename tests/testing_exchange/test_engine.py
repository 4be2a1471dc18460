"""The simulated exchange without its network: its two clocks, its fills, its refusals."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.broker import PaperBroker
from holdfast.errors import InvalidOption, MarketEnded, Rejected, Unknown
from holdfast.market import Market, ReplayExchange
from holdfast.store.backends.memory import MemoryStore
from holdfast.testing.exchange import Engine, Options
from holdfast.trading.candle import MINUTE
from holdfast.trading.order import Order
from tests.testing_exchange.builders import SERIES, T0, ManualClock, engine, order


def test_a_paced_market_moves_when_it_is_asked_beyond_its_last_candle() -> None:
    sim, clock = engine(warmup=3), ManualClock()
    assert (sim.waits, sim.now()) == (True, T0 + 3 * MINUTE)
    clock.seconds += 3_600
    assert sim.candles("X", "1m", T0, 100) == list(SERIES[:3])
    assert sim.candles("X", "3m", T0 + 3 * MINUTE, 1) == []
    assert sim.now() == T0 + 3 * MINUTE
    for _ in range(3):  # asked again, the same candle moves nothing
        assert sim.candles("X", "1m", T0 + 3 * MINUTE, 1) == [SERIES[3]]
        assert sim.now() == T0 + 4 * MINUTE
    with pytest.raises(MarketEnded):
        sim.candles("X", "1m", T0 + 9 * MINUTE, 1)
    assert sim.now() == T0 + 4 * MINUTE


def test_a_running_market_moves_with_its_clock() -> None:
    clock = ManualClock()
    sim = engine(clock, pace="running", speed=60.0)
    assert (sim.waits, sim.now()) == (False, T0 + MINUTE)
    assert sim.candles("X", "1m", T0 + MINUTE, 10) == []
    clock.seconds += 0.5
    assert sim.now() == T0 + MINUTE + 30_000
    clock.seconds += 2
    assert sim.candles("X", "1m", T0 + MINUTE, 10) == list(SERIES[1:3])
    clock.seconds += 3_600
    assert sim.now() == T0 + 9 * MINUTE
    assert sim.candles("X", "1m", T0 + 8 * MINUTE, 10) == [SERIES[8]]
    with pytest.raises(MarketEnded):
        sim.candles("X", "1m", T0 + 9 * MINUTE, 1)


def test_a_resting_order_is_filled_before_its_candle_is_seen() -> None:
    sim = engine()
    assert sim.submit(order(price=96.0)).status == "open"
    sim.candles("X", "1m", T0 + 3 * MINUTE, 1)
    assert [state.client_id for state in sim.open_orders()] == ["a"]
    sim.candles("X", "1m", T0 + 4 * MINUTE, 1)
    assert (sim.open_orders(), sim.positions()) == ([], {"X": 1.0})
    (filled,) = sim.fills(T0 + 4 * MINUTE)
    assert (filled.fills[0].price, filled.fills[0].at) == (95.0, T0 + 4 * MINUTE)
    assert sim.fills(T0 + 5 * MINUTE) == []
    assert sim.lookup("a", "X") == sim.cancel("a", "X") == filled


def test_a_running_market_fills_no_order_with_a_candle_from_before_it() -> None:
    clock = ManualClock()
    sim = engine(clock, pace="running", speed=60.0, warmup=4)
    clock.seconds += 0.25
    sim.submit(order(price=96.0))  # the candle that forms now touches 95
    clock.seconds += 1
    assert len(sim.open_orders()) == 1
    clock.seconds += 1
    assert [state.fills[0].price for state in sim.fills(0)] == [90.0]


def test_levels_count_only_where_the_market_waits() -> None:
    stop = order("s", "sell", reduce_only=True, trigger="stop_loss", trigger_price=94.7)
    for pace, price in (("paced", 94.7), ("running", 95.0)):
        sim = engine(pace=pace, warmup=5)
        sim.submit(order())
        assert sim.submit(stop).fills[0].price == price


def test_the_wall_clock_is_what_requests_expire_by() -> None:
    clock = ManualClock()
    sim = engine(clock, wall_offset=500)
    assert sim.wall() == clock.now() + 500
    sim.submit(order("a"), expires_at=sim.wall())
    clock.seconds += 0.002
    with pytest.raises(Rejected) as caught:
        sim.submit(order("b"), expires_at=sim.wall() - 1)
    assert (caught.value.reason, len(sim.orders()), sim.refused) == ("expired", 1, {"expired": 1})
    engine(clock, request_expiry=None).submit(order(), expires_at=1)


def test_what_the_market_does_not_take() -> None:
    market = Market(symbol="X", quantity_step=0.1, min_quantity=0.5)
    sim = Engine({"X": SERIES}, Options(), clock=ManualClock(), markets={"X": market})
    assert sim.market("X") == market
    for quantity in (0.25, 0.4, float("nan")):
        with pytest.raises(Rejected) as caught:
            sim.submit(order(quantity=quantity))
        assert caught.value.reason == "quantity"
    sim.submit(order(quantity=0.7))
    sim.submit(order("b", "sell", 0.3, reduce_only=True))  # an exit may be small
    with pytest.raises(InvalidOption):
        sim.candles("Y", "1m", T0, 1)
    for speed in (0.0, float("inf")):
        with pytest.raises(InvalidOption, match="speed"):
            Options(pace="running", speed=speed)


Action = tuple[str, str, float, float]
actions = st.lists(
    st.tuples(
        st.sampled_from(["buy", "sell", "reduce", "cancel", "wait"]),
        st.sampled_from(["a", "b", "c", "d", "e", "f", "g"]),
        st.sampled_from([0.0, 92.0, 96.5, 98.0, 103.0, 108.0]),
        st.sampled_from([0.5, 1.0, 2.0]),
    ),
    max_size=25,
)


def wanted(action: Action) -> Order:
    kind, client_id, price, quantity = action
    more = {"price": price} if price else {}
    return order(
        client_id, "buy" if kind == "buy" else "sell", quantity, reduce_only=kind == "reduce", **more
    )


def on_the_exchange(done: list[Action], model: Any) -> list[Any]:
    sim = engine(dedupe="always", fill_model=model)
    for action in done:
        if action[0] == "wait":
            with suppress(MarketEnded):
                sim.candles("X", "1m", sim.now(), 1)
        elif action[0] == "cancel":
            sim.cancel(action[1], "X")
        else:
            with suppress(Rejected):
                sim.submit(wanted(action))
    return [sim.fills(0), sim.open_orders(), sim.positions()]


async def on_paper(done: list[Action], model: Any) -> list[Any]:
    store, market = MemoryStore(), ReplayExchange("replay", {"X": SERIES})
    await store.open()
    for action in done:
        broker = PaperBroker(store, market, fill_model=model)  # a new process for every step
        if action[0] == "wait":
            with suppress(MarketEnded):
                await market.candles("X", "1m", await market.now(), 1)
        elif action[0] == "cancel":
            await broker.cancel(action[1], symbol="X")
        else:
            with suppress(Rejected, Unknown):
                await broker.submit(wanted(action))
    broker = PaperBroker(store, market, fill_model=model)
    return [await broker.fills(0), await broker.open_orders(), await broker.positions()]


@given(actions, st.sampled_from(["touch", "vwap"]))
def test_an_order_means_the_same_on_paper(done: list[Action], model: str) -> None:
    assert on_the_exchange(done, model) == asyncio.run(on_paper(done, model))
