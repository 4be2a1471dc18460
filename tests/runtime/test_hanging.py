"""A strategy that does not answer in time: told, left alone, asked again later; and its position is watched."""

import asyncio
import subprocess
import sys
import threading
from typing import Any

import pytest

from holdfast.runtime.calls import Absence, GuardedCaller, Hung
from holdfast.trading.candle import MINUTE
from holdfast.trading.events import Closed, Opened, StrategyFailed
from tests.runtime.world import LONG, World, desk_on, follow, minute, series

RISES = series(100.0, 100.0, 100.0, 100.5, 101.5, 102.5, 103.5, 103.0)

STANDS_STILL = """
import asyncio, os, signal, subprocess, sys
from holdfast.runtime import calls

calls.SLICES = int(sys.argv[1])
wakes = "sleep 2.5; kill -CONT $0"

def standing_still(_):
    with subprocess.Popen(["sh", "-c", wakes, str(os.getpid())], start_new_session=True) as alarm:
        os.kill(os.getpid(), signal.SIGSTOP)
        return alarm.wait()

async def call():
    try:
        print(await calls.GuardedCaller()(standing_still, None, limit=2.0))
    except calls.Hung:
        print("hung")

asyncio.run(call())
"""
"""A process that is stopped, as by a suspended machine, for longer than a call may take, while it makes one."""


@pytest.mark.parametrize("is_async", [False, True])
def test_the_position_of_one_that_hangs_is_watched(is_async: bool) -> None:
    asked, release = [], threading.Event()

    def hanging(ctx: Any) -> None:
        asked.append(ctx.now)
        release.wait(250)

    async def hanging_async(ctx: Any) -> None:
        asked.append(ctx.now)
        while not release.is_set():
            try:
                await asyncio.sleep(250)
            except asyncio.CancelledError:
                continue  # it does not let itself be cancelled either

    async def strategy(ctx: Any) -> Any:  # on the loop it answers in time, whatever else this machine does
        return LONG if minute(ctx.now) == 3 else None

    world = World({"A": RISES})
    desk = desk_on(world)
    manage = hanging_async if is_async else hanging
    desk.strategy("s", interval="1m", manage=manage, timeout=0.05)(strategy)

    async def followed() -> list[Any]:
        try:
            return await follow(desk.live.run("A", poll=0.01))
        finally:
            release.set()

    events = asyncio.run(followed())
    assert len(asked) == 1  # it is still out
    assert [type(e) for e in events if isinstance(e, Opened | Closed)] == [Opened, Closed]
    [failed] = [event for event in events if isinstance(event, StrategyFailed)]
    assert "hangs" in failed.error
    assert world.positions == {}


def test_one_that_hangs_and_comes_back_is_asked_again_ever_later() -> None:
    asked = []

    async def hanging(ctx: Any) -> None:
        asked.append(minute(ctx.now))
        await asyncio.Event().wait()

    async def strategy(ctx: Any) -> Any:
        return LONG if minute(ctx.now) == 3 else None

    desk = desk_on(World({"A": series(100.0, minutes=20)}))
    desk.strategy("s", interval="1m", manage=hanging, timeout=0.05)(strategy)
    events = asyncio.run(follow(desk.live.run("A", poll=0.01)))
    hung = [event for event in events if isinstance(event, StrategyFailed)]
    assert asked == [4, 6, 9, 14]
    assert [event.error.rpartition(" for ")[2] for event in hung] == [
        f"{minutes} min at least" for minutes in (1, 2, 4, 8)
    ]


def test_one_that_is_out_is_left_alone_until_it_is_back_and_ends_its_thread() -> None:
    release, absence = threading.Event(), Absence()
    threads = []

    def hanging(argument: object) -> object:
        threads.append(threading.current_thread())
        return argument if argument != "hang" else release.wait(250)

    async def calling() -> None:
        caller = GuardedCaller()
        with pytest.raises(Hung) as hung:
            await caller(hanging, "hang", limit=0.01)
        assert absence.begin(hung.value.call, 10 * MINUTE) == 1
        assert absence.lasts(1_000 * MINUTE)
        assert await caller(hanging, "another symbol's", limit=100) == "another symbol's"
        release.set()
        await asyncio.wait_for(hung.value.call, 100)
        assert [absence.lasts(at * MINUTE) for at in (11, 12)] == [True, False]
        absence.end()
        assert absence.begin(hung.value.call, 20 * MINUTE) == 1
        caller.close()

    asyncio.run(calling())
    for thread in threads:
        thread.join(100)
    assert len(set(threads)) == 2
    assert not any(thread.is_alive() for thread in threads)


def test_a_function_is_not_blamed_for_a_process_that_stood_still() -> None:
    whole, control = (
        subprocess.Popen([sys.executable, "-c", STANDS_STILL, slices], stdout=subprocess.PIPE, text=True)
        for slices in ("10", "1")
    )
    assert [process.communicate(timeout=100)[0].strip() for process in (whole, control)] == ["0", "hung"]
