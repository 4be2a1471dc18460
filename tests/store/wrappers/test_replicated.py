"""A primary and its replicas: the contract, catching up, copying, comparing; no commit goes past the wrapper."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from holdfast.errors import Conflict, Corrupt, InvalidKey, InvalidOption, NotOpen, Unavailable, Unsupported
from holdfast.store import (
    ABSENT,
    Append,
    Change,
    Check,
    CommitId,
    Delete,
    Durability,
    Key,
    Names,
    Put,
    Record,
    Store,
    open_store,
)
from holdfast.store.guard import GUARD
from holdfast.store.state import Recent
from holdfast.store.workers import worker_key
from holdfast.store.wrappers.base import Wrapper
from holdfast.store.wrappers.keyring import new_key
from holdfast.store.wrappers.replicated import Replicated, promote, replicated, status, unreplicate
from holdfast.store.wrappers.replicated.outbox import Outbox
from holdfast.store.wrappers.replicated.records import MEMBERS, OWED, TRIMMED, Owed, Primary, Replica, owed_of
from holdfast.store.wrappers.replicated.standing import Moved, Standing
from holdfast.system import SystemClock, system_ids
from holdfast.testing.servers.postgres import PostgresServer
from holdfast.testing.servers.redis import RedisServer
from holdfast.testing.simulation.disk import SimulatedDisk
from tests.store.contract import StoreContract, everything
from tests.store.workload import store_on
from tests.store.wrappers.replicas import A, Down, equal, held, pair, write


class TestFiles(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return replicated(store_on(SimulatedDisk()), [store_on(SimulatedDisk())])


class TestMemory(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return replicated(open_store("memory:"), [open_store("memory:"), open_store("memory:")])


# ------------------------------------------------------------ following


@pytest.mark.parametrize("kind", ["sqlite", "file"])
async def test_a_replica_is_its_primary(tmp_path: Path, kind: str) -> None:
    one, two = (open_store(url) for url in pair(tmp_path, kind))
    async with replicated(one, [two]) as store:
        await write(store, 100)
        await store.commit([Put(A, 1)], commit_id="the-id")
        with pytest.raises(Conflict):
            await store.commit([Put(A, 2, ABSENT), Append("history.one", "never")])
        assert await store.commit([Put(A, 1)], commit_id="the-id") == "the-id"
        await equal(store, two)
        assert (await two.get(A))[0] == Record(A, 1, "the-id")
        [lag] = await store.lag()
        assert (lag.commits, lag.seconds, lag.error, lag.state) == (0, 0.0, None, "following")
    async with replicated(one, [two]) as store:
        await equal(store, two)


async def test_catching_up_after_an_outage() -> None:
    one, two = open_store("memory:"), Down(open_store("memory:"))
    async with replicated(one, [two], poll=0.05) as store:
        await write(store, 10)
        await store.caught_up()
        two.down = True
        await write(store, 1000, first=10)
        [lag] = await store.lag()
        assert lag.commits == 1000
        assert lag.seconds is not None
        while not lag.error:
            await asyncio.sleep(0.01)
            [lag] = await store.lag()
        assert "down" in lag.error
        assert any("does not follow" in warning for warning in store.warnings)
        assert len(await everything(one.scan(OWED))) >= 1000
        two.down = False
        await equal(store, two.inner)
    async with replicated(one, [two]) as store:
        await equal(store, two.inner)
        assert not await everything(one.scan(OWED)), "what all have is owed no more"


async def test_what_is_owed_outlives_the_store_object() -> None:
    """The wrapper is dropped without a word, as by a crash; another one, of another process, catches up."""
    one, two = open_store("memory:"), Down(open_store("memory:"))
    store = replicated(one, [two])
    await store.open()
    await store.caught_up()
    two.down = True
    await write(store, 300)
    for _, task in store._following:  # a crash: nothing is finished, nothing is said
        task.cancel()
    two.down = False
    async with replicated(one, [two]) as other:
        await equal(other, two.inner)


async def test_two_processes_commit_and_apply_at_once(tmp_path: Path) -> None:
    urls = pair(tmp_path)
    stores = [replicated(open_store(urls[0]), [open_store(urls[1])], poll=0.02) for _ in range(3)]
    for store in stores:
        await store.open()
    await asyncio.gather(*(write(store, 100, first=100 * n, together=7) for n, store in enumerate(stores)))
    assert all([await store.caught_up() for store in stores])
    for store in stores:
        await equal(store, store.followers[0].store)
        assert store.followers[0].error is None
        await store.close()
    async with open_store(urls[1]) as replica:
        assert await replica.last_number("history.two") == 300


async def test_a_replica_that_is_registered_while_another_process_trims_is_owed_all_that_comes() -> None:
    """Who trims has counted the replicas before that one; it begins empty, and nothing of its debt may go."""

    class Counting(Wrapper):
        counted: Callable[[], Awaitable[object]] | None = None

        async def get(self, *keys: Key) -> list[Record | None]:
            found = await super().get(*keys)
            await self._then(TRIMMED in keys)
            return found

        async def scan(
            self, entity_name: str, *, after: str | None = None, limit: int | None = None
        ) -> AsyncIterator[Record]:
            for record in await everything(self.inner.scan(entity_name, after=after, limit=limit)):
                yield record
            await self._then(entity_name == MEMBERS)

        async def _then(self, looked: bool) -> None:
            act, self.counted = (self.counted, None) if looked else (None, self.counted)
            if act is not None:
                await act()

    one, two = Counting(open_store("memory:")), open_store("memory:")
    async with one, two, replicated(one, []) as store:
        await write(store, 10)
        outbox = store._opened()

        async def another() -> None:
            await outbox.members.register("another", two)
            await write(store, 5, first=10)

        one.counted = another
        await outbox.members.tidy()
        assert one.counted is None
        assert len(await outbox.page(10, await outbox.commit_at(10), 64)) == 5


async def test_a_replica_that_another_process_claims_meanwhile_is_none_that_diverged() -> None:
    class Claimed(Wrapper):
        first: Standing | None = None

        async def names(self) -> Names:
            first, self.first = self.first, None
            if first is not None:
                await first.claim()
            return await super().names()

    two = Claimed(open_store("memory:"))
    async with open_store("memory:") as one, two:
        outbox = Outbox(one, clock=SystemClock(), ids=system_ids)
        await outbox.begin()
        two.first = Standing(outbox, two, ids=system_ids)
        with pytest.raises(Moved):
            await Standing(outbox, two, ids=system_ids).claim()


async def test_what_comes_behind_a_refused_commit_of_a_copy_is_not_made() -> None:
    """Another process copies the same in another order, and its commit has the id of the one that was refused here."""

    class Overtaken(Wrapper):
        def __init__(self, inner: Store) -> None:
            super().__init__(inner)
            self.other: Standing | None = None
            self.overtaken = asyncio.Event()

        async def commit(
            self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
        ) -> CommitId:
            if commit_id == "second":
                await self.overtaken.wait()
            if commit_id != "first" or self.other is None:
                return await super().commit(changes, commit_id=commit_id, vital=vital)
            await self.other.move(self.other.at, commit_id="of the other")
            try:
                return await super().commit(changes, commit_id=commit_id, vital=vital)
            finally:
                await self.other.move(self.other.at, commit_id="first")
                self.overtaken.set()

    inner = open_store("memory:")
    async with open_store("memory:") as one, Overtaken(inner) as two:
        outbox = Outbox(one, clock=SystemClock(), ids=system_ids)
        await outbox.begin()
        standing, other = (Standing(outbox, store, ids=system_ids) for store in (two, inner))
        await standing.claim()
        await other.reload()
        two.other = other
        with pytest.raises(Moved):
            await standing.move_all([("first", []), ("second", [Put(A, "behind what was refused")])])
        assert await inner.get(A) == [None]


async def test_another_process_of_the_primary_is_followed(tmp_path: Path) -> None:
    """One that commits and dies at once is caught up with by whoever has the primary open."""
    urls = pair(tmp_path)
    async with replicated(open_store(urls[0]), [open_store(urls[1])], poll=0.02) as store:
        async with replicated(open_store(urls[0]), []) as other:
            await write(other, 50)
        await equal(store, store.followers[0].store)


async def test_what_was_there_before_is_copied_while_others_write(tmp_path: Path) -> None:
    urls = pair(tmp_path)
    async with open_store(urls[0]) as bare:
        await write(bare, 600, together=64)
        await bare.commit([Put(Key("wide", f"{n:04}"), n) for n in range(900)])
    async with replicated(open_store(urls[0]), [open_store(urls[1])]) as store:
        await write(store, 300, first=600)
        assert await store.caught_up()
        [verified] = await store.verify()
        assert verified.equal, verified.differences[:3]
        assert verified.records >= 900
        assert await held(store) == await held(store.followers[0].store), "versions, too"


async def test_the_engine_sees_nothing_of_it() -> None:
    one = open_store("memory:")
    async with replicated(one, [open_store("memory:")]) as store:
        await store.commit([Put(A, 1)])
        assert await store.names() == Names(("signal.one",), ())
        assert store.durability is Durability.NONE
        for name in (OWED, GUARD.entity_name, "holdfast.replication"):
            with pytest.raises(InvalidKey, match="own"):
                await store.commit([Put(Key(name, "x"), 1)])
        with pytest.raises(InvalidKey):
            await store.commit([Append("holdfast.replication.order", 1)])
        await store.commit([Put(Key("holdfast.replicationist", "x"), 1)])
        await store.commit([Put(A, _nested(62))])
        assert await store.caught_up()


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


async def test_a_primary_that_is_away_is_not_read_from_a_replica() -> None:
    one, two = Down(open_store("memory:")), open_store("memory:")
    async with replicated(one, [two]) as store:
        await store.commit([Put(A, 1)])
        await store.caught_up()
        one.down = True
        with pytest.raises(Unavailable):
            await store.get(A)
        one.down = False
        assert (await store.get(A))[0] is not None


# ------------------------------------------------------------ controls: what would be caught


async def test_control_owed_only_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def owing(self: Outbox, changes: Sequence[Change], commit_id: CommitId) -> list[Change]:
        return [*changes, self.check]

    monkeypatch.setattr(Outbox, "owing", owing)
    one, two = open_store("memory:"), open_store("memory:")
    async with replicated(one, [two]) as store:
        await write(store, 10)
        assert await store.caught_up()
        [verified] = await store.verify()
        assert not verified.equal


async def test_control_a_position_that_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Applied, but counted later, in a commit of its own: a crash in between applies it twice."""
    one, two = open_store("memory:"), open_store("memory:")
    async with replicated(one, [two]) as store:
        await write(store, 10)
        await store.caught_up()
        [guard] = await two.get(GUARD)
    assert guard is not None
    async with replicated(one, []) as store:
        await store.commit([Append("history.one", "x")], commit_id="late")
    async with two:
        await two.commit([Append("history.one", "x"), Check(GUARD, guard.version)])
    async with replicated(one, [two]) as store:
        assert await store.caught_up()
        [verified] = await store.verify()
        assert any("history.one" in difference for difference in verified.differences), verified


