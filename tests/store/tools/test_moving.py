"""A portfolio that is moved to another store in the middle of what it does leaves the same orders and history."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import LeaseLost, StoreInUse, StoreMissing
from holdfast.store import Append, Delete, Key, Put, Store, open_store
from holdfast.store.backends.memory import MemoryStore
from holdfast.store.lease import Lease
from holdfast.store.tools import copy, differences
from holdfast.store.tools.leaving import leave
from holdfast.store.tools.mark import MARK_KEY, mark_of
from holdfast.system import Process, SystemClock, SystemProcesses, system_ids
from holdfast.testing.bots import trade_scenario
from holdfast.testing.crash import Kill, Nursery, Story
from holdfast.testing.servers.park import Park, in_namespace
from holdfast.testing.trial import Ground, Place, Trial, verdict
from tests.store.tools.bots import copied, trade_until

pytestmark = pytest.mark.crash

MINUTE = {"take-profit": 5, "scheduled": 5, "several": 6}
"""Where a position, or an order, is open."""


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    modules = ("holdfast.store.tools", "holdfast.store.backends.sqlite.store", "asyncpg", "redis.asyncio")
    with Nursery(preload=modules) as nursery, Ground(nursery=nursery) as ground:
        yield ground


class Move:
    """One portfolio, its old place and its new one, both of one namespace."""

    def __init__(self, ground: Ground, scenario: str, to: str) -> None:
        self.ground, self.scenario = ground, scenario
        old = ground.place(scenario)
        name = "moving" if to == "sqlite:" else to.rpartition("namespace=")[2]
        new = f"sqlite:///{old.folder}.db?namespace={name}" if to == "sqlite:" else to
        self.old = Place(old.session, old.url, in_namespace(old.store, name), old.folder, old.scenario, name)
        self.new = Place(old.session, old.url, new, old.folder, old.scenario, name)

    def trade_until(self, minute: int, *, old: bool = True) -> dict[str, Any]:
        place = self.old if old else self.new
        life = self.ground.nursery.live(trade_until, {**place.arguments(self.scenario), "minute": minute})
        assert life.ended == "returned", life.message
        answer: dict[str, Any] = life.answer
        return answer

    def killed_at(self, point: str) -> None:
        arguments = self.old.arguments(self.scenario)
        life = self.ground.nursery.live(trade_scenario, arguments, kills=[Kill(point=point, nth=1)])
        assert life.ended == "killed"

    def moved(self, *kills: Kill) -> None:
        arguments = {"source": self.old.store, "target": self.new.store, "move": True}
        story = self.ground.nursery.live_on(copied, arguments, kills=kills)
        assert story.kills == len(kills)

    def ended(self) -> Trial:
        """Trade on at the new place to the market's end; return what that came to, beside one that never moved."""
        story: Story = self.ground.nursery.live_on(trade_scenario, self.new.arguments(self.scenario))
        return verdict(story, self.ground.twin(self.scenario), self.new.picture())


def targets(park: Park, kind: str, name: str) -> str:
    return "sqlite:" if kind == "sqlite" else in_namespace(park.server(kind).url, name)


