"""A store that fails at any commit: nothing is acted on that is not committed, and no order is sent twice."""

import asyncio
from typing import Any

import pytest

from holdfast.errors import Conflict, HoldfastError, StoreFull, Unavailable
from holdfast.runtime.live.run import LiveRun
from holdfast.store.backends.memory import MemoryStore
from holdfast.store.backends.network import REPEAT
from holdfast.trading.events import LIFECYCLE, Opened, StoreRecovered, StoreUnavailable
from tests.runtime.world import LONG, PATIENCE, RESTING, World, desk_on, follow, scripted, series

RISES = series(100.0, 100.0, 100.0, 99.5, 98.8, 99.5, 101.5, 102.5, 103.5, 103.0)
COMMITS = 23


class Failing(MemoryStore):
    """Fails at the nth commit, `times` in a row: before it has happened, or after it ("unknown")."""

    def __init__(
        self, nth: int, when: str, *, times: int = 1, error: type[HoldfastError] = Unavailable
    ) -> None:
        super().__init__()
        self.nth, self.when, self.times, self.error, self.seen = nth, when, times, error, 0
        self.raised: HoldfastError | None = None

    async def commit(self, changes: Any, *, commit_id: Any = None, vital: bool = False) -> str:
        self.seen += 1
        fails = self.nth <= self.seen < self.nth + self.times
        if fails and self.when == "before":
            raise self.raised or self.error("no", unknown=False)
        done = await super().commit(changes, commit_id=commit_id, vital=vital)
        if fails:
            raise self.error("perhaps", unknown=True)
        return done


def run_of(world: World, store: MemoryStore) -> LiveRun:
    desk = desk_on(world, store)
    desk.add_risk("one", max_positions=1)
    desk.strategy("s", interval="1m", risk="one")(scripted({2: RESTING, 12: LONG}))
    return desk.live.run("A", poll=0.01, patience=PATIENCE)


async def history(store: MemoryStore) -> list[Any]:
    return await stream(store, "history.s.A")


async def stream(store: MemoryStore, name: str) -> list[Any]:
    await store.open()
    return [event.value async for event in store.read(name)]


@pytest.fixture(scope="module")
def expected() -> tuple[int, list[Any]]:
    world, store = World({"A": RISES}), Failing(0, "before")
    asyncio.run(follow(run_of(world, store)))
    assert store.seen >= COMMITS
    return len(world.orders), asyncio.run(history(store))


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_store_that_fails_once_at_any_commit_changes_nothing(
    expected: tuple[int, list[Any]], when: str
) -> None:
    for nth in range(1, COMMITS + 1):
        world, store = World({"A": RISES}), Failing(nth, when)
        told = asyncio.run(follow(run_of(world, store)))
        assert (len(world.orders), asyncio.run(history(store))) == expected, nth
        assert world.doubled == {}
        assert sum(isinstance(event, StoreUnavailable) for event in told) == 1


def test_a_conflict_at_any_commit_is_decided_anew(expected: tuple[int, list[Any]]) -> None:
    for nth in range(4, COMMITS):
        world, store = World({"A": RISES}), Failing(nth, "before", error=Conflict)
        asyncio.run(follow(run_of(world, store)))
        assert (len(world.orders), asyncio.run(history(store))) == expected, nth
        assert world.doubled == {}


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_store_that_stays_away_ends_the_run_and_the_next_one_goes_on(
    expected: tuple[int, list[Any]], when: str
) -> None:
    for nth in range(2, COMMITS, 3):
        world, store = World({"A": RISES}), Failing(nth, when, times=1_000)
        with pytest.raises(Unavailable):
            asyncio.run(follow(run_of(world, store)))
        store.times = 0
        asyncio.run(follow(run_of(world, store)))
        assert (len(world.orders), asyncio.run(history(store))) == expected, nth
        assert world.doubled == {}


def test_nothing_is_told_that_is_not_committed() -> None:
    for nth in range(2, COMMITS):
        world, store = World({"A": RISES}), Failing(nth, "before", times=1_000)
        told: list[Any] = []

        async def story(run: LiveRun, told: list[Any] = told) -> None:
            async for event in run:
                told.append(event)

        with pytest.raises(Unavailable):
            asyncio.run(story(run_of(world, store)))
        kept = asyncio.run(history(store))
        assert sum(isinstance(event, LIFECYCLE) for event in told) == len(kept)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Unavailable("gone" + REPEAT, unknown=True), "gone; asking again"),
        (Unavailable("gone", unknown=False), "gone; asking again"),
        (StoreFull("no room"), "no room; asking again"),
    ],
)
def test_an_outage_is_told_when_it_is_over_and_stands_in_the_system_stream(
    expected: tuple[int, list[Any]], error: HoldfastError, said: str
) -> None:
    # Past the start, where also a full disk is waited for.
    world, store = World({"A": RISES}), Failing(7, "before", times=3)
    store.raised = error
    told = asyncio.run(follow(run_of(world, store)))
    away = [event for event in told if isinstance(event, StoreUnavailable)]
    assert {event.error for event in away} == {said}
    [back] = [event for event in told if isinstance(event, StoreRecovered)]
    assert told.index(back) > told.index(away[-1])
    assert back.seconds > 0
    assert back.error == said.partition(";")[0]
    kept = asyncio.run(stream(store, "system.s.A"))
    assert [one["seconds"] for one in kept if one["type"] == "StoreRecovered"] == [back.seconds]
    assert (len(world.orders), asyncio.run(history(store))) == expected, "the history knows nothing of it"


def test_what_is_told_of_an_outage_is_stored_once_though_its_commit_is_made_anew(
    expected: tuple[int, list[Any]],
) -> None:
    class Harder(Failing):
        async def commit(self, changes: Any, *, commit_id: Any = None, vital: bool = False) -> str:
            if self.seen == 9:  # the one that has the outage with it
                self.seen += 1
                raise Conflict("somebody else")
            return await super().commit(changes, commit_id=commit_id, vital=vital)

    world, store = World({"A": RISES}), Harder(8, "before")
    asyncio.run(follow(run_of(world, store)))
    kept = asyncio.run(stream(store, "system.s.A"))
    assert sum(one["type"] == "StoreRecovered" for one in kept) == 1
    assert (len(world.orders), asyncio.run(history(store))) == expected


def test_a_conflict_at_any_commit_of_a_start_that_flattens_is_decided_anew() -> None:
    """Another process of the namespace changes the risk profile's positions meanwhile, as it may at any time."""
    for nth in range(1, 6):
        world, store = World({"A": RISES}), Failing(0, "before", error=Conflict)
        asyncio.run(follow(run_of(world, store), lambda event: isinstance(event, Opened)))
        desk = desk_on(world, store)
        desk.add_risk("one", max_positions=1)
        desk.strategy("other", interval="1m", risk="one")(scripted({}))
        store.nth = store.seen + nth
        asyncio.run(follow(desk.live.run("A", poll=0.01, patience=PATIENCE, policy="flatten")))
        assert store.seen >= store.nth
        assert (world.positions, world.doubled) == ({}, {}), nth
        kept = asyncio.run(history(store))
        assert [one["reason"] for one in kept if one["type"] == "Closed"] == ["flatten"], nth
