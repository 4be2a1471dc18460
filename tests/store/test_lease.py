"""Leases: who may trade, judged by whoever watches; held by every commit."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from holdfast.errors import Conflict, LeaseHeld, LeaseLost, StoreFull, Unavailable
from holdfast.store import Key, Put, Store
from holdfast.store.backends.memory import MemoryStore
from holdfast.store.lease import Lease
from holdfast.store.workers import worker_key
from holdfast.system import Process, SystemProcesses

A = ("dip", "BTCUSDT")
B = ("dip", "ETHUSDT")
BOOK = Key("signal.dip", "BTCUSDT")


class Time:
    """A clock that moves when the test says so; whoever sleeps on it waits for that."""

    def __init__(self) -> None:
        self.at = 100.0
        self._moved = asyncio.Condition()

    def now(self) -> int:
        return 1_800_000_000_000

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        until = self.at + seconds
        async with self._moved:
            await self._moved.wait_for(lambda: self.at >= until)

    async def pass_(self, seconds: float) -> None:
        """Let time pass in small steps, and everybody who waits do what they do."""
        end = self.at + seconds
        while self.at < end:
            self.at = min(end, self.at + 0.25)
            async with self._moved:
                self._moved.notify_all()
            for _ in range(50):
                await asyncio.sleep(0)


class Machine:
    """Processes of one or of several hosts, and which of them are dead."""

    def __init__(self) -> None:
        self.dead = set[int]()
        self._numbers = count(1)

    def processes(self, host: str = "one") -> Any:
        me = Process(host=host, boot=host, space="s", pid=next(self._numbers), started=1)
        machine = self

        class Here:
            def this(self) -> Process:
                return me

            def is_dead(self, process: Process) -> bool:
                return process.boot == me.boot and process.pid in machine.dead

        return Here()


class Town:
    """Machines around one store; each lease that is made has a beating heart until it is `killed`."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.time = Time()
        self.machine = Machine()
        self._ids = count(1)

    def lease(self, host: str = "one", store: Store | None = None) -> Lease:
        return Lease(
            store or self.store, clock=self.time, ids=lambda: f"id-{next(self._ids)}",
            processes=self.machine.processes(host), seconds=10.0,
        )  # fmt: skip

    async def soon(self, waiting: Awaitable[Any], *, within: float = 60.0) -> Any:
        """Return what comes of something that waits for time to pass."""
        task = asyncio.ensure_future(waiting)
        waited = 0.0
        while not task.done() and waited < within:
            await self.time.pass_(0.5)
            waited += 0.5
        assert task.done(), "it waits for ever"
        return task.result()


@pytest.fixture
def store() -> Store:
    return MemoryStore()


@asynccontextmanager
async def asleep(lease: Lease) -> AsyncIterator[None]:
    """A process that is stopped, or cut off: its heart does not beat, and it does not know."""
    assert lease._keeping is not None
    lease._keeping.cancel()
    yield


async def commit(store: Store, lease: Lease, value: Any) -> str:
    try:
        return await store.commit([Put(BOOK, value), *lease.checks([A])])
    except Conflict as error:
        raise lease.lost(error) or error from error


async def test_a_second_one_is_told_who_trades(store: Store) -> None:
    town = Town(store)
    async with town.lease() as first, town.lease("two") as second:
        await first.take([A, B])
        with pytest.raises(LeaseHeld, match=r"dip on BTCUSDT.*process 1 on one") as held:
            await town.soon(second.take([A]))
        assert (held.value.pid, held.value.host) == (1, "one")
        assert await commit(store, first, 1)
        await town.soon(second.take([("dip", "SOLUSDT")]))  # another symbol is nobody's


async def test_letting_go_lets_the_next_in_at_once(store: Store) -> None:
    town = Town(store)
    async with town.lease() as first:
        await first.take([A])
    async with town.lease("two") as second:
        await second.take([A])
        assert second.remaining == 10.0
    assert [record async for record in store.scan("holdfast.worker")] == []


async def test_a_dead_process_of_this_host_is_known_at_once(store: Store) -> None:
    town = Town(store)
    async with town.lease() as first, town.lease() as second:
        await first.take([A])
        async with asleep(first):
            town.machine.dead.add(1)
            await second.take([A])  # no time passes
            with pytest.raises(LeaseLost):
                await commit(store, first, "late")


