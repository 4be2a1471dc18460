"""Redis between the request and the answer: hung, cut, lost, cancelled, emptied. Each control breaks a rule."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from holdfast.errors import Conflict, Corrupt, Unavailable, WentBack
from holdfast.store import ABSENT, Append, Delete, Key, Put, Store, open_store
from holdfast.testing.servers.proxy import Proxy
from holdfast.testing.servers.redis import RedisServer
from tests.store.backends.patience import opened, patiently
from tests.store.backends.redis_world import fresh, key_of
from tests.store.contract import everything, value

pytestmark = pytest.mark.server("redis")

A, B = Key("signal.one", "BTCUSDT"), Key("signal.one", "ETHUSDT")
QUICK = "commit_timeout=0.4&read_timeout=0.4&connect_timeout=0.4"


@asynccontextmanager
async def through_proxy(server: RedisServer, query: str = "") -> AsyncIterator[tuple[Store, Proxy]]:
    async with Proxy("127.0.0.1", server.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}/0?{query}"
        async with opened(open_store(url, namespace=fresh())) as store:
            await patiently(lambda: store.get(A))  # both lines are there
            yield store, proxy


async def turns() -> None:
    """Let the event loop, on which the proxy is too, close what was cut and see it closed."""
    for _ in range(20):
        await asyncio.sleep(0)


async def numbers(store: Store) -> list[int]:
    return [event.value for event in await everything(store.read("history"))]


async def test_hung_server_is_unknown_and_repeated_once(redis: RedisServer) -> None:
    async with opened(open_store(f"{redis.url}?{QUICK}", namespace=fresh())) as store:
        await patiently(lambda: store.commit([Put(A, 0)]))
        await patiently(lambda: store.get(A))
        redis.pause()
        try:
            with pytest.raises(Unavailable) as told:
                await store.commit([Put(A, 1), Append("history", 1)], commit_id="one")
            with pytest.raises(Unavailable) as read:
                await store.get(A)
        finally:
            redis.resume()
        assert told.value.unknown is True
        assert read.value.unknown is False
        assert "did not answer in time" in str(told.value)
        await patiently(lambda: store.commit([Put(A, 1), Append("history", 1)], commit_id="one"))
        assert await patiently(lambda: numbers(store)) == [1]


async def repeated_after_a_lost_answer(server: RedisServer, *, same_id: bool) -> list[int]:
    async with through_proxy(server) as (store, proxy):
        await store.commit([Put(A, 0)])  # the server knows the script now: what is lost is no NOSCRIPT
        proxy.lose_answers = True
        with pytest.raises(Unavailable) as told:
            await store.commit([Append("history", 1)], commit_id="one")
        assert told.value.unknown is True
        proxy.lose_answers = False
        await store.commit([Append("history", 1)], commit_id="one" if same_id else "two")
        return await numbers(store)


async def test_lost_answer_is_unknown_and_repeated_once(redis: RedisServer) -> None:
    assert await repeated_after_a_lost_answer(redis, same_id=True) == [1]


async def test_lost_answer_control(redis: RedisServer) -> None:
    """Repeated with an id of its own, it counts twice: the commit did take effect."""
    assert await repeated_after_a_lost_answer(redis, same_id=False) == [1, 1]


async def test_cut_while_idle_is_noticed_before_anything_is_sent(redis: RedisServer) -> None:
    async with through_proxy(redis) as (store, proxy):
        for number in range(5):
            proxy.cut()
            await turns()
            await store.commit([Append("history", number)])
        assert await numbers(store) == list(range(5))


async def test_unreachable_for_a_while(redis: RedisServer) -> None:
    async with through_proxy(redis, "commit_timeout=100") as (store, proxy):
        proxy.refuse = True
        proxy.cut()
        await turns()
        running = asyncio.ensure_future(store.commit([Append("history", 1)]))
        await asyncio.sleep(0.2)
        assert not running.done()
        proxy.refuse = False
        await running
        assert await numbers(store) == [1]


async def test_unreachable_for_too_long_certainly_did_not_happen(redis: RedisServer) -> None:
    async with through_proxy(redis, QUICK) as (store, proxy):
        proxy.refuse = True
        proxy.cut()
        await turns()
        with pytest.raises(Unavailable) as told:
            await store.commit([Append("history", 1)])
        assert (told.value.unknown, told.value.retryable) == (False, True)


async def test_cancelled_requests_leave_no_answer_behind(redis: RedisServer) -> None:
    """Whoever asks next gets his own answer, however many gave up while theirs were held."""
    async with through_proxy(redis) as (store, proxy):
        await store.commit([Put(Key("n", str(number)), number) for number in range(20)])
        for turn in range(10):
            proxy.hold = True
            asked = [asyncio.ensure_future(store.get(Key("n", str(number)))) for number in range(5)]
            writing = asyncio.ensure_future(store.commit([Append("history", turn)], commit_id=f"turn{turn}"))
            await asyncio.sleep(0.005 * (turn % 3))
            for task in (*asked, writing):
                task.cancel()
            await asyncio.wait([*asked, writing])
            proxy.hold = False
            for number in range(5, 9):
                assert await value(store, Key("n", str(number))) == number
            await store.commit([Append("history", turn)], commit_id=f"turn{turn}")
        assert await numbers(store) == list(range(10))


async def test_close_finishes_running_commits(redis: RedisServer) -> None:
    namespace = fresh()
    store = open_store(redis.url, namespace=namespace)
    await store.open()
    running = [asyncio.ensure_future(store.commit([Append("history", number)])) for number in range(50)]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*running)
    async with store:
        assert await numbers(store) == list(range(50))


async def test_scripts_forgotten_by_the_server_are_sent_again(redis: RedisServer) -> None:
    async with open_store(redis.url, namespace=fresh()) as store:
        await store.commit([Put(A, 1)])
        redis.ask("SCRIPT", "FLUSH")
        await store.commit([Put(A, 2)])
        redis.ask("SCRIPT", "FLUSH")
        assert await value(store, A) == 2


async def test_emptied_server_is_noticed_on_the_open_connection(redis: RedisServer) -> None:
    async with open_store(redis.url, namespace=fresh()) as store:
        await store.commit([Put(A, 1)])
        for key in redis.ask("SCAN", "0", "MATCH", key_of(store.namespace, "*"), "COUNT", "100000")[1]:
            redis.ask("DEL", key)
        with pytest.raises(WentBack):
            await store.get(A)
        with pytest.raises(WentBack):
            await store.commit([Put(A, 2, ABSENT)])
        assert redis.ask("EXISTS", key_of(store.namespace, "meta")) == 0


async def test_an_older_state_is_noticed(redis: RedisServer) -> None:
    async with open_store(redis.url, namespace=fresh()) as store:
        await store.commit([Put(A, 1)])
        redis.ask("HSET", key_of(store.namespace, "meta"), "head", 0)
        with pytest.raises(WentBack):
            await everything(store.scan("signal.one"))


async def test_a_lost_commit_is_noticed_though_the_head_has_grown_past_it(redis: RedisServer) -> None:
    """Another process has gone on after the failover: the head tells nothing, the newest commit does."""
    async with through_proxy(redis) as (store, proxy):
        await store.commit([Put(A, 1)], commit_id="mine")
        redis.ask("ZREM", key_of(store.namespace, "recent"), "mine")
        redis.ask("HSET", key_of(store.namespace, "meta"), "head", 1000)
        proxy.cut()
        await turns()
        with pytest.raises(WentBack):
            await store.get(A)


@pytest.mark.parametrize(
    "kind", ["recent", "entities", "streams", "ids:signal.one", "values:signal.one", "events:h"]
)
async def test_a_key_of_a_wrong_type_changes_nothing(redis: RedisServer, kind: str) -> None:
    """What would fail half-way fails before the first write."""
    async with open_store(redis.url, namespace=fresh()) as store:
        redis.ask("SET", key_of(store.namespace, kind), "x")
        with pytest.raises(Corrupt):
            await store.commit([Put(Key("other", "x"), 1), Put(A, 1), Append("h", 1)])
        redis.ask("DEL", key_of(store.namespace, kind))
        assert await store.get(A, Key("other", "x")) == [None, None]
        assert await store.last_number("h") == 0


async def test_a_damaged_record_is_corrupt_and_not_absent(redis: RedisServer) -> None:
    async with open_store(redis.url, namespace=fresh()) as store:
        for damage in (
            ["HSET", "values", "{"],
            ["HSET", "values", "a\0b"],
            ["HDEL", "values"],
            ["HDEL", "versions"],
        ):
            await store.commit([Put(A, {"side": "long"}), Put(B, 1)])
            assert redis.ask("HGET", key_of(store.namespace, f"values:{A.entity_name}"), B.entity_id) == b"1"
            redis.ask(
                damage[0], key_of(store.namespace, f"{damage[1]}:{A.entity_name}"), A.entity_id, *damage[2:]
            )
            with pytest.raises(Corrupt):
                await store.get(A, B)
            with pytest.raises(Corrupt):
                await everything(store.scan("signal.one"))
            await store.commit([Delete(A)])


async def test_a_trimmed_stream_is_corrupt(redis: RedisServer) -> None:
    async with open_store(redis.url, namespace=fresh()) as store:
        await store.commit([Append("history", number) for number in range(5)])
        redis.ask("XDEL", key_of(store.namespace, "events:history"), "2-0")
        with pytest.raises(Corrupt):
            await numbers(store)
        redis.ask("XTRIM", key_of(store.namespace, "events:history"), "MAXLEN", "0")
        await store.commit([Put(A, 1), Append("history", 5)])  # numbers go on: nothing fails half-way
        assert await value(store, A) == 1
        assert await store.last_number("history") == 6


async def test_what_is_stored_can_be_read_by_a_person(redis: RedisServer) -> None:
    async with open_store(redis.url, namespace=fresh()) as store:
        version = await store.commit(
            [Put(A, {"side": "long", "é": [1.5, None]}), Append("history", {"n": 1})]
        )

        def ask(command: str, kind: str, *rest: str) -> Any:
            return redis.ask(command, key_of(store.namespace, kind), *rest)

        assert ask("HGET", "values:signal.one", "BTCUSDT") == '{"side":"long","é":[1.5,null]}'.encode()
        assert ask("HGET", "versions:signal.one", "BTCUSDT") == version.encode()
        entry = [b"1-0", [b"version", version.encode(), b"value", b'{"n":1}']]
        assert ask("XRANGE", "events:history", "-", "+") == [entry]


async def test_pages(redis: RedisServer) -> None:
    async with open_store(redis.url, namespace=fresh()) as store:
        await store.commit([Put(Key("n", f"{i:04}"), i) for i in range(1201)])
        await store.commit([Append("history", i) for i in range(1201)])
        await store.commit([Put(Key(f"e{i:04}", "x"), i) for i in range(1201)])
        assert [r.value for r in await everything(store.scan("n"))] == list(range(1201))
        assert [r.value for r in await everything(store.scan("n", after="0600", limit=600))] == list(
            range(601, 1201)
        )
        assert await numbers(store) == list(range(1201))
        assert len((await store.names()).entities) == 1202


async def test_ids_are_remembered_by_a_clock_that_no_jump_moves_far(redis: RedisServer) -> None:
    """A server's clock that jumps a day ahead, as it seems, forgets nothing; time that passes does."""
    async with open_store(redis.url, namespace=fresh()) as store:
        meta, recent = key_of(store.namespace, "meta"), key_of(store.namespace, "recent")
        await store.commit([Append("history", 1)], commit_id="first")
        redis.ask("HSET", meta, "seen", 0)  # the last commit seems to be fifty years ago
        await store.commit([Put(A, 1)])
        await store.commit([Append("history", 1)], commit_id="first")
        assert await numbers(store) == [1]
        redis.ask("HINCRBY", meta, "clock", 3_600_000)
        await store.commit([Put(A, 2)])
        assert redis.ask("ZSCORE", recent, "first") is None


async def test_conflicts_of_one_batch_do_not_hurt_its_others(redis: RedisServer) -> None:
    async with open_store(redis.url, namespace=fresh()) as store:
        tries = [store.commit([Put(A, n, ABSENT), Append("won", n)]) for n in range(10)]
        others = [store.commit([Put(Key("n", str(n)), n), Append("others", n)]) for n in range(10)]
        results = await asyncio.gather(*tries, *others, return_exceptions=True)
        assert sum(isinstance(result, Conflict) for result in results) == 9
        assert await store.last_number("others") == 10
        assert await store.last_number("won") == 1


async def test_keys_is_never_called() -> None:
    with RedisServer(appendonly=False) as server:
        async with open_store(server.url, namespace=fresh()) as store:
            await store.commit([Put(A, 1), Append("history", 1)])
            await store.get(A)
            await everything(store.scan("signal.one"))
            await store.names()
            await numbers(store)
        calls = server.ask("INFO", "commandstats")
        assert b"cmdstat_evalsha" in calls
        assert b"cmdstat_keys" not in calls
        server.ask("KEYS", "nothing")
        assert b"cmdstat_keys" in server.ask("INFO", "commandstats")  # the control
