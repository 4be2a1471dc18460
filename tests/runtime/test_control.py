"""What a user asks of a run, and what stays of it: stop and resume, close and cancel, letting go, taking over."""

import asyncio
import contextlib
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from holdfast import points
from holdfast.errors import AdapterInUse, InvalidOption, Orphaned, Unknown, WrongNamespace
from holdfast.runtime.desk import Desk
from holdfast.runtime.live.control import Control
from holdfast.runtime.live.run import LiveRun
from holdfast.store.backends.memory import MemoryStore
from holdfast.trading.events import Closed, Opened, Scheduled, Started, Stopped, SymbolHalted
from tests.runtime.world import (
    LONG,
    PATIENCE,
    RESTING,
    FastClock,
    World,
    desk_on,
    follow,
    kinds,
    minute,
    once,
    scripted,
    series,
)

FLAT = series(100.0, minutes=30)
RISES = series(100.0, 100.0, 100.0, 100.5, 101.5, 102.5, 103.5, 103.0, 100.0, minutes=30)


def desk_of(world: World, store: MemoryStore, signals: dict[int, Any], **options: Any) -> Desk:
    desk = desk_on(world, store)
    desk.strategy("s", interval="1m", **options)(scripted(signals))
    return desk


def run_of(desk: Desk, **options: Any) -> LiveRun:
    return desk.live.run("A", poll=0.01, patience=PATIENCE, **options)


def test_a_stop_is_stored_and_lifted_by_a_resume() -> None:
    world, store = World({"A": RISES}), MemoryStore()

    async def first() -> list[str]:
        run, told = run_of(desk_of(world, store, {3: LONG, 12: LONG})), []
        async for event in run:
            told.append(event)
            if isinstance(event, Opened):
                await run.stop()
        return kinds(told)

    told = asyncio.run(first())
    assert told[-1] == "Closed"  # what was open is watched to its end, and then the run ends
    again = asyncio.run(follow(run_of(desk_of(world, store, {12: LONG}))))
    assert kinds(again) == ["Started", "Recovered", "Stopped"]
    assert "resume" in again[-1].reason  # type: ignore[attr-defined]
    third = asyncio.run(follow(run_of(desk_of(world, store, {12: LONG}), resume=True)))
    assert "Opened" in kinds(third)


@pytest.mark.parametrize(
    ("signal", "ask", "end"), [(LONG, "close", "Closed"), (RESTING, "cancel", "Cancelled")]
)
def test_a_request_ends_a_signal_once(signal: Any, ask: str, end: str) -> None:
    world, store = World({"A": FLAT}), MemoryStore()
    answers = []

    async def story() -> list[Any]:
        run, told = run_of(desk_of(world, store, {3: signal})), []
        async for event in run:
            told.append(event)
            if isinstance(event, Opened | Scheduled):
                asked = getattr(run, ask)
                answers.extend([await asked("A"), await asked("A")])
        return told

    told = asyncio.run(story())
    assert [event.reason for event in told if type(event).__name__ == end] == ["user"]
    assert (answers, world.positions, world.doubled) == ([True, False], {}, {})


def test_letting_go_does_not_wait_for_a_long_pause() -> None:
    world = World({"A": FLAT}, pace="running", speed=0.001)
    desk = Desk(store=MemoryStore())  # a real clock
    desk.add_exchange("world", world, broker=world)
    desk.strategy("s", interval="1m")(lambda ctx: None)

    async def story() -> float:
        run = desk.live.run("A", poll=3_000.0)
        async for event in run:
            assert isinstance(event, Started)
            began = time.monotonic()
            asyncio.get_running_loop().call_later(0.05, run.detach)
        return time.monotonic() - began

    assert asyncio.run(story()) < 60