async def test_control_another_order(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Outbox.page

    async def page(self: Outbox, number: int, last: CommitId | None, limit: int) -> list[Any]:
        found = await real(self, number, last, limit)
        swapped = [one for place in range(0, len(found), 2) for one in found[place : place + 2][::-1]]
        return [Owed(a.number, a.commit_id, a.at, b.effects) for a, b in zip(found, swapped, strict=True)]

    monkeypatch.setattr(Outbox, "page", page)
    two = Down(open_store("memory:"))
    two.down = True
    async with replicated(open_store("memory:"), [two]) as store:
        await store.commit([Put(A, 0)])
        two.down = False
        await store.caught_up()
        two.down = True
        await write(store, 20)
        two.down = False
        assert await store.caught_up()
        [verified] = await store.verify()
        assert not verified.equal


# ------------------------------------------------------------ past the wrapper


async def test_a_commit_past_the_wrapper_is_refused(tmp_path: Path) -> None:
    urls = pair(tmp_path)
    async with open_store(urls[0]) as before:  # a process that was there before it was replicated
        await before.commit([Put(A, 1)])
        async with replicated(open_store(urls[0]), [open_store(urls[1])]) as store:
            for bare in (before, open_store(urls[0]), open_store(urls[1])):
                await bare.open()
                for changes in ([Put(A, 2)], [Append("history.one", 1)], [Delete(A)], [Check(A, ABSENT)], []):
                    with pytest.raises(Unsupported, match="replica"):
                        await bare.commit(changes)
                await bare.close()
            await store.commit([Put(A, 3)])
            await store.caught_up()
            [verified] = await store.verify()
            assert verified.equal
    await unreplicate(open_store(urls[0]))
    async with open_store(urls[0]) as bare:
        await bare.commit([Put(A, 4)])
        assert not (await held(bare))["streams"]
        assert not await everything(bare.scan(OWED))


async def test_past_the_wrapper_on_every_store_of_ours(tmp_path: Path) -> None:
    for url in ("memory:", f"file:{tmp_path}/x", f"sqlite:///{tmp_path}/x.db"):
        one = open_store(url)
        async with replicated(one, []):
            with pytest.raises(Unsupported):
                await one.commit([Put(A, 1)])
            refused = await asyncio.gather(
                *(one.commit([Put(A, n)]) for n in range(5)), return_exceptions=True
            )
            assert all(isinstance(error, Unsupported) for error in refused)


async def test_control_without_the_guard_in_every_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.store.changes.guarded", list)
    one, two = open_store("memory:"), open_store("memory:")
    async with replicated(one, [two]) as store:
        await one.commit([Put(A, "past the wrapper")])
        assert await store.caught_up()
        [verified] = await store.verify()
        assert not verified.equal


# ------------------------------------------------------------ by URL


async def test_by_url(tmp_path: Path) -> None:
    replicas = [f"file:{tmp_path}/two", f"sqlite:///{tmp_path}/three.db?namespace=spare"]
    asked = "&".join(f"replica{n}={quote(url, safe='')}" for n, url in zip(("", "_2"), replicas, strict=True))
    store = open_store(f"sqlite:///{tmp_path}/one.db?namespace=blue&{asked}")
    assert isinstance(store, Replicated)
    async with store:
        assert [f.store.namespace for f in store.followers] == ["blue", "spare"]
        await write(store, 10)
        assert await store.caught_up()
        assert [one.equal for one in await store.verify()] == [True, True]
    with pytest.raises(NotOpen):
        await store.lag()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("replica_1=memory%3A", "replica_2"),
        ("replica_x=memory%3A", "replica_2"),
        ("replica=file%3Ax%3Freplica%3Dfile%253Ay", "names replicas itself"),
        ("replica=file%3Aone", "its own replica"),
        ("replica=nothing", "no scheme"),
    ],
)
def test_a_url_that_makes_no_sense(options: str, words: str) -> None:
    with pytest.raises(InvalidOption, match=words):
        open_store(f"file:one?{options}")


