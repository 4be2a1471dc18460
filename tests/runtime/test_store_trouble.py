"""A store that fails at any commit: nothing is acted on that is not committed, and no order is sent twice."""

import asyncio
from typing import Any

import pytest

from holdfast.errors import Conflict, HoldfastError, Unavailable
from holdfast.runtime.live.run import LiveRun
from holdfast.store.backends.memory import MemoryStore
from holdfast.trading.events import LIFECYCLE, StoreUnavailable
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

    async def commit(self, changes: Any, *, commit_id: Any = None, vital: bool = False) -> str:
        self.seen += 1
        fails = self.nth <= self.seen < self.nth + self.times
        if fails and self.when == "before":
            raise self.error("no", unknown=False)
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
    await store.open()
    return [event.value async for event in store.read("history.s.A")]


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