def test_letting_go_stores_nothing_and_the_next_start_goes_on() -> None:
    world, store = World({"A": RISES}), MemoryStore()
    first = asyncio.run(follow(run_of(desk_of(world, store, {3: LONG})), lambda e: isinstance(e, Opened)))
    assert not [event for event in first if isinstance(event, Stopped)]
    second = asyncio.run(follow(run_of(desk_of(world, store, {}))))
    assert kinds(second)[:2] == ["Started", "Recovered"]
    assert [type(event) for event in second if isinstance(event, Closed)] == [Closed]


@pytest.mark.parametrize("policy", ["refuse", "adopt", "flatten", "ignore"])
def test_open_signals_that_nobody_would_watch(policy: str) -> None:
    world, store = World({"A": RISES, "B": FLAT}), MemoryStore()
    first = desk_on(world, store)
    first.add_risk("gone", max_positions=1)
    first.strategy("gone", interval="1m", risk="gone")(scripted({3: LONG}))
    asyncio.run(follow(first.live.run("A", poll=0.01), lambda event: isinstance(event, Opened)))
    desk = desk_on(world, store)
    desk.strategy("other", interval="1m")(lambda ctx: None)
    run = desk.live.run("B", poll=0.01, policy=policy)  # type: ignore[arg-type]
    if policy == "refuse":
        with pytest.raises(Orphaned, match="gone on A"):
            asyncio.run(follow(run))
        return
    told = asyncio.run(follow(run))
    closed = [event for event in told if isinstance(event, Closed)]
    if policy == "ignore":
        assert not closed
        assert world.positions
        return
    assert [event.reason for event in closed] == ["take_profit" if policy == "adopt" else "flatten"]
    assert (world.positions, world.doubled) == ({}, {})


def test_a_namespace_belongs_to_one_account() -> None:
    world, other, store = World({"A": FLAT}), World({"A": FLAT}), MemoryStore()
    asyncio.run(follow(run_of(desk_of(world, store, {}))))
    other.account = "another"
    with pytest.raises(WrongNamespace, match="namespace of its own"):
        asyncio.run(follow(run_of(desk_of(other, store, {3: LONG}))))
    assert other.orders == []


def test_a_released_signal_s_orders_are_remembered() -> None:
    world, store = World({"A": RISES}), MemoryStore()
    exit_lost = once("submit", "after", Unknown("cut"), nth=2)
    silent = True

    def hook(kind: str, when: str) -> None:
        exit_lost(kind, when)
        if silent and kind == "lookup" and len(world.orders) == 2:
            raise Unknown("silent")

    world.hook = hook
    halted = asyncio.run(follow(run_of(desk_of(world, store, {3: LONG}))))
    assert isinstance(halted[-1], SymbolHalted)
    silent = False
    told = asyncio.run(follow(run_of(desk_of(world, store, {20: LONG}), release=True)))
    assert not [event for event in told if isinstance(event, SymbolHalted)]
    again = asyncio.run(follow(run_of(desk_of(world, store, {}))))
    assert not [event for event in again if isinstance(event, SymbolHalted)]
    assert world.doubled == {}


def test_the_store_is_not_changed_under_a_run() -> None:
    world, store = World({"A": FLAT}), MemoryStore()
    desk = desk_of(world, store, {})

    async def story() -> None:
        run = run_of(desk)
        async for _ in run:
            with pytest.raises(AdapterInUse):
                desk.use_store("memory:")
            run.detach()

    asyncio.run(story())


# ------------------------------------------------------------ in the background


def test_in_the_background_of_a_running_loop() -> None:
    world, store = World({"A": RISES}), MemoryStore()
    desk = desk_of(world, store, {3: LONG})

    async def story() -> list[Any]:
        told: list[Any] = []
        handle = desk.live.background("A", poll=0.01, on_event=told.append)
        await asyncio.to_thread(handle.join, 100)
        return told

    told = asyncio.run(story())
    assert [type(event) for event in told if isinstance(event, Closed)] == [Closed]


