"""A run that is to wait for another process waits, says for whom, and goes on when it is its turn."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import LeaseHeld, StoreInUse
from holdfast.runtime.live.run import LiveRun
from holdfast.store import open_store
from holdfast.store.lease import Lease
from holdfast.system import SystemClock, SystemProcesses, system_ids
from holdfast.trading.events import Started, Stopped, Waiting
from tests.runtime.world import PATIENCE, World, desk_on, follow, scripted, series

FLAT = series(*[100.0] * 10)
LIMIT = 100.0


def run_of(store: str, **options: Any) -> LiveRun:
    # On the clock of this machine: two runs wait for each other.
    world = World({"A": FLAT})
    desk = desk_on(world, store)
    desk.clock = SystemClock()
    desk.strategy("s", interval="1m")(scripted({}))
    return desk.live.run("A", poll=0.01, patience=PATIENCE, **options)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(LIMIT):
        while not condition():  # noqa: ASYNC110  # it looks at a list that grows
            await asyncio.sleep(0.01)


def to_its_end(story: Callable[[Path], Coroutine[Any, Any, None]]) -> Callable[[Path], None]:
    """Return a test of a coroutine."""

    @wraps(story)
    def test(tmp_path: Path) -> None:
        asyncio.run(story(tmp_path))

    return test


@asynccontextmanager
async def waiting(store: str, told: list[Any]) -> AsyncIterator[tuple[LiveRun, "asyncio.Task[None]"]]:
    """A run that is to wait, as a task."""
    run = run_of(store, wait=True)
    task = asyncio.create_task(run.trade(told.extend))
    try:
        yield run, task
    finally:
        run.detach()
        await asyncio.wait([task])


@to_its_end
async def test_files_are_waited_for(tmp_path: Path) -> None:
    url, told = f"file:{tmp_path}/state", list[Any]()
    async with open_store(url):
        with pytest.raises(StoreInUse, match=r"this process has the store in .* open already"):
            await follow(run_of(url))
        async with waiting(url, told) as (_, task):
            await until(lambda: told)
            await asyncio.sleep(1.1)  # it looks again meanwhile, and has told already
            [only] = told
            assert isinstance(only, Waiting)
            assert (only.strategy, only.symbol, only.number) == ("s", "A", 0)
            assert f"process {os.getpid()} on " in only.reason
            assert "(since 2" in only.reason
            assert not task.done()


@to_its_end
async def test_who_waited_for_files_trades_when_they_are_free(tmp_path: Path) -> None:
    url, told = f"file:{tmp_path}/state", list[Any]()
    holder = open_store(url)
    await holder.open()
    async with waiting(url, told) as (_, task):
        await until(lambda: told)
        await holder.close()
        async with asyncio.timeout(LIMIT):
            await task
    assert [type(event) for event in told[:2]] == [Waiting, Started]
    assert isinstance(told[-1], Stopped)


@to_its_end
async def test_who_waits_for_files_can_be_let_go_of(tmp_path: Path) -> None:
    url, told = f"file:{tmp_path}/state", list[Any]()
    async with open_store(url), waiting(url, told) as (run, task):
        await until(lambda: told)
        run.detach()
        async with asyncio.timeout(LIMIT):
            await task
        assert [type(event) for event in told] == [Waiting]


@to_its_end
async def test_a_lease_is_waited_for_and_it_is_said_who_has_it_since_when(tmp_path: Path) -> None:
    url, told = f"sqlite:///{tmp_path}/state.db", list[Any]()
    async with open_store(url) as store:
        lease = Lease(store, clock=SystemClock(), ids=system_ids, processes=SystemProcesses(), seconds=4.0)
        async with lease:
            await lease.take([("s", "A")])
            with pytest.raises(LeaseHeld, match=rf"process {os.getpid()} on .* \(since 2.* UTC\), which is"):
                await follow(run_of(url))
            async with waiting(url, told) as (_, task):
                await until(lambda: told and told[-1].reason.startswith("waiting for process"))
                assert all(f"process {os.getpid()} on " in event.reason for event in told)
                assert all("(since 2" in event.reason for event in told)
                await lease.__aexit__()
                async with asyncio.timeout(LIMIT):
                    await task
    assert any(isinstance(event, Started) for event in told)
    assert sum(isinstance(event, Waiting) for event in told) <= 2, "each is told once"
