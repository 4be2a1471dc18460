"""A store that has lost acknowledged commits (a failover, a restored backup) halts what rests on it."""

import asyncio
from copy import deepcopy
from typing import Any

import pytest

from holdfast.errors import WentBack
from holdfast.runtime.live.run import LiveRun
from holdfast.store.backends.memory import MemoryStore
from tests.runtime.world import LONG, PATIENCE, World, desk_on, follow, scripted, series

RISES = series(100, 100, 100, 100, 101, 102, 104, 104, minutes=30)


class Forgetful(MemoryStore):
    """Forgets its last `lost` commits instead of making the nth one, as a replica does that takes over."""

    def __init__(self, nth: int, lost: int) -> None:
        super().__init__()
        self.nth, self.lost = nth, lost
        self.states: list[Any] = []
        self.gone = False

    async def open(self) -> None:
        self.gone = False
        await super().open()

    async def commit(self, changes: Any, *, commit_id: Any = None, vital: bool = False) -> str:
        self.states.append(deepcopy((self._table, self._streams, self._recent, self.head)))
        if len(self.states) == self.nth:
            self._table, self._streams, self._recent, self.head = self.states[-1 - self.lost]
            self.gone = True
        if self.gone:
            raise WentBack("the store has lost acknowledged commits", known=9, found=7)
        return await super().commit(changes, commit_id=commit_id, vital=vital)


def run_of(world: World, store: MemoryStore) -> LiveRun:
    desk = desk_on(world, store)
    desk.strategy("s", interval="1m")(scripted({2: LONG, 12: LONG}))
    return desk.live.run("A", poll=0.01, patience=PATIENCE)


async def halted(store: MemoryStore) -> list[str]:
    async with store:
        return [record.value.get("halted", "") async for record in store.scan("run.s")]


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_every_symbol_is_halted_and_nothing_is_sent_again(lost: int) -> None:
    for nth in range(6, 14):
        world, store = World({"A": RISES}), Forgetful(nth, lost)
        with pytest.raises(WentBack):
            asyncio.run(run_of(world, store).trade(lambda events: None))
        [reason] = asyncio.run(halted(store))
        assert "has lost acknowledged commits" in reason
        sent = len(world.orders)
        asyncio.run(follow(run_of(world, store)))
        assert (len(world.orders), world.doubled) == (sent, {})


def test_control_a_store_that_keeps_everything_is_traded_on() -> None:
    world, store = World({"A": RISES}), Forgetful(0, 0)
    asyncio.run(follow(run_of(world, store)))
    assert asyncio.run(halted(store)) == [""]
    assert len(world.orders) == 2  # in and out