def test_in_the_background_two_runs_share_a_store_and_a_risk_profile() -> None:
    clock = FastClock()
    world, store = World({"A": RISES, "B": RISES}, clock=clock), MemoryStore()
    desk = desk_on(world, store)
    desk.add_risk("one", max_positions=1)
    for name in ("x", "y"):
        script = {m: LONG for m in range(2, 30)}
        desk.strategy(name, interval="1m", risk="one")(scripted(script))
    handles = [
        desk.live.background(symbol, strategy_name=name, poll=0.01)
        for symbol, name in (("A", "x"), ("B", "y"))
    ]
    for handle in handles:
        handle.join(100)
    held = sorted((entry.at, entry.order.reduce_only, entry.order.symbol) for entry in world.engine.orders())
    assert held
    assert world.doubled == {}


SCRIPT = """
    import sys
    from holdfast import Live, Signal, add_exchange, strategy, use_store
    from holdfast.market import ReplayExchange, synthetic

    use_store("file:" + sys.argv[1])
    add_exchange("replay", ReplayExchange("replay", {"A": synthetic(3, 60)}))

    @strategy("s", interval="5m")
    def decide(ctx):
        return Signal(side="long", take_profit=ctx.price * 1.01, stop_loss=ctx.price * 0.99, time_limit=7)

    Live.background("A", on_event=lambda event: print(type(event).__name__))
    print("started")
"""


def test_in_the_background_of_a_plain_script(tmp_path: Path) -> None:
    script = tmp_path / "bot.py"
    script.write_text(textwrap.dedent(SCRIPT))
    command = [sys.executable, str(script), str(tmp_path / "store")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=200)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.split()
    assert "started" in lines
    assert lines.count("Opened") > 3
    assert lines[-1] == "Stopped"


def test_minutes_are_those_of_the_market() -> None:
    world, store = World({"A": FLAT}), MemoryStore()
    told = asyncio.run(follow(run_of(desk_of(world, store, {3: LONG}, manage=None))))
    [opened] = [event for event in told if isinstance(event, Opened)]
    assert minute(opened.at) == 3


class Died(BaseException):
    """The process is gone: nothing catches this."""


async def died_before_sending(world: World, store: MemoryStore, patch: pytest.MonkeyPatch) -> None:
    """Leave an entry in the store that was decided and committed, and never sent."""
    run = run_of(desk_of(world, store, {2: LONG}))

    def die(name: str) -> None:
        if name == "live.committed" and run.engine.seats[0].row is not None:
            raise Died

    with patch.context() as inside:
        inside.setattr(points, "reached", die)
        with pytest.raises(Died):
            await run.trade(lambda events: None)
    assert not world.orders


async def doubled_by(wish: str, after: int, patch: pytest.MonkeyPatch) -> dict[str, int]:
    """Return what is sent twice where a user has a wish that many steps into a start, which has an entry to settle."""
    world, store = World({"A": RISES}), MemoryStore()
    await died_before_sending(world, store, patch)
    run = run_of(desk_of(world, store, {2: LONG}))
    trading = asyncio.ensure_future(run.trade(lambda events: None))
    for _ in range(after):
        await asyncio.sleep(0)
    with contextlib.suppress(InvalidOption):  # it has not started yet
        await (run.close("A") if wish == "close" else run.resume("A"))
    await trading
    assert len(world.orders) >= 2
    return world.doubled


@pytest.mark.parametrize("wish", ["close", "resume"])
def test_a_wish_waits_until_the_start_has_settled_what_was_left(
    wish: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both would look for the same order, find none, and send it."""
    for after in range(1, 60):
        assert asyncio.run(doubled_by(wish, after, monkeypatch)) == {}


def test_control_without_that_wait_an_order_is_sent_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Control.__init__

    def unlocked(control: Control, parts: Any, _: Any) -> None:
        made(control, parts, asyncio.Lock())

    with monkeypatch.context() as inside:
        inside.setattr(Control, "__init__", unlocked)
        found = [asyncio.run(doubled_by("resume", after, inside)) for after in range(1, 60)]
    assert any(found)
