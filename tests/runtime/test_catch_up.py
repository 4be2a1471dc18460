"""A market that did not wait: what a bot does with the time it was away for."""

import asyncio
from typing import Any

import pytest

from holdfast.runtime.live.run import LiveRun
from holdfast.store.backends.memory import MemoryStore
from holdfast.trading.candle import MINUTE
from holdfast.trading.events import (
    Cancelled,
    Closed,
    Closing,
    DecisionSkipped,
    Happening,
    Opened,
    Scheduled,
    Started,
)
from holdfast.trading.rules import Rules
from holdfast.trading.signal import Signal
from tests.runtime.world import LONG, PATIENCE, RESTING, FastClock, World, desk_on, follow, scripted, series

AWAY = 30
SPEED = 60.0
"""A market minute takes a second of the clock, which costs nothing."""


def world_of(*closes: float, minutes: int = 80) -> World:
    return World({"A": series(*closes, minutes=minutes)}, pace="running", speed=SPEED, clock=FastClock())


def run_of(world: World, store: MemoryStore, signals: dict[int, Signal], **options: Any) -> LiveRun:
    desk = desk_on(world, store)
    desk.strategy("s", interval="5m", **options)(scripted(signals))
    return desk.live.run("A", poll=0.2, patience=PATIENCE)


def away(
    world: World, store: MemoryStore, signals: dict[int, Signal], until: type, **options: Any
) -> list[Happening]:
    """Run until a certain event, be away for half an hour of the market, and return what the next run tells."""
    asyncio.run(follow(run_of(world, store, signals, **options), lambda event: isinstance(event, until)))
    world.clock.passed += AWAY * MINUTE / 1000 / SPEED
    return asyncio.run(follow(run_of(world, store, {}, **options)))


def only(events: list[Happening], kind: type[Any]) -> Any:
    [found] = [event for event in events if isinstance(event, kind)]
    return found


def test_missed_asks_are_skipped_and_counted() -> None:
    world = world_of(100.0)
    told = away(world, MemoryStore(), {}, Started)
    skipped = [event for event in told if isinstance(event, DecisionSkipped)]
    assert AWAY // 5 - 1 <= sum(event.count for event in skipped) <= AWAY // 5 + 2
    assert world.orders == []


def test_a_strategy_is_never_asked_about_the_past() -> None:
    world, store, asked = world_of(100.0), MemoryStore(), []

    def strategy(ctx: Any) -> None:
        asked.append((ctx.now, world.engine.now()))

    def run() -> LiveRun:
        desk = desk_on(world, store)
        desk.strategy("s", interval="1m")(strategy)
        return desk.live.run("A", poll=0.2)

    asyncio.run(follow(run(), lambda event: isinstance(event, Started)))
    world.clock.passed += AWAY * MINUTE / 1000 / SPEED
    asyncio.run(follow(run()))
    assert asked
    assert all(now - MINUTE < at <= now for at, now in asked)


@pytest.mark.parametrize(
    "closes", [(100.0, 100.0, 100.0, *[98.0] * 70), (100.0, *[100.0] * 20, *[96.0] * 60)]
)
def test_a_position_that_should_be_flat_is_closed_once_and_late(closes: tuple[float, ...]) -> None:
    tight = Signal(side="long", take_profit=103.0, stop_loss=97.0, time_limit=9, cost=1_000.0)
    world = world_of(*closes)
    told = away(world, MemoryStore(), {5: tight, 0: tight, 10: tight}, Opened)
    closing, closed = only(told, Closing), only(told, Closed)
    assert closing.late
    assert closed.late
    assert closing.level is None
    assert closed.fills[0].price == pytest.approx(world.engine.tape.recent("A", 1)[-1].close, rel=0.05)
    assert closed.fills[0].at > AWAY * MINUTE
    assert (len(world.orders), world.positions, world.doubled) == (2, {}, {})


def test_a_scheduled_entry_past_its_age_is_cancelled() -> None:
    world = world_of(100.0)
    told = away(world, MemoryStore(), {5: RESTING}, Scheduled, rules=Rules(scheduled_minutes=10))
    assert only(told, Cancelled).reason == "expired"
    assert world.engine.open_orders() == []


def test_a_scheduled_entry_past_its_stop_is_cancelled() -> None:
    jump = Signal(side="long", entry_price=99.0, take_profit=102.0, stop_loss=98.4, cost=500.0)
    candles = series(*[100.0] * 12, *[99.5] * 60, minutes=80)
    world = World({"A": candles}, pace="running", speed=SPEED, clock=FastClock())
    told = away(world, MemoryStore(), {5: jump}, Scheduled, rules=Rules(scheduled_minutes=20))
    assert only(told, Cancelled).reason == "expired"


def test_an_entry_that_filled_meanwhile_is_adopted_and_watched() -> None:
    world = world_of(*[100.0] * 12, *[98.8] * 4, *[100.0] * 10, *[102.5] * 50)
    told = away(world, MemoryStore(), {5: RESTING}, Scheduled)
    opened, closed = only(told, Opened), only(told, Closed)
    assert opened.price == pytest.approx(99.0, rel=0.01)
    assert closed.at >= opened.opened_at
    assert (len(world.orders), world.positions, world.doubled) == (2, {}, {})


def test_an_entry_that_was_never_sent_is_not_sent_into_another_market() -> None:
    world, store = world_of(100.0), MemoryStore()

    class Gone(BaseException):
        pass

    def hook(kind: str, when: str) -> None:
        if kind == "submit":
            raise Gone

    world.hook = hook
    with pytest.raises(Gone):
        asyncio.run(run_of(world, store, {5: LONG, 0: LONG}).trade(lambda events: None))
    world.hook = lambda kind, when: None
    world.clock.passed += AWAY * MINUTE / 1000 / SPEED
    told = asyncio.run(follow(run_of(world, store, {})))
    assert [
        type(event).__name__ for event in told if "market has moved on" in getattr(event, "reason", "")
    ] == ["Rejected"]
    assert world.orders == []
