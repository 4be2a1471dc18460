"""Redis killed under load, its log cut off anywhere, readers beside another process. Each has its control."""

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from holdfast.errors import Unavailable, WentBack
from holdfast.store import Append, Change, Durability, Key, Put, Store, open_store
from holdfast.testing.servers.redis import RedisServer
from tests.store.backends.redis_world import fresh, key_of
from tests.store.contract import everything

pytestmark = pytest.mark.server("redis")

A, B = Key("signal.one", "BTCUSDT"), Key("signal.one", "ETHUSDT")
WRITERS = 8


class Load:
    """Writers that commit a record and an event at a time, each repeated with its id until it is acknowledged."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.acknowledged = [0] * WRITERS
        self.unknown = 0
        self.ending = False

    async def run(self, writer: int) -> None:
        number = 0
        while not self.ending:
            number += 1
            while not await self.tried(writer, number):  # noqa: ASYNC110  # the attempt itself is what is awaited
                await asyncio.sleep(0.01)
            self.acknowledged[writer] = number

    async def reached(self, wanted: int, writing: Sequence[asyncio.Future[None]]) -> None:
        """Return in the middle of the load, once so many are acknowledged, or a writer has ended."""
        while sum(self.acknowledged) < wanted and not any(task.done() for task in writing):  # noqa: ASYNC110
            await asyncio.sleep(0)

    async def tried(self, writer: int, number: int) -> bool:
        changes: list[Change] = [Put(Key("writer", str(writer)), number), Append(f"history.{writer}", number)]
        try:
            await self.store.commit(changes, commit_id=f"{writer}-{number}")
        except Unavailable as error:
            self.unknown += error.unknown
            return False
        return True


async def faults(store: Store, load: Load) -> list[str]:
    """Return what is wrong with what the writers were told, compared with what is there."""
    found = []
    for writer, told in enumerate(load.acknowledged):
        events = [event.value for event in await everything(store.read(f"history.{writer}"))]
        (record,) = await store.get(Key("writer", str(writer)))
        if len(events) < told:
            found.append(f"writer {writer}: {told} acknowledged, {len(events)} there")
        if events != list(range(1, len(events) + 1)):
            found.append(f"writer {writer}: not once each: {events}")
        if (record.value if record else 0) != len(events):
            found.append(f"writer {writer}: torn: {record} with {len(events)} events")
    return found


async def killed_under_load(server: RedisServer, *, kills: int) -> list[str]:
    url = f"{server.url}?commit_timeout=10"
    store = open_store(url, namespace=fresh())
    await store.open()
    load = Load(store)
    writing = [asyncio.ensure_future(load.run(writer)) for writer in range(WRITERS)]
    for _ in range(kills):
        wanted = sum(load.acknowledged) + 150
        await load.reached(wanted, writing)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
    load.ending = True
    results = await asyncio.gather(*writing, return_exceptions=True)
    await store.close()
    async with open_store(url, namespace=store.namespace) as again:
        told = [f"told: {result}" for result in results if isinstance(result, WentBack)]
        return told + await faults(again, load)


@pytest.mark.crash
async def test_server_killed_under_load_loses_doubles_and_tears_nothing() -> None:
    with RedisServer() as server:
        assert await killed_under_load(server, kills=4) == []


@pytest.mark.crash
async def test_server_killed_under_load_control() -> None:
    """A server without a log loses acknowledged commits: the store is told so, says so, and the check sees it."""
    with RedisServer(appendonly=False) as server:
        async with open_store(server.url, namespace=fresh()) as store:
            (warning,) = store.warnings
            assert "loses acknowledged commits" in warning
        found = await killed_under_load(server, kills=1)
        assert any("has lost" in fault for fault in found)
        assert any("acknowledged, 0 there" in fault for fault in found)


# --- a log that ends anywhere -------------------------------------------------------------------------


def log_of(server: RedisServer) -> Path:
    (found,) = server.folder.glob("appendonlydir/*.incr.aof")
    return found


async def torn_by_a_cut(
    server: RedisServer, write: Callable[[Store], Awaitable[None]], *, cuts: int
) -> list[tuple[object, object]]:
    """Return the states, not whole, that the server comes up with where its log ends within the last write."""
    async with open_store(server.url, namespace=fresh()) as store:
        await store.commit([Put(A, 1), Put(B, 1)])
        before = log_of(server).stat().st_size
        await write(store)
    server.kill()
    whole = log_of(server).read_bytes()
    torn = []
    for cut in range(cuts):
        server.kill()
        log_of(server).write_bytes(whole[: before + (len(whole) - before) * cut // cuts])
        server.start()
        values = key_of(store.namespace, f"values:{A.entity_name}")
        a, b = (server.ask("HGET", values, key.entity_id) for key in (A, B))
        if (a, b) not in {(b"1", b"1"), (b"2", b"2")}:
            torn.append((a, b))
    return torn


async def test_a_log_that_ends_anywhere_holds_whole_commits() -> None:
    """Redis writes what a script did between MULTI and EXEC: a torn end takes all of it."""

    async def write(store: Store) -> None:
        await store.commit([Put(A, 2), Put(B, 2)])

    with RedisServer() as server:
        assert await torn_by_a_cut(server, write, cuts=12) == []


async def test_a_log_that_ends_anywhere_control() -> None:
    """A commit made of plain commands is torn by the same cuts."""
    with RedisServer() as server:

        async def write(store: Store) -> None:
            for key in (A, B):
                server.ask("HSET", key_of(store.namespace, f"values:{A.entity_name}"), key.entity_id, "2")

        assert (b"2", b"1") in await torn_by_a_cut(server, write, cuts=6)


# --- another process writes ---------------------------------------------------------------------------

WRITER = """
import asyncio, sys
from holdfast.store import Key, Put, open_store