async def test_lag_is_known_of_a_replica_that_is_away_from_the_start(tmp_path: Path) -> None:
    one, two = open_store("memory:"), Down(open_store(f"sqlite:///{tmp_path}/two.db"))
    async with replicated(one, [two]) as store:
        await write(store, 10)
        assert await store.caught_up()
    two.down = True
    async with replicated(one, [two]) as store:
        await write(store, 7, first=10)
        [lag] = await store.lag()
        assert (lag.state, lag.commits) == ("unknown", 7)
        assert lag.seconds is not None
        assert lag.error


async def test_an_id_that_was_used_twice_is_copied_all_the_same() -> None:
    """After ten minutes a store has forgotten an id: then two commits may have the same one."""
    one, two = open_store("memory:"), open_store("memory:")
    async with one:
        for number in range(3):
            one._recent = Recent()  # type: ignore[attr-defined]  # the ten minutes are over
            await one.commit([Append("a", number), Append("b", number), Put(A, number)], commit_id="same")
            await one.commit([Append("b", "between"), Append("a", "between")])
    async with replicated(one, [two]) as store:
        assert await store.caught_up()
        [verified] = await store.verify()
        assert verified.equal, verified
        assert [e.value for e in await everything(two.read("b"))] == [
            0,
            "between",
            1,
            "between",
            2,
            "between",
        ]


