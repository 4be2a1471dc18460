"""What the MongoDB backend says when it cannot do something: each case its own sentence, and no password in any.

Real where something here can produce it (ports, names, TLS, a standalone server); what only mongod answers is mapped
from exceptions made here, which shows the mapping and not that mongod answers so.
"""

import asyncio
import gc
import inspect
import socket
import ssl
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from bson.errors import InvalidBSON
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ExecutionTimeout,
    InvalidOperation,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from holdfast.errors import Corrupt, InvalidOption, InvalidValue, NotOpen, StoreFull, Unavailable, Unsupported
from holdfast.store import Durability, Key, Put, open_store
from holdfast.store.backends import network
from holdfast.store.backends.mongo.documents import record_of
from holdfast.store.backends.mongo.errors import failure, may_pass, transient
from holdfast.store.backends.mongo.findings import refuse, weigh
from holdfast.store.backends.mongo.options import client_options, database_name, host
from holdfast.store.url import parse
from holdfast.testing.servers.mongo import MongoTestServer
from holdfast.testing.servers.process import free_port
from tests.store.backends.mongo_servers import REAL, needs_mongodb, server, with_source

__all__ = ("server",)

# The driver leaves a socket unclosed where it could not connect, also without us; it is closed when collected.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

SECRET = "s3cr3t-w0rd"
SOON = "connect_timeout=1.5&read_timeout=0.5"


@pytest.fixture(autouse=True)
def collected(request: pytest.FixtureRequest) -> Iterator[None]:
    """What the driver left is collected within the test that it is of."""
    yield
    if inspect.iscoroutinefunction(request.function):
        gc.collect()


async def unavailable(url: str) -> Unavailable:
    """Open a store that cannot be opened; return what is said, which never holds the password."""
    store = open_store(url)
    with pytest.raises(Unavailable) as failed:
        await store.open()
    told = "".join(traceback.format_exception(failed.value)) + repr(store) + store.url
    assert SECRET not in told
    assert isinstance(failed.value.__cause__, PyMongoError | None)
    assert not failed.value.unknown
    return failed.value


# --- real ---------------------------------------------------------------------------------------------


async def test_nothing_listens() -> None:
    error = await unavailable(f"mongodb://bot:{SECRET}@127.0.0.1:{free_port()}/bots?{SOON}")
    assert "refuses connections: nothing listens there" in str(error)
    assert error.retryable


async def test_a_host_that_is_not_known() -> None:
    error = await unavailable(f"mongodb://no-such-host.invalid/bots?{SOON}")
    assert "host name" in str(error)
    assert error.retryable


@pytest.mark.server("mongo")
async def test_a_standalone_server_is_refused_with_the_remedy(server: MongoTestServer) -> None:
    error = await unavailable(f"mongodb://127.0.0.1:{server.port}/bots?{SOON}")
    assert "is a standalone server" in str(error)
    assert "mongod --replSet rs0" in str(error)
    assert "rs.initiate()" in str(error)
    assert not error.retryable


@pytest.mark.server("mongo")
async def test_a_replica_set_of_another_name(server: MongoTestServer) -> None:
    error = await unavailable(f"mongodb://127.0.0.1:{server.port}/bots?replicaSet=rs9&{SOON}")
    assert "no member of the replica set that the URL's replicaSet names" in str(error)
    assert not error.retryable


async def test_a_cluster_name_that_is_not_known() -> None:
    error = await unavailable(f"mongodb+srv://bot:{SECRET}@no-such-cluster.invalid/bots?{SOON}")
    assert "DNS" in str(error)


