"""A part of the state is lost or put back: the symbol halts, and nothing is traded on what is left."""

import asyncio

import pytest

from holdfast.runtime.live.run import LiveRun
from holdfast.store import Append, Delete, Key, Put
from holdfast.store.backends.memory import MemoryStore
from holdfast.trading.events import Happening, Opened, Released, SymbolHalted
from tests.runtime.world import LONG, PATIENCE, World, desk_on, follow, kinds, scripted, series

FLAT = series(100.0, minutes=40)
SIGNAL, RUN = Key("signal.s", "A"), Key("run.s", "A")


def run_of(world: World, store: MemoryStore, *, resume: bool = False, release: bool = False) -> LiveRun:
    desk = desk_on(world, store)
    desk.add_risk("one", max_positions=1)
    desk.strategy("s", interval="1m", risk="one")(scripted({3: LONG, 20: LONG}))
    return desk.live.run("A", poll=0.01, patience=PATIENCE, resume=resume, release=release)


async def opened(world: World, store: MemoryStore) -> None:
    await store.open()
    await follow(run_of(world, store), lambda event: isinstance(event, Opened))
    assert world.positions


async def lose(store: MemoryStore, what: str) -> None:
    """Change a part of the state behind the run's back, as a repair or a restored backup would."""
    if what == "signal":
        await store.commit([Delete(SIGNAL)])
    elif what == "signal is None":
        await store.commit([Put(SIGNAL, None)])
    elif what == "run":
        await store.commit([Delete(RUN)])
    else:
        [run, signal] = await store.get(RUN, SIGNAL)
        assert run is not None
        assert signal is not None
        changed = {**run.value, "history": run.value["history"] - 1} if what == "older run" else run.value
        other = {**signal.value, "id": "0" * 16} if what == "other signal" else signal.value
        await store.commit([Put(RUN, changed), Put(SIGNAL, other)])


async def after(what: str, **options: bool) -> tuple[World, list[Happening], list[Happening], MemoryStore]:
    world, store = World({"A": FLAT}), MemoryStore()
    await opened(world, store)
    await lose(store, what)
    second = await follow(run_of(world, store))
    orders = len(world.orders)
    assert orders == 1
    third = await follow(run_of(world, store, **options))
    return world, second, third, store


@pytest.mark.parametrize("what", ["signal", "signal is None", "run", "older run", "other signal"])
def test_state_that_contradicts_its_history_halts_the_symbol(what: str) -> None:
    world, second, third, _ = asyncio.run(after(what))
    assert any(isinstance(event, SymbolHalted) for event in second)
    assert not set(kinds(second) + kinds(third)) & {"Decided", "Closing", "Opening"}
    assert len(world.orders) == 1


def test_resuming_does_not_lift_a_halt_that_still_has_its_reason() -> None:
    world, _, third, _ = asyncio.run(after("signal", resume=True))
    assert any(isinstance(event, SymbolHalted) for event in third)
    assert len(world.orders) == 1


@pytest.mark.parametrize("what", ["signal", "run"])
def test_a_person_releases_the_symbol_and_it_trades_again(what: str) -> None:
    world, _, third, store = asyncio.run(after(what, release=True))
    assert [type(event) for event in third].count(Released) == 1
    assert "Decided" in kinds(third)
    assert len(world.orders) > 1

    async def fourth() -> list[Happening]:
        return await follow(run_of(world, store))

    assert "SymbolHalted" not in kinds(asyncio.run(fourth()))


@pytest.mark.parametrize("what", ["nothing"])
def test_state_as_it_was_left_is_no_reason_to_halt(what: str) -> None:
    _, second, third, _ = asyncio.run(after(what))
    assert "SymbolHalted" not in kinds(second) + kinds(third)


@pytest.mark.parametrize("which", ["history", "system"])
def test_an_event_that_a_repair_gave_up_is_no_end_of_the_run(which: str) -> None:
    async def scenario() -> tuple[World, list[Happening], list[Happening]]:
        world, store = World({"A": FLAT}), MemoryStore()
        await opened(world, store)
        [run] = await store.get(RUN)
        assert run is not None
        # What is left where an event was: its place, and nothing in it.
        count = {which: run.value[which] + 1}
        await store.commit([Append(f"{which}.s.A", None), Put(RUN, {**run.value, **count})])
        second = await follow(run_of(world, store))
        return world, second, await follow(run_of(world, store, release=True))

    world, second, third = asyncio.run(scenario())
    halted = any(isinstance(event, SymbolHalted) for event in second)
    assert halted == (which == "history")
    assert world.orders[0].side == "buy"
    assert kinds(third)[0] == "Started"
