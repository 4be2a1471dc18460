"""`postgresql:` when something goes wrong: refusals, lost answers, cuts, hung and killed servers."""

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from holdfast.errors import (
    Conflict,
    Corrupt,
    HoldfastError,
    InvalidOption,
    StoreFull,
    Unavailable,
    Unsupported,
    WentBack,
)
from holdfast.store import ABSENT, Append, Change, Delete, Durability, Put, Store, open_store
from holdfast.store.backends.postgres import reaching, session
from holdfast.store.backends.postgres.lines import CommitLine
from holdfast.testing.servers.postgres import PostgresServer
from holdfast.testing.servers.proxy import Proxy
from tests.store.backends.patience import opened, patiently
from tests.store.backends.postgres_world import (
    A,
    B,
    fresh,
    need_postgres,
    postgres,
    through,
    until,
    value,
)
from tests.store.contract import everything

pytestmark = pytest.mark.server("postgres")
__all__ = ("postgres",)


@pytest.fixture(scope="module")
def guarded() -> Iterator[PostgresServer]:
    """A server with a password, for tests that kill, hang or reconfigure it and leave it running."""
    need_postgres()
    with PostgresServer({"wal_writer_delay": "10s"}, password="sesame") as server:
        yield server


async def counted(store: Store, stream: str = "s") -> list[object]:
    return [event.value for event in await everything(store.read(stream))]


# --- what is refused, each with its own sentence ----------------------------------------------------------------------


async def refusal(url: str, *, patience: float = 2.0) -> HoldfastError:
    """Return what opening a store is refused with in that time, or in more where nobody answered in it."""
    error = await refused_within(url, patience)
    for longer in (10 * patience, 30 * patience):
        if "does not answer in time" in str(error):
            error = await refused_within(url, longer)
    return error


async def refused_within(url: str, seconds: float) -> HoldfastError:
    with pytest.raises(HoldfastError) as refused:
        await fresh(url, connect_timeout=seconds).open()
    assert "sesame" not in f"{refused.value!r} {refused.value} {refused.value.facts}"
    assert "wrong" not in f"{refused.value!r} {refused.value}"
    return refused.value


