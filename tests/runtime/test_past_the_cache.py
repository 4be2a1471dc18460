"""A cache remembers what another process has long changed: no decision of a run rests on it."""

import asyncio
from typing import Any

import pytest

from holdfast.store import Key, Store, cached
from holdfast.store.backends.memory import MemoryStore
from holdfast.store.wrappers.cached import Cached
from holdfast.trading.events import Closed, Happening, Opened
from tests.runtime.world import LONG, PATIENCE, FastClock, World, desk_on, follow, kinds, scripted, series

RISING = series(*[100.0] * 10, *[100.0 + i for i in range(1, 6)], minutes=30)
SEAT = [Key(f"{domain}.s", "A") for domain in ("run", "signal", "schedule", "state")]
RISK = Key("risk.one", "positions")


class ReadThrough(Cached):
    """Control: a cache that a run cannot read past."""

    @property
    def uncached(self) -> Store:
        return self


def run_on(world: World, store: Store) -> Any:
    desk = desk_on(world, store)
    desk.add_risk("one", max_positions=1)
    desk.strategy("s", interval="1m", risk="one")(scripted({3: LONG}))
    return desk.live.run("A", poll=0.01, patience=PATIENCE)


async def taken_up(kind: type[Cached]) -> tuple[list[Happening], World, Cached]:
    """Have one process open a position, and another one go on whose cache remembers that there was nothing."""
    clock = FastClock()
    world, theirs = World({"A": RISING}, clock=clock), MemoryStore(clock=clock)
    await theirs.open()
    ours = kind(theirs, size=1_000, max_age=1e9, clock=clock)
    await ours.open()
    assert await ours.get(*SEAT, RISK) == [None] * 5
    await ours.get(*SEAT)
    await follow(run_on(world, theirs), lambda event: isinstance(event, Opened))
    assert await ours.get(*SEAT) == [None] * 4, "the cache is as stale as it can be"
    ours.hits = 0
    return await follow(run_on(world, ours)), world, ours


def test_a_stale_record_never_reaches_a_decision() -> None:
    events, world, store = asyncio.run(taken_up(Cached))
    assert store.hits == 0
    assert "SymbolHalted" not in kinds(events)
    assert [event for event in events if isinstance(event, Closed)]
    assert world.positions == {}
    assert len(world.orders) == 2


def test_a_stale_record_never_reaches_a_decision_control() -> None:
    """A run that reads through the cache is seen to; only the expectations of its commits save it then."""
    _, _, store = asyncio.run(taken_up(ReadThrough))
    assert store.hits > 0


@pytest.mark.parametrize("compose", [cached, lambda store: cached(cached(store))])
def test_a_run_on_a_cached_store_is_one_without(compose: Any) -> None:
    told = []
    for wrap in (lambda store: store, compose):
        clock = FastClock()
        world = World({"A": RISING}, clock=clock)
        events = asyncio.run(follow(run_on(world, wrap(MemoryStore(clock=clock)))))
        told.append((kinds(events), len(world.orders), world.positions))
    assert told[0] == told[1]
    assert "Closed" in told[0][0]
