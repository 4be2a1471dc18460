"""Whatever is interrupted between an intent and its outcome: its order is at the exchange once."""

import asyncio
from collections.abc import Callable

import pytest

from holdfast.errors import Halted, StoreFull, Unavailable, Unknown
from holdfast.runtime.desk import Desk
from holdfast.runtime.live.run import LiveRun
from holdfast.store.backends.memory import MemoryStore
from holdfast.trading.events import Closed, Closing, Opened, SymbolHalted
from tests.runtime.world import (
    LONG,
    PATIENCE,
    RESTING,
    SHORT,
    World,
    desk_on,
    follow,
    kinds,
    once,
    scripted,
    series,
)

FLAT = series(100.0)
RISES = series(100.0, 100.0, 100.0, 100.5, 101.5, 102.5, 103.5, 103.0)


def long_on(world: World, store: MemoryStore | None = None) -> Desk:
    desk = desk_on(world, store)
    desk.strategy("s", interval="1m")(scripted({3: LONG}))
    return desk


def run_of(desk: Desk, **options: object) -> LiveRun:
    return desk.live.run("A", poll=0.01, patience=PATIENCE, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_answer_that_is_lost_is_asked_for(when: str, nth: int) -> None:
    world = World({"A": RISES})
    world.hook = once("submit", when, Unknown("cut"), nth=nth)
    events = asyncio.run(follow(run_of(long_on(world))))
    assert (len(world.orders), world.doubled, world.positions) == (2, {}, {})
    assert kinds(events)[-2:] == ["Closed", "Stopped"]


@pytest.mark.parametrize("kind", ["lookup", "time", "now"])
@pytest.mark.parametrize("times", [1, 3])
def test_an_exchange_that_is_away_while_an_order_is_settled_is_asked_again(kind: str, times: int) -> None:
    world = World({"A": RISES})
    lost = once("submit", "before", Unknown("cut"))
    away = once(kind, "before", Unavailable("away") if kind == "now" else Unknown("away"), times=times)

    def hook(asked: str, when: str) -> None:
        lost(asked, when)
        if "submit" in world.asked:
            away(asked, when)

    world.hook = hook
    events = asyncio.run(follow(run_of(long_on(world))))
    assert (len(world.orders), world.doubled) == (2, {})
    assert kinds(events)[-1] == "Stopped"


def test_an_exchange_that_stays_away_halts_the_symbol_and_resuming_looks_first() -> None:
    world, store = World({"A": RISES}), MemoryStore()
    silent = True

    def hook(asked: str, when: str) -> None:
        if silent and asked in ("submit", "lookup") and (asked, when) != ("submit", "before"):
            raise Unknown("silent")

    world.hook = hook
    desk = long_on(world, store)

    async def story() -> list[str]:
        nonlocal silent
        run = run_of(desk)
        async for event in run:
            if isinstance(event, SymbolHalted):
                with pytest.raises(Halted):
                    await run.close("A")
                silent = False
                await run.resume()
        return []

    asyncio.run(story())
    assert (len(world.orders), world.doubled, world.positions) == (2, {}, {})


def test_a_caller_who_gives_up_on_a_close_has_not_sent_it_twice() -> None:
    world = World({"A": FLAT})
    desk = long_on(world)
    hanging: asyncio.Task[bool] | None = None

    async def story() -> None:
        nonlocal hanging
        run = run_of(desk)

        def hook(asked: str, when: str) -> None:
            if asked == "submit" and when == "after" and hanging is not None:
                hanging.cancel()  # the order is executed, and nobody waits for its answer any more

        world.hook = hook
        async for event in run:
            if isinstance(event, Opened):
                hanging = asyncio.create_task(run.close("A"))

    asyncio.run(story())
    assert hanging is not None
    assert hanging.cancelled()
    assert (len(world.orders), world.doubled, world.positions) == (2, {}, {})


class FullStore(MemoryStore):
    """A store whose disk is full for the nth vital commit and those after it, until it is told otherwise."""

    def __init__(self, nth: int, times: int) -> None:
        super().__init__()
        self.nth, self.times, self.seen = nth, times, 0

    async def commit(self, changes, *, commit_id=None, vital=False):  # type: ignore[no-untyped-def]
        self.seen += vital
        if vital and self.nth <= self.seen < self.nth + self.times:
            raise StoreFull("no room")
        return await super().commit(changes, commit_id=commit_id, vital=vital)


@pytest.mark.parametrize("nth", range(2, 8))
def test_a_full_disk_after_an_order_was_sent_does_not_send_it_again(nth: int) -> None:
    world = World({"A": RISES})
    asyncio.run(follow(run_of(long_on(world, FullStore(nth, 3)))))
    assert (len(world.orders), world.doubled, world.positions) == (2, {}, {})


def test_a_close_that_is_asked_for_after_a_full_disk_does_not_send_the_entry_again() -> None:
    world = World({"A": FLAT})
    store = FullStore(2, 1)  # the outcome of the entry
    desk = long_on(world, store)

    async def story() -> None:
        run = run_of(desk)
        asked = False
        async for _event in run:
            if store.seen >= 2 and not asked:
                asked = True
                await run.close("A")

    asyncio.run(story())
    assert (world.doubled, world.positions) == ({}, {})


def test_half_an_answer_is_asked_for_again() -> None:
    world = World({"A": RISES})
    told = world.engine.submit

    def submit(order, **options):  # type: ignore[no-untyped-def]
        state = told(order, **options)
        return type(state)(
            **{name: getattr(state, name) for name in state.__struct_fields__ if name != "fills"}
        )

    world.engine.submit = submit  # type: ignore[method-assign]
    events = asyncio.run(follow(run_of(long_on(world))))
    assert (len(world.orders), world.doubled) == (2, {})
    assert kinds(events)[-2:] == ["Closed", "Stopped"]


@pytest.mark.parametrize(("client_ids", "expiry"), [("none", 5.0), ("open_only", None)])
def test_where_not_found_is_never_final_the_symbol_halts_by_name(
    client_ids: str, expiry: float | None
) -> None:
    world = World({"A": RISES}, request_expiry=expiry)
    world.client_ids, world.request_expiry = client_ids, expiry  # type: ignore[assignment]
    world.hook = once("submit", "before", Unknown("cut"))
    events = asyncio.run(follow(run_of(long_on(world))))
    [halted] = [event for event in events if isinstance(event, SymbolHalted)]
    assert "look for it there" in halted.reason
    assert world.orders == []


@pytest.mark.parametrize(("client_ids", "expiry"), [("none", 5.0), ("open_only", None)])
def test_an_order_that_is_found_is_adopted_whatever_the_rules(client_ids: str, expiry: float | None) -> None:
    world = World({"A": RISES}, request_expiry=expiry)
    world.client_ids, world.request_expiry = client_ids, expiry  # type: ignore[assignment]
    world.hook = once("submit", "after", Unknown("cut"))
    events = asyncio.run(follow(run_of(long_on(world))))
    assert (len(world.orders), world.doubled, kinds(events)[-2]) == (2, {}, "Closed")


@pytest.mark.parametrize(("signal", "orders"), [(LONG, 2), (SHORT, 2), (RESTING, 1)])
def test_a_run_that_is_let_go_between_intent_and_outcome_is_taken_up(signal: object, orders: int) -> None:
    """The task of a run is cancelled at each instant of a request, as when its event loop ends."""
    for kind, when in [("submit", "before"), ("submit", "after"), ("candles", "after")]:
        for nth in (1, 2, 5):
            world, store = World({"A": RISES}), MemoryStore()
            desk = desk_on(world, store)
            desk.strategy("s", interval="1m")(scripted({3: signal}))  # type: ignore[dict-item]
            asyncio.run(_cancelled(desk, world, kind, when, nth))
            world.hook = lambda asked, instant: None
            asyncio.run(follow(run_of(desk)))
            assert (len(world.orders), world.doubled) == (orders, {}), (kind, when, nth)


async def _cancelled(desk: Desk, world: World, kind: str, when: str, nth: int) -> None:
    stop: Callable[[], object] = lambda: None  # noqa: E731

    def hook(asked: str, instant: str) -> None:
        try:
            trigger(asked, instant)
        except Unknown:
            stop()

    trigger = once(kind, when, Unknown("here"), nth=nth)
    world.hook = hook
    task = asyncio.create_task(run_of(desk).trade(lambda events: None))
    stop = task.cancel
    await asyncio.wait([task])


def test_events_are_told_in_the_order_of_the_market() -> None:
    world = World({"A": RISES})
    events = asyncio.run(follow(run_of(long_on(world))))
    [opened] = [event for event in events if isinstance(event, Opened)]
    [closing] = [event for event in events if isinstance(event, Closing)]
    [closed] = [event for event in events if isinstance(event, Closed)]
    assert opened.at < closing.at <= closed.at
