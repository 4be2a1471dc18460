"""A run whose seats were taken over is told so by its first commit, whatever else its new owner has changed by then."""

import asyncio

import pytest

from holdfast.errors import LeaseLost
from holdfast.store import Key, Put
from holdfast.store.backends.memory import MemoryStore
from holdfast.store.workers import OWNER, Owner, owner_key
from tests.runtime.world import PATIENCE, World, desk_on, follow, series

RUN = Key("run.scripted", "AAA")


class SharedMemory(MemoryStore):
    """A store that several processes could have open."""

    shared = True


async def take_over(store: MemoryStore) -> None:
    """Do what another process does that has taken the seat, and trades it."""
    [run] = await store.get(RUN)
    assert run is not None
    owner = OWNER.to_document(Owner(worker="another"))
    await store.commit([Put(owner_key(("scripted", "AAA")), owner), Put(RUN, run.value)])


def test_the_first_commit_after_a_takeover_says_so() -> None:
    world, store = World({"AAA": series(100.0)}, warmup=2), SharedMemory()
    desk, asked = desk_on(world, store), []

    async def decide(ctx: object) -> None:
        asked.append(ctx)
        if len(asked) >= 3:  # and it goes on trading: each time this run has caught up, it is behind again
            await take_over(store)

    desk.strategy("scripted", interval="1m", history=10)(decide)
    run = desk.live.run("AAA", patience=PATIENCE, poll=0.01, lease=1e6)
    with pytest.raises(LeaseLost):
        asyncio.run(asyncio.wait_for(follow(run), 200))
    assert len(asked) == 3
