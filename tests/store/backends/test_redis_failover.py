"""Redis with several servers: replicas waited for, masters that change, slots that move while commits run."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable

import pytest

from holdfast.errors import Conflict, InvalidOption, Unavailable, WentBack
from holdfast.store import Append, Change, Delete, Durability, Key, Put, Store, open_store
from holdfast.testing.servers.proxy import Proxy
from holdfast.testing.servers.redis import RedisCluster, RedisSentinels, RedisServer
from tests.store.backends.redis_world import fresh, key_of
from tests.store.contract import everything

pytestmark = pytest.mark.server("redis")

A, B = Key("signal.one", "BTCUSDT"), Key("signal.one", "ETHUSDT")


async def numbers(store: Store) -> list[int]:
    return [event.value for event in await everything(store.read("history"))]


async def repeated(commit: Callable[[], Awaitable[str]]) -> None:
    """Commit until it is known to have happened, with one id, as a run does."""
    for _ in range(2_000):
        try:
            await commit()
        except Unavailable:
            await asyncio.sleep(0.05)
        else:
            return
    raise AssertionError("never acknowledged")


async def test_waiting_for_a_replica() -> None:
    with RedisServer() as master, RedisServer(replica_of=master) as replica:
        url = f"{master.url}?wait_replicas=1&commit_timeout=1"
        async with open_store(url, namespace=fresh()) as store:
            assert store.durability is Durability.POWER_LOSS  # never FAILOVER: replication is asynchronous
            (warning,) = store.warnings
            assert "asynchronously" in warning
            await repeated(lambda: store.commit([Append("history", 1)], commit_id="one"))
            replica.kill()
            for _ in range(2):  # repeated with its id, it waits like the first try
                await too_few(lambda: store.commit([Append("history", 2)], commit_id="two"))
            with pytest.raises(Conflict):  # what certainly did not happen is not unknown
                await repeated(lambda: store.commit([Put(A, 1, "other")]))
            replica.start()
            await repeated(lambda: store.commit([Append("history", 2)], commit_id="two"))
            assert await numbers(store) == [1, 2]
        async with open_store(
            url, namespace=store.namespace
        ) as again:  # on a connection that has written nothing
            replica.pause()
            await too_few(lambda: again.commit([Append("history", 2)], commit_id="two"))
            replica.resume()


async def too_few(commit: Callable[[], Awaitable[str]]) -> None:
    """Commit until it is said that the replicas are too few: a slow machine may not hear that in time."""
    for _ in range(100):
        with pytest.raises(Unavailable) as told:
            await commit()
        if "0 of 1 replicas" in str(told.value):
            assert told.value.unknown is True
            return
    raise AssertionError("never told of the replicas")


async def test_replica_that_takes_over_without_the_last_commits() -> None:
    with RedisServer() as master, RedisServer(replica_of=master) as replica:
        async with Proxy("127.0.0.1", master.port) as proxy:
            url = f"redis://127.0.0.1:{proxy.port}"
            async with open_store(url, namespace=fresh()) as store:
                await store.commit([Append("history", 1)])
                master.ask("WAIT", 1, 5000)
                await asyncio.to_thread(caught_up, master, replica)
                replica.ask("REPLICAOF", "NO", "ONE")
                await store.commit([Append("history", 2)])  # acknowledged, and only the master has it
                master.kill()
                proxy.target = ("127.0.0.1", replica.port)
                proxy.cut()
                with pytest.raises(WentBack):
                    await repeated(lambda: store.commit([Append("history", 3)], commit_id="three"))
                with pytest.raises(WentBack):
                    await store.get(A)


def caught_up(master: RedisServer, replica: RedisServer) -> None:
    until(lambda: replica.ask("DBSIZE") == master.ask("DBSIZE"))


async def test_sentinels_fail_over_while_commits_run() -> None:
    """All that was acknowledged is there, once, or the store says that it went back."""
    with RedisSentinels() as watched:
        with pytest.raises(InvalidOption, match="knows no service 'other'"):
            await open_store(watched.url.replace(watched.service, "other")).open()
        async with open_store(f"{watched.url}?commit_timeout=2&read_timeout=100", namespace=fresh()) as store:
            assert any("asynchronously" in warning for warning in store.warnings)
            acknowledged: list[int] = []
            failed_over, some = asyncio.Event(), asyncio.Event()

            async def write(writer: int) -> None:
                for number in itertools.count(writer, 4):
                    await repeated(
                        lambda: store.commit([Append("history", number)], commit_id=f"n{number}")  # noqa: B023
                    )
                    acknowledged.append(number)
                    if len(acknowledged) > 100:
                        some.set()
                    if failed_over.is_set() and len(acknowledged) > before + 20:
                        return

            before = 0
            writing = [asyncio.ensure_future(write(writer)) for writer in range(4)]
            await asyncio.wait_for(some.wait(), 100)
            before = len(acknowledged)
            watched.master.kill()
            failed_over.set()
            results = await asyncio.gather(*writing, return_exceptions=True)
            if any(isinstance(result, WentBack) for result in results):
                return  # it lost some, and said so
            assert results == [None] * 4
            assert watched.current() == watched.replicas[0].port
            found = await numbers(store)
            assert sorted(found) == sorted(set(found))
            assert set(acknowledged) <= set(found)


async def test_slot_moves_while_commits_run(redis_cluster: RedisCluster) -> None:
    namespace = fresh()
    url = f"{redis_cluster.url}?commit_timeout=100&read_timeout=100"
    async with open_store(url, namespace=namespace) as store, open_store(url, namespace=namespace) as reader:
        await store.commit([Put(A, 0), Put(B, 0), Append("history", 0)])
        moved = asyncio.Event()
        seen, looks = 0, 0

        async def write() -> int:
            for number in itertools.count(1):
                changes: list[Change] = [Put(A, number), Put(B, number), Append("history", number)]
                odd = Key("comes.and.goes", str(number))
                await store.commit([*changes, Put(odd, number)] if number % 3 else changes)
                if number % 3:
                    await store.commit([Delete(odd)])
                if moved.is_set():
                    return number
            raise AssertionError

        async def look() -> None:
            nonlocal seen, looks
            while not moved.is_set():
                a, b = await reader.get(A, B)
                assert a is not None
                assert b is not None
                assert a.value == b.value >= seen
                seen, looks = a.value, looks + 1

        writing, looking = asyncio.ensure_future(write()), asyncio.ensure_future(look())
        try:
            for _ in range(2):
                await asyncio.to_thread(move_slot, redis_cluster, key_of(namespace, "meta"), lambda: looks)
        finally:
            moved.set()
        for name in (b"errorstat_ASK", b"errorstat_MOVED", b"errorstat_TRYAGAIN"):
            assert any(name in node.ask("INFO", "errorstats") for node in redis_cluster.nodes)
        last = await writing
        await looking
        assert await numbers(store) == list(range(last + 1))
        assert await everything(store.scan("comes.and.goes")) == []


def move_slot(cluster: RedisCluster, key: str, looks: Callable[[], int]) -> None:
    """Move the slot of a key to another node, key by key, as `redis-cli --cluster reshard` does.

    Before the last step the slot is empty here and still this node's: readers must get through to the other one.
    """
    source = cluster.owner(key)
    target = next(node for node in cluster.nodes if node is not source)
    slot = source.ask("CLUSTER", "KEYSLOT", key)
    target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", cluster.id_of(source))
    source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", cluster.id_of(target))
    while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 1):
        source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 60_000, "KEYS", *keys)
        # Some of a commit's keys are here and some are there, and somebody has met that before it goes on.
        until(lambda: b"errorstat_TRYAGAIN" in source.ask("INFO", "errorstats"))
    before = looks()
    until(lambda: b"errorstat_ASK" in source.ask("INFO", "errorstats") and looks() > before + 2)
    for node in (target, source, *cluster.nodes):
        node.ask("CLUSTER", "SETSLOT", slot, "NODE", cluster.id_of(target))


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 100
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


async def test_namespaces_in_different_slots(redis_cluster: RedisCluster) -> None:
    namespaces = [fresh() for _ in range(20)]
    owners = {redis_cluster.owner(key_of(namespace, "meta")).port for namespace in namespaces}
    for number, namespace in enumerate(namespaces):
        async with open_store(redis_cluster.url, namespace=namespace) as store:
            await store.commit([Put(A, number)])
    for number, namespace in enumerate(namespaces):
        async with open_store(redis_cluster.url, namespace=namespace) as store:
            (record,) = await store.get(A)
            assert record is not None
            assert record.value == number
    assert len(owners) > 1