@pytest.mark.server("mongo")
async def test_tls(server: MongoTestServer, tmp_path: Path) -> None:
    """The certificate is checked against tlsCAFile, and the host against the certificate."""
    authority, context = certificates(tmp_path)
    async with tls_before(server.port, context) as port:
        place = f"localhost:{port}/tls?test_server=1&tls=true"
        async with open_store(f"mongodb://{place}&tlsCAFile={authority}") as store:
            await store.commit([Put(Key("a", "b"), 1)])
        untrusted = await unavailable(f"mongodb://{place}&{SOON}")
        other_name = await unavailable(
            f"mongodb://{place}&tlsCAFile={authority}&{SOON}".replace("localhost", "127.0.0.1")
        )
        for error in (untrusted, other_name):
            assert "certificate that is not trusted" in str(error)
            assert not error.retryable


def certificates(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Return the certificate of an authority of our own, and a server's context for `localhost`."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(
            name, name, key.public_key(), 7, now - timedelta(days=1), now + timedelta(days=1)
        )
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, both = folder / "ca.pem", folder / "server.pem"
    public.write_bytes(made.public_bytes(Encoding.PEM))
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    both.write_bytes(secret + public.read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return public, context


@asynccontextmanager
async def tls_before(port: int, context: ssl.SSLContext) -> AsyncIterator[int]:
    """Speak TLS on a port of its own, and pass on what is said to a plain one."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(reader, there), copy(there_reader, writer))

    async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()
        sink.close()

    listening = await asyncio.start_server(serve, "localhost", 0, ssl=context, family=socket.AF_INET)
    yield listening.sockets[0].getsockname()[1]
    listening.close()


@needs_mongodb
async def test_a_wrong_password() -> None:
    parts = urlsplit(REAL)
    if not parts.username:
        pytest.skip("the server of HOLDFAST_TEST_MONGODB_URL asks for no password")
    place = parts.netloc.rpartition("@")[2]
    query = with_source(parts.query)
    error = await unavailable(f"{parts.scheme}://{parts.username}:{SECRET}@{place}/bots?{query}")
    assert "refuses the user or password" in str(error)
    assert not error.retryable


# --- URLs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("w=1", "weaken"),
        ("w=0", "weaken"),
        ("j=false", "weaken"),
        ("journal=false", "weaken"),
        ("readPreference=secondary", "weaken"),
        ("readpreference=nearest", "weaken"),
        ("readConcernLevel=local", "weaken"),
        ("ssl=false", "weaken"),
        ("tlsInsecure=true", "tlsCAFile"),
        ("tlsAllowInvalidCertificates=true", "tlsCAFile"),
        ("tlsCertificateKeyFilePassword=x", "secret"),
        ("connectTimeoutMS=5", "connect_timeout"),
        ("sockettimeoutms=5", "read_timeout"),
        ("commit_timeout=0", "at least"),
        ("test_server=maybe", "one of"),
        ("madeUp=1", "unknown option 'madeUp'.*authSource"),
    ],
)
def test_options_that_are_refused(query: str, why: str) -> None:
    with pytest.raises(InvalidOption, match=why):
        open_store(f"mongodb://h/bots?{query}")


@pytest.mark.parametrize("path", ["a.b", "a b", "admin", "local", "config", "x" * 64, "a/b", "a%24b"])
def test_databases_that_are_refused(path: str) -> None:
    with pytest.raises(InvalidOption, match="database"):
        open_store(f"mongodb://h/{path}")


def test_what_repeats_the_promise_is_taken() -> None:
    open_store("mongodb+srv://bot:x@cluster.example.net/?retryWrites=true&w=majority&appName=bots")
    open_store("mongodb://h/?journal=true&readPreference=primary&readConcernLevel=majority&ssl=true")


def test_options_that_are_passed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "word").write_text(f"{SECRET}\n")
    monkeypatch.setenv("KEY_WORD", "k")
    url = parse(
        "mongodb://b%40t@a:1,b:2/bots?replicaset=rs0&tls=true&tlsCAFile=/ca.pem&connect_timeout=2.5"
        f"&password_file={tmp_path}/word&tls_key_password_env=KEY_WORD&maxPoolSize=7"
    )
    assert host(url) == "a:1,b:2"
    assert database_name(url) == "bots"
    assert client_options(url) == {
        "appname": "holdfast", "authSource": "bots", "connectTimeoutMS": 2500, "maxPoolSize": 7, "password": SECRET,
        "replicaSet": "rs0", "retryWrites": False, "serverSelectionTimeoutMS": 2500, "tls": True,
        "tlsCAFile": "/ca.pem", "tlsCertificateKeyFilePassword": "k", "username": "b@t",
    }  # fmt: skip
    assert database_name(parse("mongodb://h")) == database_name(parse("mongodb://h/")) == "holdfast"


def test_who_knows_the_user() -> None:
    def source(url: str) -> Any:
        return client_options(parse(url)).get("authSource")

    assert source("mongodb://u:p@h") == "admin"
    assert source("mongodb://u:p@h/bots") == "bots"
    assert source("mongodb://u:p@h/bots?authSource=people") == "people"
    assert source("mongodb+srv://u:p@h/bots") is None  # the name server may say
    assert source("mongodb://u@h/bots?authMechanism=MONGODB-X509") is None
    assert source("mongodb://h/bots") is None


async def test_an_option_that_the_driver_refuses() -> None:
    with pytest.raises(InvalidOption, match="cannot be used"):
        await open_store("mongodb://h/bots?authMechanism=NONE-SUCH").open()
    with pytest.raises(InvalidOption, match="no such variable"):
        await open_store("mongodb://u@h/bots?password_env=NOT_THERE").open()


def test_without_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name, name=name)

    monkeypatch.setattr(network, "import_module", missing)
    with pytest.raises(Unsupported, match=r"holdfast\[mongo\]"):
        open_store("mongodb://h/bots")


# --- mapped from exceptions made here -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "says", "retryable"),
    [
        (18, "refuses the user or password", False),
        (8000, "refuses the user or password", False),
        (13, "grant `readWrite`", False),
        (20, "rs.initiate", False),
        (50, "took longer", True),
        (64, "majority", True),
        (79, "no replica set", False),
        (91, "shutting down", True),
        (100, "too few members", False),
        (112, "60 s", True),
        (146, "out of memory", True),
        (189, "no primary", True),
        (246, "read again", True),
        (262, "took longer", True),
        (290, "transactionLifetimeLimitSeconds", True),
        (388, "smaller commits", False),
        (10107, "no primary", True),
        (13435, "may only be read", True),
        (4242, "code 4242", False),
    ],
)
def test_what_a_server_may_answer(code: int, says: str, retryable: bool) -> None:
    mapped = failure(OperationFailure("said so", code), "mongodb://h/bots")
    assert type(mapped) is Unavailable
    assert says in str(mapped)
    assert "mongodb://h/bots" in str(mapped)
    assert (mapped.retryable, mapped.unknown) == (retryable, False)


def test_what_else_a_server_or_the_driver_may_say() -> None:
    def kind(error: BaseException) -> Any:
        return type(failure(error, "u"))

    assert kind(OperationFailure("OutOfDiskSpace", 14031)) is StoreFull
    assert kind(OperationFailure("BSONObjectTooLarge", 10334)) is InvalidValue
    assert kind(BulkWriteError({"writeErrors": [{"code": 11000, "errmsg": "twice"}]})) is Corrupt
    assert kind(InvalidBSON("bad")) is Corrupt
    assert kind(InvalidOperation("after close")) is NotOpen
    for error in (
        AutoReconnect("cut"),
        NetworkTimeout("late"),
        NotPrimaryError("no"),
        ExecutionTimeout("late", 50),
    ):
        assert failure(error, "u").retryable
    assert "no primary" in str(failure(NotPrimaryError("no", {"code": 10107}), "u"))
    assert "shutting down" in str(failure(NotPrimaryError("no", {"code": 91}), "u"))


@pytest.mark.parametrize(
    ("said", "says", "retryable"),
    [
        ("h:1: [SSL: CERTIFICATE_VERIFY_FAILED] unable to get local issuer", "not trusted", False),
        ("No replica set members found yet", "cannot be reached", True),
        ('No replica set members match selector "Primary()"', "no primary now", True),
        ("h:1: [Errno -3] Temporary failure in name resolution", "could not be looked up", True),
        ("Server at h:1 reports wire version 5, but needs", "MongoDB 5.0", False),
    ],
)
def test_what_the_driver_may_say_of_no_server(said: str, says: str, retryable: bool) -> None:
    error = ServerSelectionTimeoutError(said)
    mapped = failure(error, "u")
    assert says in str(mapped)
    assert mapped.retryable is retryable is may_pass(error)


def test_only_what_may_have_happened_is_unknown() -> None:
    unknown = failure(OperationFailure("disk", 14031), "u", unknown=True)
    assert type(unknown) is Unavailable
    assert unknown.unknown
    assert unknown.retryable
    assert "repeat it with its id" in str(unknown)


def test_what_is_tried_again() -> None:
    def labelled(label: str) -> OperationFailure:
        return OperationFailure("said so", 251, {"errorLabels": [label]})

    assert transient(labelled("TransientTransactionError"))
    assert transient(labelled("UnknownTransactionCommitResult"))
    assert transient(AutoReconnect("cut"))
    assert not transient(OperationFailure("no", 13))


# --- findings, of answers made here -------------------------------------------------------------------


def test_what_a_commit_survives() -> None:
    def found(hello: dict[str, Any], config: Any = None, stats: Any = None) -> tuple[Durability, int]:
        findings = weigh("u", hello, config or {}, stats or {"wiredTiger": {}})
        return findings.durability, len(findings.warnings)

    one = {"setName": "rs0", "hosts": ["a"]}
    assert found(one) == (Durability.POWER_LOSS, 0)
    assert found(one | {"hosts": ["a", "b", "c"]}) == (Durability.FAILOVER, 0)
    assert found(one | {"hosts": ["a", "b"]}) == (Durability.FAILOVER, 1)
    assert found(one | {"hosts": ["a", "b"], "arbiters": ["c"]}) == (Durability.FAILOVER, 1)
    assert found(one | {"passives": ["b"], "arbiters": ["c"]}) == (Durability.POWER_LOSS, 1)
    assert found(one, {"writeConcernMajorityJournalDefault": False}) == (Durability.POWER_LOSS, 1)
    assert found(one, {}, {"inMemory": {}}) == (Durability.NONE, 1)
    assert found({"msg": "isdbgrid"}) == (Durability.POWER_LOSS, 1)


@pytest.mark.parametrize("version", ["4.4.29", "4.2", "3.6.23", "0"])
def test_a_server_that_is_too_old(version: str) -> None:
    with pytest.raises(Unavailable, match=r"5\.0 or newer is needed") as old:
        refuse("u", {"setName": "rs0"}, version)
    assert not old.value.retryable


def test_a_server_that_will_do() -> None:
    for version in ("5.0.0", "7.0.14", "8.2.1-rc0", "10.0"):
        refuse("u", {"setName": "rs0"}, version)
        refuse("u", {"msg": "isdbgrid"}, version)
    with pytest.raises(Unavailable, match="standalone"):
        refuse("u", {}, "8.0.0")
    with pytest.raises(Unavailable, match="may only be read"):
        refuse("u", {"setName": "rs0", "secondary": True}, "8.0.0")


def test_an_unreadable_document_names_its_key() -> None:
    with pytest.raises(Corrupt) as bad:
        record_of({"entity": "a", "id": "b", "version": 1, "text": "1"})
    assert bad.value.key == Key("a", "b")


@pytest.mark.server("mongo")
async def test_a_deadline_that_is_over_before_it_starts(server: MongoTestServer) -> None:
    async with open_store(f"{server.url}&commit_timeout=0.001&namespace=late") as store:
        with pytest.raises(Unavailable) as late:
            await store.commit([Put(Key("a", "b"), 1)])
        assert late.value.retryable
        await asyncio.sleep(0)