async def test_what_a_person_must_mend(guarded: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    guarded.sql("CREATE DATABASE ascii ENCODING SQL_ASCII TEMPLATE template0")
    guarded.sql("CREATE ROLE reader LOGIN SUPERUSER PASSWORD 'sesame'")
    guarded.sql("ALTER ROLE reader SET default_transaction_read_only = on")
    guarded.sql("CREATE ROLE nobody NOLOGIN PASSWORD 'sesame'")
    of = guarded.url_of
    cases = {
        of("postgres", "wrong"): "refuses the password",
        of("postgres", "wrong").replace(":wrong@", "@"): "wants a password: the URL gives none",
        of("postgres", "sesame", "nowhere"): "has no such database",
        of("nobody", "sesame"): "does not let this user in",
        of("reader", "sesame"): "read-only for the role reader",
        guarded.url.replace("127.0.0.1", "nowhere.invalid"): "has a host name that nobody knows",
        f"{guarded.url}?sslmode=require": "does not speak TLS",
    }
    for url, sentence in cases.items():
        error = await refusal(url)
        assert sentence in str(error), url
        assert isinstance(error, Unavailable)
        assert not error.retryable
        assert not error.unknown
    encoded = await refusal(of("postgres", "sesame", "ascii"))
    assert isinstance(encoded, Unsupported)
    assert "SQL_ASCII" in str(encoded)
    monkeypatch.setattr(reaching, "OLDEST", 99)
    assert "PostgreSQL 15 is too old; use 99 or newer" in str(await refusal(guarded.url))


async def test_what_may_pass(guarded: PostgresServer) -> None:
    nobody = await refusal(guarded.url.replace(f":{guarded.port}", ":1"), patience=0.3)
    assert "cannot be reached: nothing listens on that port" in str(nobody)
    guarded.sql("CREATE ROLE single LOGIN CONNECTION LIMIT 0 PASSWORD 'sesame'")
    full = await refusal(guarded.url_of("single", "sesame"))
    assert "too many connections" in str(full)
    guarded.pause()
    try:
        hung = await refused_within(guarded.url, 0.3)
    finally:
        guarded.resume()
    assert "does not answer in time" in str(hung)
    for error in (nobody, full, hung):
        assert isinstance(error, Unavailable)
        assert error.retryable
        assert not error.unknown


async def test_a_server_that_is_still_starting_is_waited_for(guarded: PostgresServer) -> None:
    guarded.kill()
    store = fresh(guarded.url, connect_timeout=200)
    opening = asyncio.ensure_future(store.open())
    await asyncio.sleep(0)
    await asyncio.to_thread(guarded.start)
    await opening
    await store.close()


@pytest.mark.parametrize(("query", "retryable"), [("", True), ("?sslmode=require", False)])
async def test_the_last_word_of_a_killed_server_is_no_refusal_of_tls(query: str, retryable: bool) -> None:
    """It comes in one piece with the answer about TLS; the server here answers as such a one does, byte by byte."""

    async def dying(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.write(
            b"N" + b"E\0\0\0\x4fSFATAL\0C57P01\0Mterminating connection due to unexpected postmaster exit\0\0"
        )
        writer.close()

    async with await asyncio.start_server(dying, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        error = await refusal(f"postgresql://postgres@127.0.0.1:{port}/holdfast{query}", patience=0.3)
    assert isinstance(error, Unavailable)
    assert error.retryable is retryable
    assert not error.unknown


@pytest.mark.parametrize(
    ("state", "kind", "sentence"),
    [
        ("53100", StoreFull, "disk of the PostgreSQL server is full"),
        ("53200", Unavailable, "out of memory"),
        ("58030", Unavailable, "cannot read or write its disk"),
        ("57014", Unavailable, "cancelled it"),
        ("55P03", Unavailable, "waited too long"),
        ("40P01", Unavailable, "deadlock"),
        ("XX001", Corrupt, "damaged data"),
        ("22012", Unavailable, "SQLSTATE 22012"),
    ],
)
async def test_a_commit_that_the_server_refuses(
    postgres: PostgresServer, state: str, kind: type[HoldfastError], sentence: str
) -> None:
    """The server's own error, with every code: nothing is changed, and the store is usable behind it."""
    async with fresh(postgres.url, schema=f"refuses_{state.lower()}") as store:
        postgres.sql(
            f"CREATE FUNCTION refuses_{state.lower()}.refuse() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN IF new.entity_id = 'ETHUSDT' THEN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END IF; "
            f"RETURN new; END $$; CREATE TRIGGER refuse BEFORE INSERT ON refuses_{state.lower()}.record "
            f"FOR EACH ROW EXECUTE FUNCTION refuses_{state.lower()}.refuse()"
        )
        await store.commit([Put(A, 1)])
        with pytest.raises(kind, match=sentence) as refused:
            await store.commit([Put(A, 2), Put(B, 2), Append("s", 2)])
        assert not refused.value.facts.get("unknown", False)
        await store.commit([Append("s", 1)])
        assert await value(store, A) == 1
        assert await counted(store) == [1]


def certificate(folder: Path) -> tuple[Path, Path]:
    """Return a certificate for `localhost`, which is its own authority, and its key."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    day = timedelta(days=1)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 7, now - day, now + day)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, secret = folder / "server.crt", folder / "server.key"
    public.write_bytes(made.public_bytes(Encoding.PEM))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return public, secret


async def test_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    public, secret = certificate(tmp_path)
    (tmp_path / "password").write_text("sesame\n")
    with PostgresServer(password="sesame", certificate=public, key=secret) as server:
        monkeypatch.setenv("SESAME", "sesame")
        known = server.url_of("postgres").replace("127.0.0.1", "localhost")
        for query in (f"password_file={tmp_path}/password", "password_env=SESAME"):
            url = f"{known}?sslmode=verify-full&sslrootcert={public}&{query}"
            async with fresh(url) as store:
                await store.commit([Put(A, 1)])
                asked = "SELECT bool_and(s.ssl) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid)"
                assert server.sql(f"{asked} WHERE a.application_name = 'holdfast'") == "t"
        (tmp_path / "other").mkdir()
        another, _ = certificate(tmp_path / "other")
        untrusted = await refusal(
            f"{server.url.replace('127.0.0.1', 'localhost')}?sslmode=verify-full&sslrootcert={another}"
        )
        other_name = await refusal(f"{server.url}?sslmode=verify-full&sslrootcert={public}")
        for error in (untrusted, other_name):
            assert "do not agree on TLS" in str(error)
            assert not error.retryable
        nowhere = await refusal(f"{server.url}?sslmode=verify-full&sslrootcert={tmp_path}/none.crt")
        assert isinstance(nowhere, InvalidOption)


# --- answers that are lost --------------------------------------------------------------------------------------------


async def test_a_lost_answer_is_looked_up(postgres: PostgresServer) -> None:
    """The commit was carried out, its answer dropped and the connection cut: the store finds that out itself."""
    async with (
        Proxy("127.0.0.1", postgres.port) as proxy,
        fresh(through(postgres.url, postgres, proxy.port)) as store,
    ):
        await store.commit([Put(B, 0)])
        proxy.lose_answers = True
        commit = asyncio.ensure_future(store.commit([Put(A, 1, ABSENT), Append("s", 1)]))
        await until(lambda: _is(proxy.lost >= 1))
        proxy.lose_answers = False
        await commit
        assert await counted(store) == [1]


async def test_an_unknown_commit_is_repeated_with_its_id(postgres: PostgresServer) -> None:
    async with Proxy("127.0.0.1", postgres.port) as proxy:
        url = through(postgres.url, postgres, proxy.port)
        async with opened(fresh(url, connect_timeout=1)) as store:
            await patiently(lambda: store.commit([Put(B, 0)]))
            proxy.lose_answers = True
            with pytest.raises(Unavailable) as unknown:
                await store.commit([Put(A, 1, ABSENT), Append("s", 1)], commit_id="it")
            assert unknown.value.unknown
            assert unknown.value.retryable
            with pytest.raises(Unavailable) as certain:
                await store.commit([Append("s", 2)])
            assert not certain.value.unknown  # it was never sent
            proxy.lose_answers = False
            await patiently(lambda: store.commit([Put(A, 1, ABSENT), Append("s", 1)], commit_id="it"))
            assert await patiently(lambda: counted(store)) == [1]
            await patiently(
                lambda: store.commit([Append("s", 1)], commit_id="other")
            )  # the control: another id is another commit
            assert await patiently(lambda: counted(store)) == [1, 1]


async def test_a_second_try_that_is_refused_says_nothing_of_the_first(postgres: PostgresServer) -> None:
    """The first was carried out and its answer lost, the second certainly was not: together they are unknown."""
    for patience in (4, 20, 100):
        said = await _second_try_refused(postgres, patience)
        if "waited too long" in said:
            break  # else its time was over before it could try again
    assert "waited too long" in said


async def _second_try_refused(postgres: PostgresServer, patience: float) -> str:
    async with Proxy("127.0.0.1", postgres.port) as proxy:
        url = through(postgres.url, postgres, proxy.port)
        async with fresh(url, commit_timeout=patience, schema="in_doubt") as store:
            await patiently(lambda: store.commit([Put(B, 0)], commit_id="first"))
            proxy.lose_answers = True
            commit = asyncio.ensure_future(store.commit([Put(A, 1, ABSENT), Append("s", 1)], commit_id="it"))
            await until(lambda: _is(proxy.lost >= 1))
            async with _admin(postgres) as admin, admin.transaction():  # what a migration or VACUUM FULL does
                await admin.execute("LOCK TABLE in_doubt.record IN ACCESS EXCLUSIVE MODE")
                proxy.lose_answers = False
                with pytest.raises(Unavailable) as told:
                    await commit
            assert told.value.unknown
            assert told.value.retryable
            await patiently(lambda: store.commit([Put(A, 1, ABSENT), Append("s", 1)], commit_id="it"))
            assert await counted(store) == [1]
            return str(told.value)


@asynccontextmanager
async def _admin(postgres: PostgresServer) -> AsyncIterator[Any]:
    admin = await asyncpg.connect(postgres.url)
    try:
        yield admin
    finally:
        await admin.close()


class _TooSlow(Exception):
    """A time-out was over before what it is to show."""


async def _late(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch | None) -> object:
    """Return what A is when a commit arrives long after its caller was told of a Conflict for a second try."""
    for slowness in (1, 8, 64):
        try:
            return await _late_within(postgres, monkeypatch, slowness)
        except _TooSlow:
            continue
    raise AssertionError("no time-out is long enough")


async def _late_within(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch | None, slowness: float
) -> object:
    async with Proxy("127.0.0.1", postgres.port) as proxy:
        both = f"127.0.0.1:{proxy.port},127.0.0.1:{postgres.port}/"
        url = postgres.url.replace(f"127.0.0.1:{postgres.port}/", both)
        short = fresh(url, connect_timeout=0.6 * slowness, commit_timeout=0.3 * slowness)
        async with opened(short) as store:
            try:
                await store.commit([Put(B, 0)])  # its statement is prepared: what is held is the call itself
            except Unavailable as error:
                raise _TooSlow from error
            if not proxy.held:  # it has gone another way
                raise _TooSlow
            sessions = postgres.sql(
                "SELECT string_agg(pid::text, ',') FROM pg_stat_activity WHERE application_name = 'holdfast'"
            )
            await _held(store, proxy)
            async with open_store(postgres.url, namespace=store.namespace) as other:
                await other.commit([Put(A, "other")])
                if monkeypatch is not None:
                    monkeypatch.setattr(CommitLine, "doubt", lambda self, lost: lost.drop())
                    store._parts.line._unsettled.clear()  # type: ignore[attr-defined]
                await _told(store)
                await other.commit([Delete(A)])
                proxy.hold = False
                await until(lambda: _is(proxy.held == 0))
                await _ended(postgres, sessions)
                return await value(other, A)


async def _held(store: Store, proxy: Proxy) -> None:
    """Commit what does not arrive."""
    proxy.hold = True
    try:
        await store.commit([Put(A, "late", ABSENT)], commit_id="it")
    except Unavailable as error:
        if not error.unknown:  # it was never sent
            raise _TooSlow from error
    else:
        raise _TooSlow  # it has gone another way


async def _told(store: Store) -> None:
    """Repeat the commit until its Conflict is told."""
    with pytest.raises(Conflict):
        await patiently(lambda: store.commit([Put(A, "late", ABSENT)], commit_id="it"))


async def _ended(postgres: PostgresServer, sessions: str) -> None:
    """Return when sessions that have lost their client have carried out all that it had sent, and are gone."""
    watcher = await asyncpg.connect(postgres.url, ssl=False)
    try:
        await until(
            lambda: _none(watcher, f"SELECT count(*) FROM pg_stat_activity WHERE pid IN ({sessions})")
        )
    finally:
        await watcher.close()


async def _none(watcher: "asyncpg.Connection[asyncpg.Record]", count: str) -> bool:
    return not await watcher.fetchval(count)


async def _is(condition: bool) -> bool:
    return condition


async def test_what_arrives_late_is_fenced_off(postgres: PostgresServer) -> None:
    assert await _late(postgres, None) is None


async def test_what_arrives_late_is_fenced_off_control(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the fence, a commit that was answered by a Conflict happens after all."""
    assert await _late(postgres, monkeypatch) == "late"


async def test_cut_connections_lose_and_double_nothing(postgres: PostgresServer) -> None:
    async with (
        Proxy("127.0.0.1", postgres.port) as proxy,
        fresh(through(postgres.url, postgres, proxy.port)) as store,
    ):
        told: list[int] = []
        numbers = itertools.count()

        async def write() -> None:
            for number in itertools.islice(numbers, 25):
                await _settled(store, number)
                told.append(number)

        writing = asyncio.gather(*(write() for _ in range(4)))
        while not writing.done():
            proxy.cut()
            await asyncio.wait([writing], timeout=0.1)
        await writing
        stored = await counted(store)
        assert sorted(stored) == sorted(told)  # type: ignore[type-var]
        assert len(set(stored)) == 100


async def _settled(store: Store, number: int, *, patience: float = 100.0) -> None:
    """Commit, and repeat with the same id while that is what the store says to do."""
    changes: list[Change] = [Put(A, number), Put(B, number), Append("s", number)]
    async with asyncio.timeout(patience):
        while True:
            try:
                await store.commit(changes, commit_id=f"c{number}")
            except Unavailable as error:
                if not error.retryable:
                    raise
                await asyncio.sleep(0.01)
            else:
                return


async def test_a_cancelled_read_leaves_no_answer_behind(postgres: PostgresServer) -> None:
    async with fresh(postgres.url, readers=1) as store:
        await store.commit([Put(A, "a"), Put(B, "b")])
        for turn in range(60):
            reading = asyncio.ensure_future(store.get(A))
            for _ in range(turn % 9):
                await asyncio.sleep(0)
            reading.cancel()
            assert await value(store, B) == "b"
            await asyncio.wait({reading})


@pytest.mark.parametrize("idle", [0.0, 15.0])
async def test_a_dead_idle_connection_is_noticed(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, idle: float
) -> None:
    """Asked first where it has been idle for long, met and made again where it has not."""
    monkeypatch.setattr(session, "IDLE", idle)
    async with fresh(postgres.url) as store:
        await store.commit([Put(A, 1)])
        assert await value(store, A) == 1
        postgres.sql(
            "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE application_name = 'holdfast'"
        )
        assert await value(store, A) == 1
        await store.commit([Put(A, 2)])
        assert await value(store, A) == 2


# --- a server that hangs, dies, changes -------------------------------------------------------------------------------


async def test_a_hung_server(guarded: PostgresServer) -> None:
    async with opened(fresh(guarded.url, commit_timeout=0.4, connect_timeout=0.4, read_timeout=0.4)) as store:
        await patiently(lambda: store.commit([Put(A, 0)]))
        guarded.pause()
        try:
            with pytest.raises(Unavailable) as unknown:
                await store.commit([Append("s", 1)], commit_id="it")
            with pytest.raises(Unavailable):
                await store.get(A)
        finally:
            guarded.resume()
        assert unknown.value.unknown
        assert "did not answer in 0.4 s" in str(unknown.value)
        await patiently(lambda: store.commit([Append("s", 1)], commit_id="it"))
        assert await patiently(lambda: counted(store)) == [1]


async def test_killed_under_load(guarded: PostgresServer) -> None:
    """No acknowledged commit is lost or doubled when the server is killed, and nobody ever sees half of one."""
    async with fresh(guarded.url) as store:
        told: list[int] = []
        numbers = itertools.count()
        stopped = asyncio.Event()

        async def write() -> None:
            while not stopped.is_set():
                number = next(numbers)
                await _settled(store, number)
                told.append(number)

        async def look() -> None:
            while not stopped.is_set():
                try:
                    a, b = await store.get(A, B)
                except Unavailable:
                    continue
                assert (a and (a.value, a.version)) == (b and (b.value, b.version))

        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(write())
            group.create_task(look())
            for _ in range(3):
                before = len(told)
                await until(lambda before=before: _is(len(told) > before + 40), limit=100)  # type: ignore[misc]
                await asyncio.to_thread(guarded.kill)
                await asyncio.to_thread(guarded.start)
            stopped.set()
        stored = await counted(store)
        assert set(told) <= set(stored)
        assert len(set(stored)) == len(stored)
        assert (await store.get(A))[0].value == stored[-1]  # type: ignore[union-attr]


async def test_killed_under_load_control(guarded: PostgresServer) -> None:
    """Commits that are acknowledged before the flush are lost: declared beforehand, and noticed afterwards."""
    async with fresh(guarded.url, synchronous_commit="off") as store:
        assert store.durability is Durability.NONE
        assert "synchronous_commit = off" in store.warnings[0]
        guarded.sql("CHECKPOINT")
        stop_flushing(guarded)
        for number in range(20):
            await store.commit([Append("s", number)])
        guarded.kill()
        guarded.start()
        with pytest.raises(WentBack):
            await store.get(A)
        with pytest.raises(WentBack) as back:
            await store.commit([Append("s", "more")])
        assert back.value.found < back.value.known


def stop_flushing(server: PostgresServer) -> None:
    """Stop all of a server that could flush its log by itself, at a time of its own."""
    flushing = "'walwriter', 'background writer', 'checkpointer', 'autovacuum launcher'"
    pids = server.sql(f"SELECT pid FROM pg_stat_activity WHERE backend_type IN ({flushing})").split()
    assert len(pids) >= 3
    for pid in pids:
        os.kill(int(pid), signal.SIGSTOP)


async def test_torn_commits_would_be_seen(postgres: PostgresServer) -> None:
    """The control of the reader above: of a commit that is made of two, it sees a half."""
    async with fresh(postgres.url) as store:
        await store.commit([Put(A, 0), Put(B, 0)])
        await store.commit([Put(A, 1)])
        a, b = await store.get(A, B)
        await store.commit([Put(B, 1)])
        assert a
        assert b
        assert a.value != b.value


async def test_settings_that_change_while_it_runs(guarded: PostgresServer) -> None:
    async with fresh(guarded.url) as store:
        assert store.durability is Durability.POWER_LOSS
        for settings, durability in (
            ({"synchronous_commit": "off"}, Durability.NONE),
            ({"synchronous_commit": "local", "full_page_writes": "off"}, Durability.PROCESS_CRASH),
            ({"fsync": "off"}, Durability.NONE),
            ({"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}, Durability.POWER_LOSS),
        ):
            guarded.set(**settings)
            await until(lambda durability=durability: _declares(store, durability))  # type: ignore[misc]
            assert bool(store.warnings) is (durability is not Durability.POWER_LOSS)


async def _declares(store: Store, durability: Durability) -> bool:
    await store.commit([Put(A, 1)])
    return store.durability is durability
