"""`postgresql:` with a streaming replica: what a failover keeps, what it loses, and that a loss is seen."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import pytest

from holdfast.errors import Unavailable, WentBack
from holdfast.store import Append, Durability, Store
from holdfast.store.backends.postgres.session import Session
from holdfast.testing.servers.postgres import PostgresServer
from tests.store.backends.patience import opened, patiently
from tests.store.backends.postgres_world import fresh, need_postgres, until
from tests.store.contract import everything

pytestmark = pytest.mark.server("postgres")

Pair = tuple[PostgresServer, PostgresServer]


@contextmanager
def primary_and_replica() -> Iterator[Pair]:
    need_postgres()
    with PostgresServer() as primary, PostgresServer(replica_of=primary, name="standby") as replica:
        yield primary, replica


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """A primary and its replica, for tests that leave them as they are."""
    with primary_and_replica() as both:
        yield both


def url_of(pair: Pair) -> str:
    primary, replica = pair
    here = f"127.0.0.1:{primary.port}"
    return primary.url.replace(f"{here}/", f"{here},127.0.0.1:{replica.port}/")


async def counted(store: Store) -> list[object]:
    return [event.value for event in await everything(store.read("s"))]


async def synchronous(primary: PostgresServer) -> None:
    """Make commits wait for the replica, and return when they do."""
    primary.set(synchronous_standby_names="standby")
    asked = "SELECT sync_state FROM pg_stat_replication"
    session = await asyncpg.connect(primary.url, ssl=False)
    try:
        await until(lambda: _says(session, asked, "sync"))
    finally:
        await session.close()


async def _says(session: "asyncpg.Connection[asyncpg.Record]", query: str, answer: object) -> bool:
    return bool(await session.fetchval(query) == answer)


async def test_a_replica_is_not_written_to(pair: Pair) -> None:
    _, replica = pair
    with pytest.raises(Unavailable, match="is a standby, which takes no writes") as refused:
        await fresh(replica.url).open()
    assert not refused.value.retryable


async def test_what_is_declared(pair: Pair) -> None:
    primary, _ = pair
    try:
        async with fresh(url_of(pair)) as store:
            assert store.durability is Durability.POWER_LOSS
        await synchronous(primary)
        for commit, durability in (
            ("on", Durability.FAILOVER),
            ("remote_apply", Durability.FAILOVER),
            ("remote_write", Durability.POWER_LOSS),
            ("local", Durability.POWER_LOSS),
        ):
            async with fresh(url_of(pair), synchronous_commit=commit) as store:
                assert store.durability is durability
                assert bool(store.warnings) is (commit == "remote_write")
    finally:
        primary.set(synchronous_standby_names="")


async def _cancelled_wait(pair: Pair, patience: float) -> tuple[Store, object]:
    """Return a store, and what a commit came to whose wait for the replica a person has cancelled."""
    primary, replica = pair
    await synchronous(primary)
    store = fresh(primary.url, commit_timeout=patience)
    await patiently(store.open)
    await patiently(lambda: store.commit([Append("s", 0)], commit_id="first"))
    replica.pause()
    try:
        commit = asyncio.ensure_future(store.commit([Append("s", 1)], commit_id="it"))
        session = await asyncpg.connect(primary.url, ssl=False)
        waiting = "FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        await until(lambda: _says(session, f"SELECT count(*) > 0 {waiting}", answer=True))
        await session.fetch(f"SELECT pg_cancel_backend(pid) {waiting}")
        await session.close()
        (outcome,) = await asyncio.gather(commit, return_exceptions=True)
    finally:
        replica.resume()
    return store, outcome


async def test_a_cancelled_wait_for_the_replica_is_no_success(pair: Pair) -> None:
    store, outcome = await _cancelled_wait(pair, 1.5)
    try:
        assert isinstance(outcome, Unavailable)
        assert outcome.unknown
        await _repeated(store)
        assert await counted(store) == [0, 1]
    finally:
        await store.close()
        pair[0].set(synchronous_standby_names="")


async def test_a_cancelled_wait_for_the_replica_control(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever does not listen to PostgreSQL's warning takes such a commit for a success."""
    monkeypatch.setattr(Session, "_notice", lambda self, connection, message: None)
    store, outcome = await _cancelled_wait(pair, 100)  # it is over when it is cancelled, and not before
    try:
        assert outcome == "it"
    finally:
        await store.close()
        pair[0].set(synchronous_standby_names="")


async def test_a_repeated_commit_waits_for_the_replica_too(pair: Pair) -> None:
    """What is remembered is acknowledged only when it is as durable as anything new."""
    primary, replica = pair
    await synchronous(primary)
    try:
        async with opened(fresh(primary.url, commit_timeout=0.5, connect_timeout=1)) as store:
            await _repeated(store)
            replica.pause()
            with pytest.raises(Unavailable) as unknown:
                await store.commit([Append("s", 1)], commit_id="it")
            assert unknown.value.unknown
            replica.resume()
            await _repeated(store)
            assert await patiently(lambda: counted(store)) == [1]
    finally:
        replica.resume()
        primary.set(synchronous_standby_names="")


async def _repeated(store: Store) -> None:
    await patiently(lambda: store.commit([Append("s", 1)], commit_id="it"))


async def test_a_synchronous_replica_takes_over_with_everything() -> None:
    with primary_and_replica() as pair:
        primary, replica = pair
        await synchronous(primary)
        async with fresh(url_of(pair)) as store:
            assert store.durability is Durability.FAILOVER
            await asyncio.gather(*(store.commit([Append("s", number)]) for number in range(50)))
            primary.kill()
            committing = asyncio.ensure_future(store.commit([Append("s", 50)]))
            await asyncio.to_thread(replica.promote)
            await committing
            assert len(await counted(store)) == 51
            assert store.warnings == ()
            assert (
                f"{store.durability!r}" == f"{Durability.POWER_LOSS!r}"
            )  # nobody stands behind the new one yet


async def test_commits_that_a_replica_never_got_are_missed() -> None:
    """Replication that does not wait loses the newest commits in a failover: the store says so, and goes no further."""
    with primary_and_replica() as pair:
        primary, replica = pair
        async with fresh(url_of(pair)) as store:
            assert store.durability is Durability.POWER_LOSS
            await store.commit([Append("s", 1)])
            session = await asyncpg.connect(primary.url, ssl=False)
            behind = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) = 0 FROM pg_stat_replication"
            await until(lambda: _says(session, behind, answer=True))
            await session.close()
            replica.kill()
            await store.commit([Append("s", 2)])
            primary.kill()
            replica.start()
            replica.promote()
            with pytest.raises(WentBack) as back:
                await counted(store)
            with pytest.raises(WentBack):
                await store.commit([Append("s", 3)])
            assert back.value.known > back.value.found
            await store.close()
            await store.open()  # whoever has looked starts anew, on what there is
            assert await counted(store) == [1]
