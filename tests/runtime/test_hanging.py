"""A strategy that does not answer in time: told, left alone, asked again later; and its position is watched."""

import asyncio
import gc
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from holdfast.errors import StoreFull, Unavailable
from holdfast.runtime.absence import Absence
from holdfast.runtime.calls import SLICES, GuardedCaller, Hung
from holdfast.store import Change, CommitId
from holdfast.store.backends.memory import MemoryStore
from holdfast.trading.candle import MINUTE
from holdfast.trading.events import Closed, DecisionSkipped, Opened, StrategyFailed
from tests.runtime.world import LONG, PATIENCE, World, desk_on, follow, minute, series

RISES = series(100.0, 100.0, 100.0, 100.5, 101.5, 102.5, 103.5, 103.0)

STANDS_STILL = """
import asyncio, os, signal, subprocess, sys, time
from holdfast.runtime import calls

calls.SLICES = int(sys.argv[1])
wakes = "sleep 4.5; kill -CONT $0"

def standing_still(_):
    with subprocess.Popen(["sh", "-c", wakes, str(os.getpid())], start_new_session=True) as alarm:
        os.kill(os.getpid(), signal.SIGSTOP)
        alarm.wait()
    time.sleep(0.5)  # it is not done when the process wakes up
    return 0

async def call():
    try:
        print(await calls.GuardedCaller()(standing_still, None, limit=4.0))
    except calls.Hung:
        print("hung")

asyncio.run(call())
"""
"""A process that is stopped, as by a suspended machine, for longer than a call may take, while it makes one."""


class Refusing(MemoryStore):
    """Refuses one commit with `refusal`."""

    refusal: Exception | None = None

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        if self.refusal is not None:
            refusal, self.refusal = self.refusal, None
            raise refusal
        return await super().commit(changes, commit_id=commit_id, vital=vital)


def raises_late(release: threading.Event) -> None:
    release.wait(100)
    raise ValueError("too late")


def answers_late(release: threading.Event) -> Any:
    async def late() -> None:
        raise ValueError("never awaited")

    release.wait(100)
    return late()


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
        assert absence.begin(hung.value.call, "no answer", 10 * MINUTE).startswith("it hangs (no answer)")
        assert absence.lasts(1_000 * MINUTE)
        assert await caller(hanging, "another symbol's", limit=100) == "another symbol's"
        release.set()
        await asyncio.wait_for(hung.value.call, 100)
        assert [absence.lasts(at * MINUTE) for at in (11, 12)] == [True, False]
        absence.end()
        assert absence.begin(hung.value.call, "again", 20 * MINUTE).endswith("for 1 min at least")
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


def test_an_async_function_that_blocks_the_loop_is_blamed_for_it() -> None:
    blocked: list[float] = []

    async def blocking(argument: object) -> None:
        while True:
            blocked.append(time.monotonic())
            time.sleep(0.5)  # noqa: ASYNC251  # what it must not do
            await asyncio.sleep(0)

    async def called() -> None:
        with pytest.raises(Hung):
            await GuardedCaller()(blocking, None, limit=1.0)

    asyncio.run(called())
    assert len(blocked) < SLICES  # each slice takes two of them and more


@pytest.mark.parametrize(
    "refusal", [StoreFull("no room"), Unavailable("gone", unknown=False)], ids=["full", "away"]
)
def test_a_hang_is_told_though_the_step_in_which_it_hung_was_dropped(refusal: Exception) -> None:
    store, asked = Refusing(), list[int]()

    async def hanging(ctx: Any) -> None:
        asked.append(minute(ctx.now))
        if len(asked) == 3:
            store.refusal = refusal
            await asyncio.Event().wait()

    desk = desk_on(World({"A": series(100.0, minutes=10)}), store)
    desk.strategy("s", interval="1m", timeout=0.05)(hanging)
    events = asyncio.run(follow(desk.live.run("A", poll=0.01, patience=PATIENCE)))
    [failed] = [event for event in events if isinstance(event, StrategyFailed)]
    assert "it hangs (no answer in 0.05 s)" in failed.error
    assert sum(event.count for event in events if isinstance(event, DecisionSkipped)) > 0
    assert asked[:3] == [2, 3, 4]
    assert asked[3] >= 6


def test_an_interval_in_which_nobody_could_be_asked_is_not_asked_for_in_its_middle() -> None:
    asked = []

    async def hanging(ctx: Any) -> None:
        asked.append(minute(ctx.now))
        await asyncio.Event().wait()

    desk = desk_on(World({"A": series(100.0, minutes=60)}))
    desk.strategy("s", interval="5m", timeout=0.02)(hanging)
    events = asyncio.run(follow(desk.live.run("A", poll=0.01)))
    assert [at % 5 for at in asked[1:]] == [0] * (len(asked) - 1)  # it is asked first when the run starts
    assert sum(event.count for event in events if isinstance(event, DecisionSkipped)) > 0


def test_a_call_that_ends_in_an_error_has_come_back_too() -> None:
    asked = []

    async def failing(ctx: Any) -> None:
        asked.append(minute(ctx.now))
        if len(asked) in (1, 3):
            await asyncio.Event().wait()
        raise ValueError

    desk = desk_on(World({"A": series(100.0, minutes=12)}))
    desk.strategy("s", interval="1m", timeout=0.02)(failing)
    events = asyncio.run(follow(desk.live.run("A", poll=0.01)))
    hung = [event.error for event in events if isinstance(event, StrategyFailed) and "hangs" in event.error]
    assert [error.rpartition(" for ")[2] for error in hung] == ["1 min at least"] * 2


@pytest.mark.parametrize("answers", [raises_late, answers_late], ids=["raises", "wants to be awaited"])
def test_what_comes_too_late_is_dropped_without_a_word(
    answers: Callable[[threading.Event], Any], caplog: pytest.LogCaptureFixture
) -> None:
    release = threading.Event()

    async def called() -> None:
        with pytest.raises(Hung) as hung:
            await GuardedCaller()(lambda _: answers(release), None, limit=0.01)
        release.set()
        await asyncio.wait({hung.value.call}, timeout=100)
        await asyncio.sleep(0)

    asyncio.run(called())
    gc.collect()
    assert caplog.text == ""


def test_a_cancelled_run_leaves_no_error_behind(caplog: pytest.LogCaptureFixture) -> None:
    release = threading.Event()

    async def called() -> None:
        task = asyncio.create_task(GuardedCaller()(lambda _: raises_late(release), None, limit=100))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        release.set()
        for thread in threading.enumerate():
            if thread.name == "holdfast-strategy":
                await asyncio.to_thread(thread.join, 0.2)
        await asyncio.sleep(0)

    asyncio.run(called())
    gc.collect()
    assert caplog.text == ""


def test_a_background_run_lets_one_that_hung_clean_up(caplog: pytest.LogCaptureFixture) -> None:
    cleaned = []

    async def hanging(ctx: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.2)
            cleaned.append(ctx.now)

    desk = desk_on(World({"A": series(100.0, minutes=3)}))
    desk.strategy("s", interval="1m", timeout=0.02)(hanging)
    desk.live.background("A", poll=0.01).join(100)
    for thread in threading.enumerate():
        if thread.name == "holdfast-live":
            thread.join(100)
    gc.collect()
    assert len(cleaned) == 1
    assert "destroyed" not in caplog.text
