"""A backtest and a paced live run over the same candles: the same events, because both step the same function."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from holdfast.market.csv import read_candles
from holdfast.market.invented import synthetic
from holdfast.market.series import Series
from holdfast.runtime import book
from holdfast.runtime.context import Context
from holdfast.runtime.desk import Desk
from holdfast.trading.events import LIFECYCLE, Happening
from holdfast.trading.inputs import Decide
from holdfast.trading.lifecycle import Step, step
from holdfast.trading.rules import Rules
from holdfast.trading.signal import Cancel, Close, Signal
from tests.runtime.world import World, desk_on, follow

REAL = Path(__file__).parents[3] / "shared" / "data" / "btc-perp-1m-2022-01.csv.gz"


def restless(ctx: Context) -> Signal | None:
    """Trade often, every way there is: at market and resting, long and short, with and without its own size."""
    closes = ctx.candles("1m", 5).close
    longer = ctx.candles("15m", 3)
    count = ctx.state["asked"] = ctx.state.get("asked", 0) + 1
    ctx.state["seen"] = [len(closes), len(longer), float(closes.sum()), float(longer.volume.sum())]
    if count % 5 == 0:
        return None
    side = 1 if closes[-1] >= closes[0] else -1
    entry = ctx.price * (1 - side * 0.0007) if count % 3 == 0 else None
    base = entry or ctx.price
    return Signal(
        side="long" if side > 0 else "short",
        entry_price=entry,
        take_profit=base * (1 + side * 0.005),
        stop_loss=base * (1 - side * (0.005 + 0.001 * (count % 4))),
        time_limit=None if count % 7 == 0 else 5 + count % 40,
        cost=50.0 + count % 90,
    )


def hand(ctx: Context) -> Close | Cancel | None:
    age = (ctx.now - (ctx.signal.decided_at if ctx.signal else 0)) // 60_000
    if ctx.position is None:
        return Cancel() if age == 17 else None
    return Close() if age % 23 == 22 else None


def registered(desk: Desk, model: str, risk: str | None) -> None:
    rules = Rules(fill_model=model, scheduled_minutes=30, max_time_limit=None)  # type: ignore[arg-type]
    desk.strategy("restless", interval="3m", manage=hand, rules=rules, risk=risk, history=120)(restless)


def both(series: dict[str, Series], model: str, positions: int | None) -> tuple[Any, Any]:
    """Return the events of a backtest and of a live run, by symbol, and the profits' sum of each."""
    world = World(series, fill_model=model)
    desk = desk_on(world)
    risk = None if positions is None else "shared"
    if risk is not None:
        desk.add_risk("shared", max_positions=positions, max_cost=220.0)
    registered(desk, model, risk)
    tested = desk.backtest.run(list(series), candles=series).events
    lived = asyncio.run(follow(desk.live.run(list(series), poll=0.01)))
    assert world.doubled == {}
    return by_symbol(tested), by_symbol(lived)


def by_symbol(events: Sequence[Happening]) -> dict[str, list[Happening]]:
    found: dict[str, list[Happening]] = {}
    for event in events:
        if isinstance(event, LIFECYCLE):
            found.setdefault(event.symbol, []).append(event)
    return found


@pytest.mark.parametrize("model", ["touch", "vwap"])
@pytest.mark.parametrize("positions", [None, 2])
def test_backtest_and_live_are_the_same_event_by_event(model: str, positions: int | None) -> None:
    series = {f"S{i}": synthetic(40 + i, 700) for i in range(3)}
    tested, lived = both(series, model, positions)
    assert tested == lived
    kinds = {type(event).__name__ for events in tested.values() for event in events}
    assert {"Decided", "Scheduled", "Opening", "Opened", "Closing", "Closed", "Cancelled"} <= kinds
    assert positions is None or "Rejected" in kinds


def test_strategies_that_share_symbols_are_the_same_too() -> None:
    series = {f"S{i}": synthetic(60 + i, 400) for i in range(2)}
    desk = desk_on(World(series))
    desk.add_risk("shared", max_positions=3)
    registered(desk, "touch", "shared")
    contrary = desk.strategy("contrary", interval="5m", risk="shared", history=120)
    contrary(lambda ctx: restless(ctx) if ctx.now // 300_000 % 3 else None)
    names = ["restless", "contrary"]
    tested = desk.backtest.run(list(series), strategy_name=names, candles=series).events
    lived = asyncio.run(follow(desk.live.run(list(series), strategy_name=names, poll=0.01)))
    assert by_owner(tested) == by_owner(lived)
    assert len(by_owner(tested)) == 4


def by_owner(events: Sequence[Happening]) -> dict[tuple[str, str], list[Happening]]:
    owners = {(event.strategy, event.symbol) for event in events if isinstance(event, LIFECYCLE)}
    return {
        owner: [e for e in events if isinstance(e, LIFECYCLE) and (e.strategy, e.symbol) == owner]
        for owner in owners
    }


@pytest.mark.parametrize("model", ["touch", "vwap"])
def test_backtest_and_live_are_the_same_on_real_candles(model: str) -> None:
    if not REAL.exists():
        pytest.skip("the real candles are not part of the project")
    tested, lived = both({"BTC": read_candles(REAL)[:1_500]}, model, None)
    assert tested == lived
    assert len(tested["BTC"]) > 300


def test_both_live_on_one_stepping_function(monkeypatch: pytest.MonkeyPatch) -> None:
    series = {"A": synthetic(3, 200)}
    world = World(series)
    desk = desk_on(world)
    registered(desk, "touch", None)
    stepped = []

    def counted(*given: Any) -> Step:
        stepped.append(given)
        return step(*given)

    monkeypatch.setattr(book, "step", counted)
    desk.backtest.run("A", candles=series)
    tested = list(stepped)
    stepped.clear()
    asyncio.run(follow(desk.live.run("A", poll=0.01)))
    assert decided(tested) == decided(stepped) > 10


def decided(stepped: list[Any]) -> int:
    return sum(isinstance(given, Decide) for _, given, _ in stepped)


def test_both_break_where_the_stepping_function_does(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Exception):
        pass

    def broken(*_: Any) -> Step:
        raise Broken

    monkeypatch.setattr(book, "step", broken)
    series = {"A": synthetic(3, 200)}
    desk = desk_on(World(series))
    registered(desk, "touch", None)
    with pytest.raises(Broken):
        desk.backtest.run("A", candles=series)
    with pytest.raises(Broken):
        asyncio.run(follow(desk.live.run("A", poll=0.01)))