async def test_a_silent_one_is_watched_for_the_time_of_its_lease(store: Store) -> None:
    town = Town(store)
    async with town.lease() as first, town.lease("two") as second:
        await first.take([A])
        async with asleep(first):
            began = town.time.at
            await town.soon(second.take([A]))
            assert town.time.at - began >= 10.0
            assert first.remaining == 0.0
            with pytest.raises(LeaseLost):
                await commit(store, first, "late")
            with pytest.raises(LeaseLost):
                await first.ensure(1.0)
        await commit(store, second, "mine")


async def test_waiting_ends_when_the_other_lets_go(store: Store) -> None:
    town = Town(store)
    async with town.lease("two") as second:
        async with town.lease() as first:
            await first.take([A])
            waiting = asyncio.ensure_future(second.take([A], wait=True))
            await town.time.pass_(35.0)
            assert not waiting.done()
        await town.soon(waiting)
        await commit(store, second, "mine")


async def test_a_heart_that_finds_the_lease_lost_leaves_it_to_the_run_to_say_so(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """Its run raises LeaseLost at its next step: said as an error here too, a person would read it twice."""
    caplog.set_level("WARNING", "holdfast.live")  # whatever a command in this process has set before
    town = Town(store)
    async with town.lease() as first, town.lease("two") as second:
        await first.take([A])
        async with asleep(first):
            await town.soon(second.take([A]))
        await first.__aenter__()  # it wakes up
        await town.time.pass_(10.0)
        with pytest.raises(LeaseLost):
            first.check()
    said = [record for record in caplog.records if "another process trades this now" in record.message]
    assert [record.levelname for record in said] == ["WARNING"]


async def test_who_waits_is_told_for_whom_once(store: Store) -> None:
    town, told = Town(store), list[str]()
    async with town.lease() as first, town.lease("two") as second:
        await first.take([A])
        waiting = asyncio.ensure_future(second.take([A], wait=True, waiting=told.append))
        await town.time.pass_(30.0)
        assert told == [
            f"{doing} process 1 on one (since 2027-01-15 08:00:00 UTC){to}"
            for doing, to in (("watching whether", " is still alive"), ("waiting for", " to let go"))
        ]
        waiting.cancel()


async def test_of_many_who_take_over_one_does(store: Store) -> None:
    town = Town(store)
    async with town.lease() as first:
        await first.take([A])
        async with asleep(first):
            others = [town.lease(f"host-{n}") for n in range(5)]
            for lease in others:
                await lease.__aenter__()
            tries = asyncio.gather(*(lease.take([A]) for lease in others), return_exceptions=True)
            results = await town.soon(tries)
            assert sum(result is None for result in results) == 1
            assert sum(isinstance(result, LeaseHeld) for result in results) == 4
            for lease in others:
                await lease.__aexit__()


async def test_nothing_is_sent_on_the_last_seconds_of_a_lease(store: Store) -> None:
    town = Town(store)
    async with town.lease() as first:
        await first.take([A])
        async with asleep(first):
            await town.time.pass_(6.0)
            assert first.remaining == 4.0
            before = town.time.at
            await first.ensure(5.0)  # renews it first
            assert (first.remaining, town.time.at) == (10.0, before)


class Slow(MemoryStore):
    """A store whose commits take time, and may be applied without an answer."""

    def __init__(self, town: Callable[[], Town]) -> None:
        super().__init__()
        self.town, self.seconds, self.unknown = town, 0.0, False
        self.refusal: Exception | None = None

    async def commit(self, changes: Any, *, commit_id: Any = None, vital: bool = False) -> str:
        if self.refusal is not None:
            raise self.refusal
        done = await super().commit(changes, commit_id=commit_id, vital=vital)
        self.town().time.at += self.seconds
        if self.unknown:
            raise Unavailable("no answer", unknown=True)
        return done


async def test_a_lease_counts_from_before_its_renewal_was_sent() -> None:
    store = Slow(lambda: town)
    town = Town(store)
    async with store, town.lease() as first:
        await first.take([A])
        town.time.at += 2.0
        store.seconds = 7.0
        with pytest.raises(Unavailable, match="too slow"):
            await first.ensure(9.0)
        assert first.remaining == 3.0
        store.seconds = 0.0


async def test_a_renewal_without_an_answer_is_settled_and_never_extends_the_lease() -> None:
    store = Slow(lambda: town)
    town = Town(store)
    async with store, town.lease() as first:
        await first.take([A])
        await town.time.pass_(2.0)
        store.unknown = True
        with pytest.raises(Unavailable):
            await first.renew()
        store.unknown = False
        assert first.remaining == 8.0
        town.time.at += 1.0
        await first.renew()  # the same heartbeat first, then a new one: no Conflict with itself
        assert first.remaining == 10.0
        await commit(store, first, "still mine")


@pytest.mark.parametrize(
    "refusal", [Unavailable("refuses the connection", unknown=False), StoreFull("no room left")], ids=repr
)
async def test_a_renewal_stays_unsettled_while_its_repetition_is_refused(refusal: Exception) -> None:
    """A server that hangs, goes away and comes back: that the second try did nothing says nothing of the first."""
    store = Slow(lambda: town)
    town = Town(store)
    async with store, town.lease() as first:
        await first.take([A])
        store.unknown = True
        with pytest.raises(Unavailable):
            await first.renew()
        store.unknown, store.refusal = False, refusal
        for _ in range(2):
            with pytest.raises(type(refusal)):
                await first.renew()
        store.refusal = None
        await first.renew()  # no LeaseLost: nobody else was here
        await commit(store, first, "still mine")


async def test_control_an_unchecked_commit_of_one_who_was_taken_for_dead_goes_through(store: Store) -> None:
    town = Town(store)
    async with town.lease() as first, town.lease("two") as second:
        await first.take([A])
        async with asleep(first):
            await town.soon(second.take([A]))
            await store.commit([Put(BOOK, "late")])  # what `checks` is there to refuse
            assert (await store.get(BOOK))[0] is not None


async def test_held_by_others_tells_the_living_from_the_dead(store: Store) -> None:
    town = Town(store)
    async with town.lease() as first, town.lease("two") as second, town.lease("three") as third:
        await first.take([A])
        await second.take([B])
        async with asleep(first):
            assert await town.soon(third.held_by_others([A, B, ("x", "y")])) == {B}


async def test_after_the_store_went_back_the_seats_are_taken_anew(store: Store) -> None:
    town = Town(store)
    async with town.lease() as first:
        await first.take([A])
        older = MemoryStore()
        async with older:
            first._store = first._watch._store = first._heart._store = older
            await first.retake()
            await commit(older, first, "on what is left")


async def test_who_takes_the_seats_anew_after_the_lease_was_lost_shows_again_that_it_lives(
    store: Store,
) -> None:
    town = Town(store)
    async with town.lease() as first:
        await first.take([A])
        older = MemoryStore()
        async with older:
            first._store = first._watch._store = first._heart._store = older
            await town.time.pass_(5.0)  # a heartbeat finds that the store has lost it
            with pytest.raises(LeaseLost):
                first.check()
            await first.retake()
            await town.time.pass_(30.0)
            assert first.remaining > 0
            await commit(older, first, "still alive")


async def test_a_store_that_still_has_this_process_s_own_lease_makes_it_wait_for_nobody(store: Store) -> None:
    """As one that was promoted: it has lost commits, but not those of the run that is told so."""
    town = Town(store)
    async with town.lease() as first, town.lease("two") as second:
        await first.take([A])
        await asyncio.wait_for(first.retake(), 100)  # on a clock that stands still
        await commit(store, first, "at once")
        with pytest.raises(LeaseHeld):
            await town.soon(second.take([A]))


def test_this_process_is_alive_and_one_of_another_start_is_dead() -> None:
    here = SystemProcesses()
    me = here.this()
    assert not here.is_dead(me)
    assert here.is_dead(replace(me, started=me.started + 1))
    assert here.is_dead(replace(me, pid=2**22 + 1))
    assert not here.is_dead(replace(me, boot="another machine", pid=2**22 + 1))
    assert worker_key("x").entity_name == "holdfast.worker"


@pytest.mark.parametrize("hides", [FileNotFoundError, PermissionError])
def test_a_living_process_that_proc_does_not_show_is_not_dead(
    hides: type[OSError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As /proc is for another user's processes, mounted with hidepid=2 or 1 (systemd's ProtectProc=)."""
    here = SystemProcesses()
    me, read = here.this(), Path.read_text

    def hidden(path: Path, *args: Any, **options: Any) -> str:
        if path.name == "stat":
            raise hides(str(path))
        return read(path, *args, **options)

    monkeypatch.setattr(Path, "read_text", hidden)
    assert not here.is_dead(me)
    assert here.is_dead(replace(me, pid=2**22 + 1))  # it is not there at all


def test_where_proc_is_of_another_namespace_of_ids_nobody_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    here = SystemProcesses()
    me, real = here.this(), os.readlink
    monkeypatch.setattr(os, "readlink", lambda path: "1" if path == "/proc/self" else real(path))
    assert (here.this().boot, here.this().space, here.this().started) == ("", "", 0)
    assert not here.is_dead(replace(me, pid=2**22 + 1))