KINDS = [
    pytest.param("sqlite"),
    pytest.param("postgres", marks=pytest.mark.server("postgres")),
    pytest.param("redis", marks=pytest.mark.server("redis")),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scenario", MINUTE)
def test_let_go_moved_and_carried_on(ground: Ground, park: Park, kind: str, scenario: str) -> None:
    move = Move(ground, scenario, targets(park, kind, f"let-go-{scenario}"))
    left = move.trade_until(MINUTE[scenario])
    assert {"open", "scheduled"} & set(left["status"])
    move.moved()
    refused = move.trade_until(99)
    assert refused["error"] == "NotActive"
    trial = move.ended()
    assert trial.kept, trial.broken
    assert len(trial.seen.orders) > 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("point", ["orders.sending", "orders.sent"])
def test_killed_between_intent_and_outcome_moved_and_carried_on(
    ground: Ground, park: Park, kind: str, point: str
) -> None:
    move = Move(ground, "take-profit", targets(park, kind, f"killed-{point.replace('.', '-')}"))
    move.killed_at(point)
    move.moved(Kill(point="copy.committed", nth=1), Kill(point="copy.source-marked", nth=1))
    trial = move.ended()
    assert trial.kept, trial.broken


def test_between_the_two_marks_neither_place_can_be_traded_on(ground: Ground, park: Park) -> None:
    move = Move(ground, "take-profit", "sqlite:")
    move.trade_until(5)
    arguments = {"source": move.old.store, "target": move.new.store, "move": True}
    for point in ("copy.begun", "copy.source-marked"):
        life = ground.nursery.live(copied, arguments, kills=[Kill(point=point, nth=1)])
        assert life.ended == "killed"
        assert move.trade_until(99, old=False)["error"] == "NotActive"
    assert move.trade_until(99)["error"] == "NotActive"
    move.moved()
    trial = move.ended()
    assert trial.kept, trial.broken


def test_the_control_trades_on_from_both_and_is_noticed(ground: Ground) -> None:
    """Without the marks: what went on at the old place is not at the new one, and that is not kept."""
    move = Move(ground, "take-profit", "sqlite:")
    move.trade_until(5)
    move.moved()
    asyncio.run(_unmarked(open_store(move.old.store)))
    move.trade_until(9)
    trial = move.ended()
    assert not trial.kept


async def _unmarked(store: Store) -> None:
    async with store:
        await store.commit([Delete(MARK_KEY)])


@pytest.mark.server("postgres")
def test_a_bot_that_is_alive_is_not_moved_away_from(park: Park) -> None:
    """On a store that several processes share nothing locks a bot out: its lease does."""
    clock, processes = SystemClock(), SystemProcesses()
    url = in_namespace(park.server("postgres").url, "alive")

    async def trading() -> None:
        async with open_store(url) as store:
            await store.commit([Put(Key("run.s", "BTC"), 1)])
            async with Lease(store, clock=clock, ids=system_ids, processes=processes, seconds=4.0) as lease:
                await lease.take([("s", "BTC")])
                with pytest.raises(StoreInUse, match="stop it first"):
                    await copy(open_store(url), MemoryStore(namespace="alive"), move=True)
                # One that has seemed dead for a while, and has not noticed yet:
                asleep = Lease(store, clock=clock, ids=system_ids, processes=Nobody(), seconds=0.2)
                await asleep.take([("s", "ETH")])
                await lease.__aexit__(None, None, None)
                async with open_store(url) as source:
                    mark = Put(MARK_KEY, {"schema": "mark/1"})
                    await leave(source, [mark], clock=clock, ids=system_ids, processes=Nobody())
                with pytest.raises(LeaseLost):
                    await asleep.renew()

    asyncio.run(trading())


class Nobody:
    """A machine that cannot tell whose process is dead."""

    def this(self) -> Any:
        return Process(host="elsewhere", boot="", space="", pid=1, started=0)

    def is_dead(self, process: Any) -> bool:
        return False


async def filled(store: Store, *values: int) -> Store:
    async with store:
        for value in values:
            await store.commit([Put(Key("state.s", "X"), value), Append("history.s.X", {"n": value})])
    return store


async def test_what_moved_away_and_was_traded_on_moves_back() -> None:
    old, new = await filled(MemoryStore(), 1, 2), MemoryStore()
    await copy(old, new, move=True)
    done = await copy(old, new, move=True)
    assert (done.already, done.written) == (True, 0)
    await filled(new, 3)
    assert (await copy(new, old, move=True, dry_run=True)).events == 3
    back = await copy(new, old, move=True)
    assert (back.already, back.written) == (False, 2)
    async with old, new:
        assert await differences(old, new) == []
        assert mark_of((await old.get(MARK_KEY))[0]) is None
        gone = mark_of((await new.get(MARK_KEY))[0])
        assert gone is not None
        assert gone.state == "moved"
    await filled(old, 4)
    assert (await copy(old, new, move=True)).events == 4


async def test_what_moved_away_and_is_gone_is_not_taken_for_done() -> None:
    old, new = await filled(MemoryStore(), 1), MemoryStore()
    await copy(old, new, move=True)
    with pytest.raises(StoreMissing, match="nothing is there any more"):
        await copy(old, MemoryStore(), move=True)


async def test_a_dry_run_of_a_move_refuses_whoever_still_has_the_files(tmp_path: Path) -> None:
    url = f"file:{tmp_path}/state"
    await filled(open_store(url), 1)
    reader = open_store(f"{url}?mode=ro")
    async with open_store(url):
        with pytest.raises(StoreInUse, match="open"):
            await copy(reader, MemoryStore(), move=True, dry_run=True)
        await copy(reader, MemoryStore(), dry_run=True)
    assert (await copy(reader, MemoryStore(), move=True, dry_run=True)).events == 1
    async with open_store(url):  # nothing of it is held
        pass
