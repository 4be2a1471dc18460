"""Answers of Redis that are none: refused by an error of ours, and a commit that they speak of may have happened."""

from typing import Any

import pytest

from holdfast.errors import Corrupt, HoldfastError, InvalidOption, Unavailable, Unsupported
from holdfast.store import ABSENT, Append, Durability, Key, Put, open_store
from holdfast.store.backends.redis.errors import explain
from holdfast.store.backends.redis.findings import judge
from holdfast.store.backends.redis.routes import Address, Direct, Sentinels
from holdfast.store.backends.redis.store import RedisStore
from holdfast.store.url import parse
from holdfast.system import SystemClock, system_ids
from holdfast.testing.fuzzing.redis_replies import GREETING, INFO, KEYS, READING, STREAM, WRITING
from holdfast.testing.fuzzing.redis_wire import Wire, spoken
from holdfast.testing.servers.redis import RedisServer
from tests.store.backends.redis_world import fresh, key_of

A = Key("signal.one", "BTCUSDT")


def store_on(answers: dict[str, Any], *, options: str = "", sentinel: bool = False) -> RedisStore:
    """Return a store whose server answers so, by redis-py's own connection and parser."""
    told = {name: spoken(answer) for name, answer in {**GREETING, **READING, **WRITING, **answers}.items()}
    store = RedisStore(parse(f"redis://127.0.0.1:1/0{options}"), clock=SystemClock(), ids=system_ids)
    wire: Any = Wire(told)
    home = Address("127.0.0.1", 1)
    store._session._route = Sentinels(wire, wire, (home,), "main") if sentinel else Direct(wire, home)
    return store


@pytest.mark.parametrize(
    "answer",
    [None, 7, b"x", [], [2], [b"2", 4, b"", []], [2, 1, b"c1", [b"1"]], [2, 4, b"c1\0\0c2\0c2", [1]],
     [2, 4, 4, [b"1"]], [2, 0, b"c1\0\0c2\0c2", [b"1\0\x002\x003"]]],
)  # fmt: skip
async def test_records_that_are_none_are_corrupt(answer: Any) -> None:
    async with store_on({"GET": answer}) as store:
        with pytest.raises(Corrupt):
            await store.get(*KEYS)


@pytest.mark.parametrize("answer", [[3, 1, b"0"], [3, 1, b"="], [3, 1, b"7-1"], [b"3", 1, b"7-0"]])
async def test_a_newest_number_that_is_none_is_corrupt(answer: Any) -> None:
    async with store_on({"LAST": answer}) as store:
        with pytest.raises(Corrupt):
            await store.last_number(STREAM)


async def test_an_event_without_a_version_is_corrupt() -> None:
    async with store_on({"EVENTS": [2, 1, b"1-0", b"", [b"1"]]}) as store:
        with pytest.raises(Corrupt, match="no version"):
            [event async for event in store.read(STREAM)]


@pytest.mark.parametrize(
    "answer",
    [None, 1, [3], [3, b""], [3, b"+\0+"], [3, b"?"], [3, b"!7:x"], [3, b"!x:x"], [3, 1], [b"3", b"+"]],
)
async def test_a_commit_whose_answer_makes_no_sense_may_have_happened(answer: Any) -> None:
    async with store_on({"COMMIT": answer}) as store:
        with pytest.raises(Unavailable, match="makes no sense") as told:
            await store.commit([Put(A, 1)])
        assert told.value.unknown is True


@pytest.mark.parametrize("counts", [[], [1], [None, 1], [b"1", b"1"], [[1], [1]], 1, None, [0, 1], [1, 0]])
async def test_disks_that_are_no_number_are_too_few(counts: Any) -> None:
    async with store_on(
        {"COMMIT": [3, b"+"], "WAITAOF": counts}, options="?wait_replicas=1&wait_aof=1"
    ) as store:
        with pytest.raises(Unavailable, match="own disk") as told:
            await store.commit([Put(A, 1)])
        assert told.value.unknown is True


async def test_what_a_server_says_after_the_commit_takes_nothing_back() -> None:
    """LOADING says that a commit was not carried out; for an answer to WAIT it does not."""
    wire: Any = Wire(
        {
            **{name: spoken(answer) for name, answer in {**GREETING, **WRITING}.items()},
            "COMMIT": spoken([3, b"+"]),
            "WAIT": b"-LOADING it is\r\n",
        }
    )
    store = RedisStore(parse("redis://127.0.0.1:1/0?wait_replicas=1"), clock=SystemClock(), ids=system_ids)
    store._session._route = Direct(wire, Address("127.0.0.1", 1))
    async with store:
        with pytest.raises(Unavailable) as told:
            await store.commit([Put(A, 1)])
        assert told.value.unknown is True


@pytest.mark.parametrize(
    "answer",
    [None, [], [b"1"], [1, b"i", b"2", 1], [b"1" * 5000, b"i", b"2", 1], [b"1", b"\xff", b"2", 1], [b"1", b"", b"2", 1],
     [b"1", b"i", b"2" * 5000, 1], [b"1", b"i", b"9007199254740992", 1], [b"1", b"i", b"2", b"1"],
     [b"0", b"i", b"2", 1]],
)  # fmt: skip
async def test_a_namespace_that_makes_no_sense_is_corrupt(answer: Any) -> None:
    with pytest.raises(Corrupt):
        await store_on({"BIND": answer}).open()


@pytest.mark.parametrize("answer", [[], [b"h"], b"h:1", [1, 2], [b"h", b"x"], [b"\xff", b"1"], [None, None]])
async def test_a_master_that_is_no_address_is_refused(answer: Any) -> None:
    with pytest.raises((Corrupt, InvalidOption)):
        await store_on({"SENTINEL GET-MASTER-ADDR-BY-NAME main": answer}, sentinel=True).open()


def test_a_server_is_trusted_by_what_it_says_and_by_nothing_else() -> None:
    yes = [[b"appendonly", b"yes"], [b"appendfsync", b"always"], [b"no-appendfsync-on-rewrite", b"no"]]
    assert judge([INFO, *yes], "here", watched=False).durability is Durability.POWER_LOSS
    silent = [INFO.replace(b"aof_enabled:1", b""), None, *yes[1:]]
    assert judge(silent, "here", watched=False).durability is Durability.NONE
    odd = INFO.replace(b"connected_slaves:1", b"connected_slaves:many")
    assert judge([odd, *yes], "here", watched=False).warnings
    for version in ("²".encode(), b"9" * 5000, b"7", b""):
        with pytest.raises(Unsupported):
            judge([INFO.replace(b"7.2.4", version), *yes], "here", watched=False)
    with pytest.raises(HoldfastError):
        judge([17, *yes], "here", watched=False)


def test_a_head_that_is_no_number_is_none() -> None:
    assert explain(Exception(f"WENTBACK {'9' * 5000}"), "here", unknown=False).found == 0


@pytest.mark.server("redis")
async def test_what_somebody_else_wrote_is_corrupt_and_never_a_drivers_error(redis: RedisServer) -> None:
    namespace = fresh()
    async with open_store(redis.url, namespace=namespace) as store:
        await store.commit([Put(A, 1), Append(STREAM, 1)])
        redis.ask("HSET", key_of(namespace, f"versions:{A.entity_name}"), A.entity_id, b"\xff")
        with pytest.raises(Corrupt, match="UTF-8"):
            await store.commit([Put(A, 2, expect=ABSENT)])
    redis.ask("HSET", key_of(namespace, "meta"), "incarnation", b"\xff")
    with pytest.raises(Corrupt, match="incarnation"):
        await open_store(redis.url, namespace=namespace).open()
