"""Redis that cannot or must not be used: each case its own sentence, and no password in any of them."""

import asyncio
import datetime
import ipaddress
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from holdfast.errors import FromTheFuture, InvalidOption, StoreFull, Unavailable, Unsupported
from holdfast.store import Append, Durability, Key, Put, Store, open_store
from holdfast.store.backends.redis.committing import Waits
from holdfast.store.backends.redis.findings import judge
from holdfast.testing.servers.process import free_port
from holdfast.testing.servers.redis import RedisCluster, RedisServer, Tls
from tests.store.backends.patience import opened
from tests.store.backends.redis_world import fresh, key_of

pytestmark = pytest.mark.server("redis")

A = Key("signal.one", "BTCUSDT")
QUICK = "connect_timeout=0.5&read_timeout=0.5&commit_timeout=0.5"


async def refused(url: str) -> Unavailable:
    """Return what opening a store raises once it is not that a slow machine has not answered in time."""
    for _ in range(50):
        told = await refused_once(url)
        if "did not answer in time" not in str(told):
            break
    return told


async def refused_once(url: str) -> Unavailable:
    """Return what opening a store raises; it is certain that nothing happened."""
    with pytest.raises(Unavailable) as told:
        async with open_store(url, namespace=fresh()):
            pass
    assert told.value.unknown is False
    return told.value


async def test_wrong_password(redis_locked: RedisServer) -> None:
    told = await refused(f"redis://:wr0ng@127.0.0.1:{redis_locked.port}")
    assert "refuses the user name or password" in str(told)
    assert told.retryable is False
    assert "wr0ng" not in str(told) + repr(told)
    assert told.__cause__ is not None


async def test_no_password(redis_locked: RedisServer) -> None:
    told = await refused(f"redis://127.0.0.1:{redis_locked.port}")
    assert "asks for a password" in str(told)
    assert told.retryable is False


