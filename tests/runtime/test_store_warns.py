"""What comes to weaken a store's promise while a run goes on, and what its copies lack at the end, is told."""

import asyncio
from collections.abc import Callable
from typing import Any

from holdfast.errors import Unavailable
from holdfast.runtime.live.run import LiveRun
from holdfast.store import Store, open_store, replicated
from holdfast.store.backends.memory import MemoryStore
from holdfast.trading.events import Started, StoreUnavailable, StoreWarned
from tests.runtime.world import PATIENCE, World, desk_on, follow, scripted, series
from tests.store.wrappers.replicas import Down, write

FLAT = series(*[100.0] * 10)


class Weather(MemoryStore):
    """Warns of what it is told to, from a number of commits on."""

    def __init__(self, warnings: dict[int, tuple[str, ...]], behind: Any = ()) -> None:
        super().__init__()
        self.plan, self.lacking, self.commits = warnings, behind, 0

    async def commit(self, changes: Any, *, commit_id: Any = None, vital: bool = False) -> str:
        self.commits += 1
        self.warnings = self.plan.get(self.commits, self.warnings)
        return await super().commit(changes, commit_id=commit_id, vital=vital)

    async def behind(self) -> tuple[str, ...]:
        if isinstance(self.lacking, Exception):
            raise self.lacking
        return tuple(self.lacking)


def run_of(store: Store, world: World | None = None) -> LiveRun:
    desk = desk_on(world or World({"A": FLAT}), store)
    desk.strategy("s", interval="1m")(scripted({}))
    return desk.live.run("A", poll=0.01, patience=PATIENCE)


def warned(store: Store) -> list[tuple[str, bool]]:
    told = asyncio.run(follow(run_of(store)))
    return [(event.warning, event.over) for event in told if isinstance(event, StoreWarned)]


def test_a_change_is_told_once() -> None:
    one, other = "Replica a: away", "disk: slow"
    plan: dict[int, tuple[str, ...]] = {4: (one,), 6: (one, other), 8: ("Replica a: refuses", other), 10: ()}
    assert warned(Weather(plan)) == [
        (one, False),
        (other, False),
        ("Replica a: refuses", False),
        ("Replica a: refuses", True),
        (other, True),
    ]


def test_what_the_start_has_told_is_not_told_again() -> None:
    store = Weather({1: ("disk: slow",)})
    told = asyncio.run(follow(run_of(store)))
    [started] = [event for event in told if isinstance(event, Started)]
    assert "disk: slow" in started.warnings
    assert not [event for event in told if isinstance(event, StoreWarned)]


def test_the_end_tells_what_copies_lack() -> None:
    assert warned(Weather({}, ["a is behind"])) == [("a is behind", False)]


def test_a_store_that_is_gone_at_the_end_does_not_spoil_it() -> None:
    told = asyncio.run(follow(run_of(Weather({}, Unavailable("gone")))))
    assert isinstance(told[-1], StoreUnavailable)
    assert told[-1].error == "gone"


def test_a_replica_that_is_away_is_named_at_the_start_and_at_the_end() -> None:
    async def story() -> list[Any]:
        away = Down(open_store("memory:"))
        away.down = True
        return await follow(run_of(replicated(open_store("memory:"), [away])))

    told = asyncio.run(story())
    [started] = [event for event in told if isinstance(event, Started)]
    assert [warning for warning in started.warnings if "does not follow" in warning and "down" in warning]
    [last] = [event.warning for event in told if isinstance(event, StoreWarned)]
    assert "Replica memory: is behind by " in last
    assert "down" in last


def test_a_replica_that_follows_is_not_spoken_of() -> None:
    async def story() -> list[Any]:
        return await follow(run_of(replicated(open_store("memory:"), [open_store("memory:")])))

    told = asyncio.run(story())
    assert not [event for event in told if isinstance(event, StoreWarned)]
    [started] = [event for event in told if isinstance(event, Started)]
    assert not any("does not follow" in warning for warning in started.warnings)


def test_a_replica_that_goes_and_comes_back() -> None:
    def follows() -> bool:
        return not any("does not follow" in warning for warning in store.warnings)

    async def until(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(100):
            while not condition():  # noqa: ASYNC110  # what follows has no event for it
                await asyncio.sleep(0.01)

    async def story() -> None:
        async with store:
            await write(store, 3)
            assert await store.caught_up()
            assert (follows(), await store.behind()) == (True, ())
            other.down = True
            await write(store, 7)
            await until(lambda: not follows())
            [said] = await store.behind()
            assert said.startswith("Replica memory: is behind by 7 commits")
            other.down = False
            await until(follows)
            assert await store.caught_up()
            assert await store.behind() == ()

    other = Down(open_store("memory:"))
    store = replicated(open_store("memory:"), [other], poll=0.02)
    asyncio.run(story())


def test_where_an_exchange_cannot_refuse_what_a_hung_process_sends_a_shared_store_says_so() -> None:
    for shared, expiry, named in ((True, None, True), (False, None, False), (True, 5.0, False)):
        world, store = World({"A": FLAT}), MemoryStore()
        world.request_expiry, store.shared = expiry, shared
        told = asyncio.run(follow(run_of(store, world)))
        [started] = [event for event in told if isinstance(event, Started)]
        assert any("takes over from one that hangs" in warning for warning in started.warnings) is named