async def test_among_other_wrappers(tmp_path: Path) -> None:
    """What is sealed is bound to the id of its commit: a replica, also one that was copied later, can be read."""
    (tmp_path / "keys").write_text(new_key("k1"))
    seal = f"encrypt_key_file={tmp_path}/keys&cache=100"
    async with open_store(f"sqlite:///{tmp_path}/one.db?{seal}") as store:
        await write(store, 40)
        expected = await held(store)
    replica = quote(f"sqlite:///{tmp_path}/two.db", safe="")
    async with open_store(f"sqlite:///{tmp_path}/one.db?replica={replica}&{seal}") as store:
        assert await held(store) == expected
        await write(store, 40, first=40)
        expected = await held(store)
    await promote(open_store(f"sqlite:///{tmp_path}/two.db"), old=open_store(f"sqlite:///{tmp_path}/one.db"))
    await unreplicate(open_store(f"sqlite:///{tmp_path}/two.db"))
    async with open_store(f"sqlite:///{tmp_path}/two.db?{seal}") as store:
        assert await held(store) == expected


@pytest.mark.server("redis", "postgres")
@pytest.mark.parametrize("kind", ["redis", "postgres"])
async def test_past_the_wrapper_on_a_server(kind: str) -> None:
    server = RedisServer() if kind == "redis" else PostgresServer()
    with server:
        async with open_store(server.url) as before, replicated(open_store(server.url), []) as store:
            await store.commit([Put(A, 1), Append("history.one", 1)])
            for changes in ([Put(A, 2)], [Append("history.one", 1)], [Check(A, ABSENT)], []):
                with pytest.raises(Unsupported, match="guarded"):
                    await before.commit(changes)
            results = await asyncio.gather(
                *(before.commit([Put(A, n)]) for n in range(5)), return_exceptions=True
            )
            assert all(isinstance(error, Unsupported) for error in results), results
            await store.commit([Put(A, 3)])