async def test_password_from_elsewhere(
    redis_locked: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert redis_locked.password
    (tmp_path / "secret").write_text(redis_locked.password + "\n")
    monkeypatch.setenv("REDIS_SECRET", redis_locked.password)
    for option in (f"password_file={tmp_path}/secret", "password_env=REDIS_SECRET"):
        async with open_store(f"redis://127.0.0.1:{redis_locked.port}?{option}", namespace=fresh()) as store:
            await store.commit([Put(A, 1)])
            assert redis_locked.password not in repr(store) + store.url


async def test_user_without_rights_changes_nothing(redis: RedisServer) -> None:
    redis.ask("ACL", "SETUSER", "poor", "on", ">pw", "~*", "+@all", "-xadd")
    async with open_store(f"redis://poor:pw@127.0.0.1:{redis.port}", namespace=fresh()) as store:
        with pytest.raises(Unavailable) as told:
            await store.commit([Put(A, 1), Append("history", 1)])
        assert (told.value.unknown, told.value.retryable) == (False, False)
        assert "does not let this user" in str(told.value)
        assert await store.get(A) == [None]


async def test_user_without_keys(redis: RedisServer) -> None:
    redis.ask("ACL", "SETUSER", "blind", "on", ">pw", "~other:*", "+@all")
    told = await refused(f"redis://blind:pw@127.0.0.1:{redis.port}")
    assert "does not let this user" in str(told)


async def test_settings_that_are_hidden_promise_nothing(redis: RedisServer) -> None:
    redis.ask("ACL", "SETUSER", "managed", "on", ">pw", "~*", "+@all", "-config")
    async with open_store(f"redis://managed:pw@127.0.0.1:{redis.port}", namespace=fresh()) as store:
        assert store.durability is Durability.NONE
        (warning,) = store.warnings
        assert "CONFIG is forbidden" in warning
        await store.commit([Put(A, 1)])


async def test_unknown_host() -> None:
    told = await refused("redis://no-such-host.invalid/0")
    assert "the host name is unknown" in str(told)


async def test_refused_port() -> None:
    told = await refused(f"redis://127.0.0.1:{free_port()}?{QUICK}")
    assert "no server listens on that port" in str(told)
    assert told.retryable is True


async def test_missing_socket(tmp_path: Path) -> None:
    assert "has no such socket" in str(await refused(f"unix://{tmp_path}/redis.sock?{QUICK}"))


async def test_hung_server(redis: RedisServer) -> None:
    redis.pause()
    try:
        assert "did not answer in time" in str(await refused_once(f"{redis.url}?{QUICK}"))
    finally:
        redis.resume()


async def test_wrong_database(redis: RedisServer) -> None:
    told = await refused(f"redis://127.0.0.1:{redis.port}/99")
    assert "has no such database" in str(told)
    assert told.retryable is False


async def test_databases_do_not_meet(redis: RedisServer) -> None:
    namespace = fresh()
    async with open_store(f"redis://127.0.0.1:{redis.port}/1", namespace=namespace) as one:
        await one.commit([Put(A, 1)])
        async with open_store(f"unix://{redis.socket}?db=2", namespace=namespace) as two:
            assert await two.get(A) == [None]


async def test_cluster_by_a_plain_url(redis_cluster: RedisCluster) -> None:
    namespace = fresh()
    owner = redis_cluster.owner(key_of(namespace, "meta"))
    other = next(node for node in redis_cluster.nodes if node is not owner)
    with pytest.raises(InvalidOption, match=r"redis\+cluster://"):
        async with open_store(other.url, namespace=namespace):
            pass


async def test_replica_is_refused(redis: RedisServer) -> None:
    with RedisServer(replica_of=redis) as replica:
        told = await refused(replica.url)
        assert "read-only replica" in str(told)
        assert told.retryable is False


async def test_demoted_under_way() -> None:
    with RedisServer() as server:
        async with opened(open_store(f"{server.url}?{QUICK}", namespace=fresh())) as store:
            server.ask("REPLICAOF", "127.0.0.1", free_port())
            for _ in range(50):  # a slow machine may not hear of it in time
                with pytest.raises(Unavailable) as told:
                    await store.commit([Put(A, 1)])
                if "replica" in str(told.value):
                    break
            assert told.value.unknown is False
            assert "replica" in str(told.value)


@pytest.mark.parametrize(
    ("settings", "durability", "named"),
    [
        ({}, Durability.POWER_LOSS, []),
        ({"appendfsync": "everysec"}, Durability.NONE, ["appendfsync everysec"]),
        ({"appendfsync": "no"}, Durability.NONE, ["appendfsync no"]),
        ({"appendonly": "no"}, Durability.NONE, ["appendonly no"]),
        ({"no-appendfsync-on-rewrite": "yes"}, Durability.PROCESS_CRASH, ["no-appendfsync-on-rewrite yes"]),
        ({"maxmemory": "100mb", "maxmemory-policy": "volatile-lru"}, Durability.POWER_LOSS, []),
    ],
)
async def test_durability_as_found(
    settings: dict[str, str], durability: Durability, named: list[str]
) -> None:
    with RedisServer(config=settings) as server:
        async with open_store(server.url) as store:
            assert store.durability is durability
            assert [name in warning for name, warning in zip(named, store.warnings, strict=True)] == [
                True
            ] * len(named)


async def test_eviction_is_refused() -> None:
    with RedisServer(config={"maxmemory": "100mb", "maxmemory-policy": "allkeys-lru"}) as server:
        with pytest.raises(Unsupported, match="maxmemory-policy allkeys-lru"):
            async with open_store(server.url):
                pass
        assert server.ask("DBSIZE") == 0


async def test_out_of_memory_refuses_new_work_whole_and_lets_vital_commits_through() -> None:
    with RedisServer(config={"maxmemory": "3mb"}) as server:
        async with open_store(server.url, namespace=fresh()) as store:
            with pytest.raises(StoreFull, match="maxmemory"):
                await fill(store)
            server.ask(
                "CONFIG", "SET", "maxmemory", "2mb"
            )  # full it is, whatever buffers the server lets go of
            last = await store.last_number("history")
            with pytest.raises(StoreFull):
                await store.commit([Put(A, 1), Append("history", -1)])
            assert await store.get(A) == [None]
            results = await asyncio.gather(
                *(store.commit([Append("history", n)], vital=n % 2 == 0) for n in range(4)),
                return_exceptions=True,
            )
            assert [isinstance(result, StoreFull) for result in results] == [False, True, False, True]
            assert await store.last_number("history") == last + 2


async def fill(store: Store) -> None:
    for number in range(1000):
        await store.commit([Put(Key("n", str(number)), "x" * 20_000), Append("history", number)])


async def test_disk_trouble_is_named() -> None:
    with RedisServer(config={"save": "3600 1"}) as server:
        async with open_store(server.url, namespace=fresh()) as store:
            (server.folder / "dump.rdb").mkdir()
            server.ask("BGSAVE")
            while b"rdb_last_bgsave_status:err" not in server.ask("INFO", "persistence"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            with pytest.raises(Unavailable) as told:
                await store.commit([Put(A, 1)])
            assert (told.value.unknown, told.value.retryable) == (False, False)
            assert "cannot write its own disk" in str(told.value)


async def test_long_script_of_somebody_is_waited_for() -> None:
    with RedisServer(config={"busy-reply-threshold": "20"}) as server:
        async with open_store(server.url, namespace=fresh()) as store:
            script = "while true do redis.call('PING') end"
            running = asyncio.ensure_future(asyncio.to_thread(killed_script, server, script))
            await asyncio.to_thread(until_busy, server)
            commit = asyncio.ensure_future(store.commit([Put(A, 1)]))
            await asyncio.sleep(0.1)
            assert not commit.done()
            server.ask("SCRIPT", "KILL")
            await asyncio.gather(commit, running)


def killed_script(server: RedisServer, script: str) -> None:
    from redis import ResponseError

    with pytest.raises(ResponseError, match="killed"):
        server.ask("EVAL", script, 0)


def until_busy(server: RedisServer) -> None:
    from redis import ResponseError

    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            server.ask("PING")
        except ResponseError:  # BUSY: it answers nothing else for now
            return


async def test_server_that_is_loading_is_waited_for() -> None:
    fill = "for i = 1, 2000 do redis.call('SET', 'filler' .. i, string.rep('x', 1000)) end"
    slow = {
        "key-load-delay": "10000",
        "loading-process-events-interval-bytes": "1024",
        "rdbcompression": "no",
    }
    with RedisServer(appendonly=False, config=slow) as server:  # it loads for 20 s, unless it is told not to
        async with open_store(server.url, namespace=fresh()) as store:
            await store.commit([Put(A, 0)])
            server.ask("EVAL", fill, 0)
            server.ask("SAVE")
            server.kill()
            server.start()
            assert b"loading:1" in server.ask("INFO", "persistence")
            commit = asyncio.ensure_future(store.commit([Put(A, 1)]))
            await asyncio.to_thread(until_refused, server, b"errorstat_LOADING")
            assert not commit.done()
            server.ask("CONFIG", "SET", "key-load-delay", 0)
            await commit


def until_refused(server: RedisServer, why: bytes) -> None:
    deadline = time.monotonic() + 60
    while why not in server.ask("INFO", "errorstats"):
        assert time.monotonic() < deadline


async def test_newer_format(redis: RedisServer) -> None:
    async with open_store(redis.url, namespace=fresh()) as store:
        redis.ask("HSET", key_of(store.namespace, "meta"), "format", 2)
    with pytest.raises(FromTheFuture):
        await store.open()


async def test_wait_aof_needs_a_newer_server(redis: RedisServer) -> None:
    if tuple(map(int, redis.ask("INFO", "server").split(b"redis_version:")[1].split(b".")[:2])) >= (7, 2):
        pytest.skip("this server knows WAITAOF")
    with pytest.raises(Unsupported, match=r"wait_aof needs Redis 7\.2"):
        await open_store(f"{redis.url}?wait_aof=1").open()


def test_old_server_is_refused() -> None:
    with pytest.raises(Unsupported, match=r"runs Redis 6\.2\.14"):
        judge([b"redis_version:6.2.14\r\nrole:master\r\n", [], [], []], "redis://old", watched=False)


@pytest.mark.parametrize(
    "url",
    [
        "redis://a,b/0", "redis://a/one", "redis://a/-1", "redis+cluster://a/1", "redis+cluster:///", "unix://host/x",
        "unix://", "redis+sentinel://a/", "redis://a?tls_ca=x", "redis://a?sentinel_username=x", "redis://a?nope=1",
        "redis://a?wait_replicas=x", "redis://a?wait_replicas=1.5", "redis://a?commit_timeout=0", "redis://a?db=1",
    ],
)  # fmt: skip
def test_urls_that_make_no_sense(url: str) -> None:
    with pytest.raises(InvalidOption):
        open_store(url)


# --- TLS ----------------------------------------------------------------------------------------------


def signed(folder: Path, name: str, host: str) -> Tls:
    """Make an authority, and a certificate of its own for a host."""
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} authority")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    names = [x509.IPAddress(ipaddress.ip_address(host))] if host[0].isdigit() else [x509.DNSName(host)]

    def made(subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, authority: bool) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder(
            issuer, subject, key.public_key(), x509.random_serial_number(), now - datetime.timedelta(hours=1),
            now + datetime.timedelta(hours=1),
        )  # fmt: skip
        builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        if not authority:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(ca_key, hashes.SHA256())

    files = Tls(ca=folder / f"{name}-ca.pem", certificate=folder / f"{name}.pem", key=folder / f"{name}.key")
    pem = serialization.Encoding.PEM
    files.ca.write_bytes(made(issuer, ca_key, authority=True).public_bytes(pem))
    files.certificate.write_bytes(made(subject, key, authority=False).public_bytes(pem))
    private = serialization.PrivateFormat.PKCS8
    files.key.write_bytes(key.private_bytes(pem, private, serialization.NoEncryption()))
    return files


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tls=signed(tmp_path_factory.mktemp("tls"), "right", "127.0.0.1")) as server:
        yield server


