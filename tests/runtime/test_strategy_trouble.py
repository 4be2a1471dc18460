"""A strategy that raises, answers nonsense or misbehaves: told by name, and nothing else changes."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from holdfast.store.backends.memory import MemoryStore
from holdfast.trading.events import Happening, StrategyFailed
from tests.runtime.world import LONG, World, desk_on, follow, kinds, minute, series

RISES = series(100.0, 100.0, 100.0, 100.5, 101.5, 102.5, 103.5, 103.0)


class Selfish(BaseException):
    pass


class Speechless(Exception):
    def __str__(self) -> str:
        raise ValueError

    __repr__ = __str__


class Mute(BaseException):
    def __str__(self) -> str:
        raise ValueError

    __repr__ = __str__


def raising(error: BaseException) -> Callable[[Any], Any]:
    def strategy(ctx: Any) -> Any:
        ctx.state["half"] = "done"
        raise error

    return strategy


def unstorable(ctx: Any) -> None:
    ctx.state["handle"] = object()


def endless(ctx: Any) -> None:
    deep: list[Any] = []
    ctx.state["deep"] = deep
    for _ in range(5_000):
        deep.append([])
        deep = deep[0]


def raising_later(error: BaseException) -> Callable[[Any], Any]:
    async def strategy(ctx: Any) -> Any:
        ctx.state["half"] = "done"
        await asyncio.sleep(0)
        raise error

    return strategy


MISBEHAVIOUR: dict[str, tuple[Callable[[Any], Any], str]] = {
    "raises": (raising(ZeroDivisionError("division by zero")), "ZeroDivisionError"),
    "raises StopIteration": (raising(StopIteration()), "StopIteration"),
    "exits": (raising(SystemExit(3)), "SystemExit"),
    "interrupts": (raising(KeyboardInterrupt()), "KeyboardInterrupt"),
    "raises what is no Exception": (raising(Selfish()), "Selfish"),
    "cancels": (raising(asyncio.CancelledError()), "CancelledError"),
    "cancels, asynchronously": (raising_later(asyncio.CancelledError()), "cancelled itself"),
    "exits, asynchronously": (raising_later(SystemExit(3)), "SystemExit"),
    "raises what is no text": (raising(ValueError("\ud800")), "ValueError"),
    "raises what has no words": (raising(Speechless()), "Speechless, which does not say"),
    "raises what has no words, asynchronously": (
        raising_later(Speechless()),
        "Speechless, which does not say",
    ),
    "exits without words": (raising(Mute()), "Mute, which does not say"),
    "raises what is no Exception, asynchronously": (raising_later(Selfish()), "Selfish"),
    "answers what then exits": (lambda ctx: raising_later(SystemExit(3))(ctx), "SystemExit"),
    "times out by itself": (raising(TimeoutError("its own request")), "TimeoutError: its own request"),
    "answers nonsense": (lambda ctx: "buy!", "no Signal"),
    "answers a tuple": (lambda ctx: (LONG,), "no Signal"),
    "answers what breaks a rule": (
        lambda ctx: type(LONG)(side="long", take_profit=float("nan"), stop_loss=1.0),
        "take_profit",
    ),
    "keeps what cannot be stored": (unstorable, "state"),
    "keeps what is too deep": (endless, "state"),
}


@pytest.mark.parametrize("kind", MISBEHAVIOUR)
def test_misbehaviour_is_told_and_changes_nothing(kind: str) -> None:
    strategy, words = MISBEHAVIOUR[kind]
    world, store = World({"A": RISES}), MemoryStore()
    desk = desk_on(world, store)
    desk.strategy("s", interval="5m", timeout=100)(strategy)
    events = asyncio.run(follow(desk.live.run("A", poll=0.01)))
    failures = [event for event in events if isinstance(event, StrategyFailed)]
    assert len(failures) == 5  # asked again at each interval: it may do better then
    assert all(words in event.error for event in failures)
    assert kinds(events)[-1] == "Stopped"
    assert world.orders == []


def test_one_that_fails_once_has_its_state_from_before() -> None:
    seen = []

    def strategy(ctx: Any) -> None:
        seen.append(dict(ctx.state))
        ctx.state["count"] = ctx.state.get("count", 0) + 1
        if minute(ctx.now) == 5:
            raise ValueError

    desk = desk_on(World({"A": series(100.0, minutes=9)}))
    desk.strategy("s", interval="1m")(strategy)
    asyncio.run(follow(desk.live.run("A", poll=0.01)))
    assert [state.get("count", 0) for state in seen] == [0, 1, 2, 3, 3, 4, 5, 6]


def test_a_strategy_that_keeps_its_context_has_no_hand_in_what_is_stored() -> None:
    kept: list[Any] = []

    def strategy(ctx: Any) -> None:
        for old in kept:
            old.state["forged"] = True
        kept.append(ctx)
        assert "forged" not in ctx.state
        ctx.state["count"] = ctx.state.get("count", 0) + 1

    desk = desk_on(World({"A": series(100.0, minutes=9)}))
    desk.strategy("s", interval="1m")(strategy)
    events = asyncio.run(follow(desk.live.run("A", poll=0.01)))
    assert not [event for event in events if isinstance(event, StrategyFailed)]


def test_on_event_that_raises_does_not_end_the_run(caplog: pytest.LogCaptureFixture) -> None:
    def on_event(event: Happening) -> None:
        raise RuntimeError("listener")

    world = World({"A": RISES})
    desk = desk_on(world)
    desk.strategy("s", interval="1m")(lambda ctx: LONG if minute(ctx.now) == 3 else None)
    desk.live.background("A", poll=0.01, on_event=on_event).join(100)
    assert len(world.orders) == 2
    assert "on_event raised" in caplog.text


def test_a_handle_that_is_used_on_the_run_s_own_thread_says_so() -> None:
    said: list[str] = []

    def on_event(event: Happening) -> None:
        try:
            handle.stop()
        except Exception as error:
            said.append(str(error))

    desk = desk_on(World({"A": RISES}))
    desk.strategy("s", interval="1m")(lambda ctx: None)
    started = threading.Event()

    def waited(event: Happening) -> None:
        started.wait(5)
        on_event(event)

    handle = desk.live.background("A", poll=0.01, on_event=waited)
    started.set()
    handle.join(100)
    assert said
    assert "own thread" in said[0]