async def main():
    async with open_store(sys.argv[1], namespace=sys.argv[2]) as store:
        number = 0
        while True:
            number += 1
            await store.commit([Put(Key("signal.one", name), number) for name in ("BTCUSDT", "ETHUSDT")])

asyncio.run(main())
"""


COUNTER = """
import asyncio, sys
from holdfast.errors import Conflict
from holdfast.store import ABSENT, Key, Put, open_store

async def main():
    async with open_store(sys.argv[1], namespace=sys.argv[2]) as store:
        for _ in range(100):
            while True:
                (found,) = await store.get(Key("count", "x"))
                try:
                    await store.commit([Put(Key("count", "x"), found.value + 1 if found else 1,
                                            found.version if found else ABSENT)])
                    break
                except Conflict:
                    pass

asyncio.run(main())
"""


def python(code: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code, *arguments])


async def apart(
    server: RedisServer, look: Callable[[Store], Awaitable[tuple[object, object]]]
) -> tuple[int, int]:
    """Return how often two keys that only change together were seen apart, and how many states were seen."""
    namespace = fresh()
    async with open_store(server.url, namespace=namespace) as store:
        await store.commit([Put(A, 0), Put(B, 0)])
        writer = python(WRITER, server.url, namespace)
        seen: list[tuple[object, object]] = []
        try:
            while len(set(seen)) < 150 and writer.poll() is None:
                seen.append(await look(store))
        finally:
            writer.kill()
            writer.wait()
    return sum(a != b for a, b in seen), len(set(seen))


async def test_readers_beside_another_process_see_whole_commits(redis: RedisServer) -> None:
    async def look(store: Store) -> tuple[object, object]:
        a, b = await store.get(A, B)
        return a and a.value, b and b.value

    assert await apart(redis, look) == (0, 150)


async def test_readers_beside_another_process_control(redis: RedisServer) -> None:
    """Read one by one, they are seen apart."""

    async def look(store: Store) -> tuple[object, object]:
        (a,), (b,) = await store.get(A), await store.get(B)
        return a and a.value, b and b.value

    torn, _ = await apart(redis, look)
    assert torn > 0


async def test_two_processes_count_without_losing(redis: RedisServer) -> None:
    """`ABSENT` and versions conflict with what another process writes at the same time."""
    namespace = fresh()
    children = [python(COUNTER, redis.url, namespace) for _ in range(3)]
    assert [await asyncio.to_thread(child.wait) for child in children] == [0, 0, 0]
    async with open_store(redis.url, namespace=namespace) as store:
        (found,) = await store.get(Key("count", "x"))
        assert found is not None
        assert found.value == 300


# --- acknowledged is flushed --------------------------------------------------------------------------


async def answered_before_flushed(server: RedisServer, trace: Path) -> list[str]:
    """Return the answers to commits that left the server while its log was written and not flushed."""
    async with open_store(server.url, namespace=fresh()) as store:
        calls = "trace=write,writev,sendto,fdatasync,fsync"
        tracer = strace(["-f", "-y", "-qq", "-o", str(trace), "-e", calls, "-p", str(server.pid)])
        try:
            number = 0
            while traced(trace).count("incr.aof") < 100:
                number += 1
                await store.commit([Put(A, number)])
        finally:
            tracer.terminate()
            tracer.wait()
    early, dirty = [], False
    for line in traced(trace).splitlines():
        if "incr.aof" in line:
            dirty = "sync(" not in line
        elif dirty and "<socket:" in line:
            early.append(line)
    return early


def traced(trace: Path) -> str:
    return trace.read_text() if trace.exists() else ""


def strace(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["strace", *arguments])


@pytest.mark.needs("strace")
async def test_what_is_acknowledged_was_flushed_before(redis: RedisServer, tmp_path: Path) -> None:
    async with open_store(redis.url) as store:
        assert store.durability is Durability.POWER_LOSS
    assert await answered_before_flushed(redis, tmp_path / "trace") == []


@pytest.mark.needs("strace")
async def test_what_is_acknowledged_was_flushed_before_control(tmp_path: Path) -> None:
    with RedisServer(appendfsync="everysec") as server:
        async with open_store(server.url) as store:
            assert store.durability is Durability.NONE
        assert await answered_before_flushed(server, tmp_path / "trace") != []
