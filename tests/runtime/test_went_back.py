"""A store that has lost acknowledged commits (a failover, a restored backup) halts what rests on it."""

import asyncio
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from holdfast.errors import WentBack
from holdfast.runtime.live.run import LiveRun
from holdfast.runtime.live.steady import Steady
from holdfast.store import Delete
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


def on_the_loop(strategy: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a strategy that no thread answers for: a clock that sleeps move would run away meanwhile."""

    async def asked(ctx: Any) -> Any:
        return strategy(ctx)

    return asked


def run_of(world: World, store: MemoryStore) -> LiveRun:
    desk = desk_on(world, store)
    desk.strategy("s", interval="1m")(on_the_loop(scripted({2: LONG, 12: LONG})))
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


class Forgotten(MemoryStore):
    """Is told at its nth use that it has lost commits, and at every one from then on until it is opened anew."""

    def __init__(self, *, shared: bool) -> None:
        super().__init__()
        self.shared = shared
        self.left = -1
        self.gone = False
        self.told = False
        self.unasked: asyncio.Task[None] | None = None

    async def open(self) -> None:
        self.gone = False
        await super().open()

    def state(self) -> Any:
        """Return what is in there."""
        return deepcopy((self._table, self._streams, self._recent, self.head))

    def forget(self, state: Any, *, unasked: asyncio.Task[None]) -> None:
        """Go back to a state; who is `unasked` is busy elsewhere until somebody has opened the store anew."""
        self._table, self._streams, self._recent, self.head = state
        self.gone, self.unasked = True, unasked

    async def use(self, *, to_let_go: bool = False) -> None:
        while self.gone and asyncio.current_task() is self.unasked:  # noqa: ASYNC110  # rare, and short
            await asyncio.sleep(0)
        self.left -= 1
        self.gone = self.gone or self.left == 0
        if self.gone:
            # A heart that beats leaves it to the run's next step; behind the last, a lease is left to run out.
            self.told = self.told or not (to_let_go or _named() == "holdfast-lease")
            raise WentBack("the store has lost acknowledged commits", known=9, found=7)

    async def get(self, *keys: Any) -> Any:
        await self.use()
        return await super().get(*keys)

    async def last_number(self, stream: str) -> int:
        await self.use()
        return await super().last_number(stream)

    async def commit(self, changes: Any, *, commit_id: Any = None, vital: bool = False) -> str:
        await self.use(to_let_go=all(isinstance(change, Delete) for change in changes))
        return await super().commit(changes, commit_id=commit_id, vital=vital)


def _named() -> str:
    task = asyncio.current_task()
    return task.get_name() if task else ""


@pytest.mark.parametrize("shared", [False, True])
def test_whenever_it_is_told_the_run_ends_with_it_and_what_it_has_is_halted(shared: bool) -> None:
    """Also while it starts and has read nothing yet, and when it says good-bye."""
    for nth in range(1, 2_000):  # how often hearts beat on a clock that runs is not fixed
        world, store = World({"A": RISES}), Forgotten(shared=shared)
        store.left, told = nth, False
        try:
            asyncio.run(run_of(world, store).trade(lambda events: None))
        except WentBack:
            told = True
        assert told is store.told
        if not told:
            break
        store.left = -1
        reasons = asyncio.run(halted(store))
        assert not reasons or "has lost acknowledged commits" in reasons[0]
        assert reasons or not world.orders
    assert 20 < nth < 1_999


async def two_runs(store: Forgotten) -> tuple[World, list[Any]]:
    """Return the world, and how two runs of one desk end: the first has a position, the second meets the loss."""
    world = World({"A": RISES, "B": RISES}, pace="running", speed=60.0)
    desk = desk_on(world, store)
    answers = iter([LONG])
    desk.strategy("s", interval="1m")(on_the_loop(lambda ctx: next(answers, None)))
    desk.strategy("other", interval="1m")(on_the_loop(scripted({})))
    has, meets = (
        desk.live.run(symbol, strategy_name=name, poll=0.5, patience=PATIENCE, policy="later")
        for name, symbol in (("s", "A"), ("other", "B"))
    )
    tasks = [asyncio.ensure_future(run.trade(lambda events: None)) for run in (has, meets)]
    before = store.state()
    async with asyncio.timeout(100):
        while not world.positions.get("A"):
            if not has.status() or has.status()[0].status == "idle":
                before = store.state()
            await asyncio.sleep(0)
        store.forget(before, unasked=tasks[0])
        await asyncio.wait(tasks)
    return world, [task.exception() for task in tasks]


def test_every_run_of_the_process_is_told_whichever_meets_the_loss() -> None:
    """Once one has opened the store anew, nothing in there says to the others what they have lost."""
    store = Forgotten(shared=False)
    world, ends = asyncio.run(two_runs(store))
    assert [type(end) for end in ends] == [WentBack, WentBack]
    [reason] = asyncio.run(halted(store))
    assert "has lost acknowledged commits" in reason
    assert (len(world.orders), world.doubled) == (1, {})


def test_control_a_run_that_is_not_told_trades_on_and_nobody_watches_its_position(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Steady, "check", lambda self: None)
    store = Forgotten(shared=False)
    world, ends = asyncio.run(two_runs(store))
    assert [type(end) for end in ends] == [type(None), WentBack]
    assert asyncio.run(halted(store)) == [""]
    assert world.positions["A"] > 0


def test_control_a_store_that_keeps_everything_is_traded_on() -> None:
    world, store = World({"A": RISES}), Forgetful(0, 0)
    asyncio.run(follow(run_of(world, store)))
    assert asyncio.run(halted(store)) == [""]
    assert len(world.orders) == 2  # in and out