async def test_heartbeats_are_not_owed() -> None:
    one, two = open_store("memory:"), open_store("memory:")
    async with replicated(one, [two]) as store:
        first = await store.commit([Put(worker_key("w"), 0), Put(A, 1)])
        for beat in range(1, 50):
            await store.commit([Put(worker_key("w"), beat)])
        assert await store.caught_up()
        assert (await status(one)).commits == 1
        assert (await two.get(worker_key("w")))[0] == Record(worker_key("w"), 0, first), (
            "it stands still there"
        )
        assert (await store.verify())[0].equal
        await store.commit([Delete(worker_key("w"))])
        assert await store.caught_up()
        assert await two.get(worker_key("w")) == [None]


async def test_status_of_what_is_not_followed(tmp_path: Path) -> None:
    urls = pair(tmp_path, "file")
    async with replicated(open_store(urls[0]), [open_store(urls[1])]) as store:
        await write(store, 20)
    async with open_store(f"{urls[0]}?mode=ro") as one, open_store(f"{urls[1]}?mode=ro") as two:
        primary, replica = await status(one), await status(two)
    assert isinstance(primary.role, Primary)
    assert (primary.commits, primary.owed) == (20, 0)
    [member] = primary.members.values()
    assert (member.url, member.acknowledged) == (urls[1], 20)
    assert isinstance(replica.role, Replica)
    assert replica.role.is_whole
    async with open_store("memory:") as plain:
        assert (await status(plain)).role is None


@pytest.mark.parametrize("more", [[], [Append("history.one", "taken")]], ids=["alone", "with an event"])
async def test_a_heartbeat_while_it_is_copied_is_there(tmp_path: Path, more: list[Change]) -> None:
    """Without it, whoever takes over from the replica would take the process for dead at once."""
    urls, worker = pair(tmp_path), worker_key("w")
    async with replicated(open_store(urls[0]), []) as store:
        await write(store, 200)
        await store.commit([Put(worker, 0), Put(A, 1), *more])

        async def beat() -> None:
            await store.commit([Put(worker, "alive")])

        async with replicated(Beating(open_store(urls[0]), beat), [open_store(urls[1])]) as other:
            assert await other.caught_up()
            assert await other.followers[0].store.get(worker) == await store.get(worker)
            assert (await other.verify())[0].equal


class Beating(Wrapper):
    """A heart beats just after what it says has been listed."""

    def __init__(self, inner: Store, beat: Callable[[], Awaitable[None]]) -> None:
        super().__init__(inner)
        self._beat = beat

    async def scan(
        self, entity_name: str, *, after: str | None = None, limit: int | None = None
    ) -> AsyncIterator[Record]:
        async for record in super().scan(entity_name, after=after, limit=limit):
            yield record
        if entity_name == worker_key("").entity_name and after is not None:
            await self._beat()


def test_a_debt_that_is_nested_without_an_end_is_corrupt() -> None:
    owed = Record(Key("holdfast.replication.owed", "c"), {"at": 1, "effects": "[" * 100_000}, "v")
    with pytest.raises(Corrupt, match="no document of replication"):
        owed_of(1, owed)
