"""Strategies that want the same symbol on one account."""

import asyncio

import pytest

from holdfast.errors import LeaseHeld
from holdfast.runtime.desk import Desk
from holdfast.trading.events import LIFECYCLE, Happening, Rejected
from holdfast.trading.signal import Signal
from tests.runtime.world import LONG, PATIENCE, SHORT, World, desk_on, follow, scripted, series

CLOSES = series(100.0, 100.0, 100.0, 100.0, 100.0, 101.0, 102.0, 103.5, 103.5, minutes=20)


def desk_of(world: World, first: dict[int, Signal], second: dict[int, Signal]) -> Desk:
    desk = desk_on(world)
    desk.strategy("first", interval="1m")(scripted(first))
    desk.strategy("second", interval="1m")(scripted(second))
    return desk


def both(
    first: dict[int, Signal], second: dict[int, Signal]
) -> tuple[World, list[Happening], list[Happening]]:
    world = World({"A": CLOSES})
    desk = desk_of(world, first, second)
    run = desk.live.run("A", strategy_name=["first", "second"], poll=0.01, patience=PATIENCE)
    told: list[Happening] = [e for e in asyncio.run(follow(run)) if isinstance(e, LIFECYCLE)]
    result = desk.backtest.run("A", strategy_name=["first", "second"], candles=CLOSES, exchange_name="world")
    return world, told, list(result.events)


def by_strategy(events: list[Happening]) -> dict[str, list[Happening]]:
    return {name: [e for e in events if e.strategy == name] for name in ("first", "second")}


@pytest.mark.parametrize("minute", [3, 4])
def test_the_opposite_side_of_a_held_symbol_is_refused(minute: int) -> None:
    world, told, tested = both({3: LONG}, {minute: SHORT})
    [refused] = [event for event in told if isinstance(event, Rejected)]
    assert (refused.strategy, "first is long" in refused.reason) == ("second", True)
    assert (len(world.orders), world.positions) == (2, {})
    assert by_strategy(told) == by_strategy(tested)


def test_the_same_side_is_held_by_both() -> None:
    world, told, tested = both({3: LONG}, {4: LONG})
    assert not [event for event in told if isinstance(event, Rejected)]
    assert (len(world.orders), world.positions) == (4, {})
    assert by_strategy(told) == by_strategy(tested)


def test_a_symbol_is_traded_by_one_run_of_a_desk() -> None:
    world = World({"A": CLOSES})
    desk = desk_of(world, {3: LONG}, {})
    again: list[str] = []

    async def twice() -> None:
        async for _ in desk.live.run("A", strategy_name="first", poll=0.01, patience=PATIENCE):
            if not again:
                with pytest.raises(LeaseHeld, match="first on A"):
                    await follow(desk.live.run("A", strategy_name="first", poll=0.01))
                again.append("refused")

    asyncio.run(twice())
    assert again == ["refused"]
    assert len(world.orders) == 2
    asyncio.run(follow(desk.live.run("A", strategy_name="first", poll=0.01)))