async def test_tls(tls: RedisServer) -> None:
    async with open_store(tls.url, namespace=fresh()) as store:
        version = await store.commit([Put(A, 1)])
        assert (await store.get(A))[0] is not None
        assert version


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda url: url.partition("?")[0], "not trusted here"),
        (lambda url: url.replace("127.0.0.1", "localhost"), "not trusted here"),
        (lambda url: url.replace("rediss", "redis").partition("?")[0] + f"?{QUICK}", "cut the connection"),
    ],
)
async def test_tls_refused(tls: RedisServer, change: Callable[[str], str], sentence: str) -> None:
    told = await refused(change(tls.url))
    assert sentence in str(told)


async def test_tls_to_a_server_without(redis: RedisServer) -> None:
    told = await refused_once(f"rediss://127.0.0.1:{redis.port}?{QUICK}")
    assert "does not speak TLS" in str(told)


@pytest.mark.parametrize(
    ("waits", "answers", "reached"),
    [
        (Waits(), [], True),
        (Waits(replicas=2), [2], True),
        (Waits(replicas=2), [1], False),
        (Waits(disks=1), [[1, 1]], True),
        (Waits(disks=1), [[0, 1]], False),  # not on the server's own disk
        (Waits(disks=1), [[1, 0]], False),
        (Waits(replicas=1, disks=1), [1, [1, 1]], True),
        (Waits(replicas=1, disks=1), [1, [1, 0]], False),
    ],
)
def test_a_short_count_is_seen(waits: Waits, answers: list[object], reached: bool) -> None:
    assert len(waits.commands(100)) == len(answers)
    assert (waits.short(answers) is None) is reached
