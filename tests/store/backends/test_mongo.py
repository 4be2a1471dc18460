"""The MongoDB backend: the contract, what a person finds, what is sent, big values, cancelled calls.

By default on a wire-protocol test server, which is not MongoDB: what passes there shows the protocol and the mapping,
and nothing about mongod.
"""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from pymongo import MongoClient, monitoring

from holdfast.errors import Corrupt, FromTheFuture, InvalidValue, NotOpen, WentBack
from holdfast.store import Append, Check, Durability, Key, Put, Store, open_store
from holdfast.store.backends.mongo.documents import LARGEST
from tests.store.backends.mongo_servers import REAL, needs_mongodb, server, url
from tests.store.contract import A, B, StoreContract, everything, value

__all__ = ("server", "url")

pytestmark = pytest.mark.server("mongo")


class TestMongo(StoreContract):
    @pytest.fixture
    def store(self, url: str) -> Store:
        return open_store(url)


@pytest.fixture
def database(url: str) -> Iterator[Any]:
    """The store's database, as a person sees it."""
    plain = url.replace("test_server=1", "directConnection=true")
    with MongoClient[dict[str, Any]](plain) as client:
        yield client[url.partition("?")[0].rpartition("/")[2]]


@pytest.fixture
def store(url: str) -> Store:
    return open_store(url)


async def test_a_person_can_query(store: Store, database: Any) -> None:
    await store.commit([Put(Key("signal.one", f"S{n}"), {"side": "long", "cost": n}) for n in range(5)])
    await store.commit([Append("history", {"kind": "opened", "at": [1, 2.5, None]})])
    found = database.records.find({"namespace": "default", "value.side": "long", "value.cost": {"$gte": 3}})
    assert sorted(each["id"] for each in found) == ["S3", "S4"]
    assert database.events.find_one({"value.kind": "opened"})["number"] == 1


@pytest.mark.parametrize("odd", [{"": 1}, {"a.b": 1}, {"$set": 1}, [{"x": {"a\0": 1}}]])
async def test_names_that_no_query_can_reach_are_kept_as_text(store: Store, database: Any, odd: Any) -> None:
    await store.commit([Put(A, {"plain": 1})])
    await store.commit([Put(A, odd)])
    assert await value(store, A) == odd
    assert "value" not in database.records.find_one({"id": A.entity_id})


async def test_what_a_person_changed_in_value_changes_no_decision(store: Store, database: Any) -> None:
    await store.commit([Put(A, {"cost": 5})])
    database.records.update_one({"id": A.entity_id}, {"$set": {"value.cost": 5.0}})
    assert repr(await value(store, A)) == "{'cost': 5}"


async def test_two_namespaces_do_not_meet(url: str) -> None:
    names = ("default", "1", "Other/$1.x", "default ")
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(open_store(url, namespace=name)) for name in names]
        await asyncio.gather(
            *(s.commit([Put(A, s.namespace), Append("history", s.namespace)]) for s in stores)
        )
        for store in stores:
            assert await value(store, A) == store.namespace
            assert [event.value for event in await everything(store.read("history"))] == [store.namespace]
            assert len(await everything(store.scan(A.entity_name))) == store.head == 1
            await store.commit([Put(A, 2)], commit_id="the-same-id")
        assert [await value(store, A) for store in stores] == [2] * len(names)


@pytest.mark.parametrize("size", [2**20, 6 * 2**20])
async def test_large_values(url: str, size: int) -> None:
    async with open_store(f"{url}&read_timeout=100&commit_timeout=100") as store:
        await store.commit([Put(A, "x" * size), Append("history", ["y" * size])])
        assert await value(store, A) == "x" * size
        assert [len(event.value[0]) for event in await everything(store.read("history"))] == [size]


async def test_what_fits_no_document_is_refused_before_anything_is_written(store: Store) -> None:
    for change in (Put(A, "x" * LARGEST), Append("history", "x" * LARGEST)):
        with pytest.raises(InvalidValue, match=r"16,\d+,\d+ bytes.*at most 16,\d+,\d+"):
            await store.commit([Put(B, 1), change])
    assert await store.get(A, B) == [None, None]
    assert store.head == 0


async def test_more_keys_than_one_query_takes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.store.backends.mongo.reading.MOST_KEYS", 7)
    monkeypatch.setattr("holdfast.store.backends.mongo.reading.PAGE", 7)
    keys = [Key("n", f"{n:03}") for n in range(30)]
    await store.commit([Put(key, key.entity_id) for key in keys] + [Append("s", n) for n in range(30)])
    assert [record and record.value for record in await store.get(*keys, keys[0])] == [
        *(key.entity_id for key in keys),
        "000",
    ]
    assert [record.key for record in await everything(store.scan("n"))] == keys
    assert [event.value for event in await everything(store.read("s", after=3, limit=20))] == list(
        range(3, 23)
    )


async def test_a_scan_is_complete_while_others_write(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.store.backends.mongo.reading.PAGE", 3)
    async with open_store(url) as store, open_store(url) as other:
        await store.commit([Put(Key("n", f"{n:03}"), n) for n in range(0, 20, 2)])
        found = []
        async for record in store.scan("n"):
            found.append(record.value)
            await other.commit([Put(Key("n", f"{record.value - 1:03}"), -1), Put(Key("n", "zz"), 99)])
        assert [n for n in found if n % 2 == 0] == list(range(0, 20, 2))


async def test_one_conflict_does_not_fail_the_others(store: Store) -> None:
    version = await store.commit([Put(A, 0)])
    tries = [
        store.commit([Put(Key("n", str(n)), n), Check(A, version if n % 2 else "no")]) for n in range(10)
    ]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert [isinstance(result, str) for result in results] == [bool(n % 2) for n in range(10)]
    assert sorted(r.value for r in await everything(store.scan("n"))) == [1, 3, 5, 7, 9]


async def test_a_cancelled_read_leaves_no_answer_for_the_next(store: Store) -> None:
    keys = [Key("n", str(n)) for n in range(10)]
    await store.commit([Put(key, key.entity_id) for key in keys])
    for n in range(60):
        task = asyncio.ensure_future(store.get(keys[n % 10]))
        await asyncio.sleep(0 if n % 3 else 0.0005 * (n % 7))
        task.cancel()
        await asyncio.wait([task])
        assert await value(store, keys[(n + 1) % 10]) == str((n + 1) % 10)


async def test_close_finishes_running_commits(url: str) -> None:
    store = open_store(url)
    await store.open()
    waiting = [asyncio.ensure_future(store.commit([Put(Key("n", str(n)), n)])) for n in range(20)]
    await asyncio.sleep(0)
    await store.close()
    assert all(isinstance(each, str) for each in await asyncio.gather(*waiting))
    with pytest.raises(NotOpen):
        await store.get(A)
    async with store:
        assert len(await everything(store.scan("n"))) == 20


async def test_many_open_at_once(url: str) -> None:
    stores = [open_store(url) for _ in range(6)]
    await asyncio.gather(*(store.open() for store in stores))
    await asyncio.gather(*(store.commit([Append("history", n)]) for n, store in enumerate(stores)))
    assert [event.number for event in await everything(stores[0].read("history"))] == [1, 2, 3, 4, 5, 6]
    await asyncio.gather(*(store.close() for store in stores))


async def test_lost_commits_are_noticed(url: str, database: Any) -> None:
    """A backup was restored: the head went back, for commits and, on a new connection, for reads."""
    store = open_store(url)
    async with store:
        await store.commit([Put(A, 1)])
        await store.commit([Put(A, 2)])
        database.namespaces.update_one({}, {"$set": {"head": 1}})
        with pytest.raises(WentBack) as lost:
            await store.commit([Put(A, 3)])
        assert (lost.value.known, lost.value.found) == (2, 1)
    await store.open()  # whoever was told goes on from what is there
    await store.commit([Put(A, 4)])
    database.commits.delete_many({})
    with pytest.raises(WentBack):
        await store.commit([Put(A, 5)])
    await store.close()
    await store.open()
    await store.commit([Put(A, 6)])
    await store.close()
    database.commits.delete_many({})
    with pytest.raises(WentBack):  # also what was lost while it was closed is told
        await store.open()


async def test_lost_commits_are_noticed_control(url: str, database: Any) -> None:
    """A fresh process was told of nothing: it takes what is there."""
    async with open_store(url) as store:
        await store.commit([Put(A, 1)])
        database.namespaces.update_one({}, {"$set": {"head": 0}})
        database.commits.delete_many({})
    async with open_store(url) as fresh:
        assert await value(fresh, A) == 1


async def test_a_newer_format_and_what_is_unreadable(url: str, database: Any) -> None:
    async with open_store(url) as store:
        await store.commit(
            [Put(A, 1), Put(B, 1), Append("history", 1), Append("history", 2), Append("history", 3)]
        )
        for damage in ({"$set": {"text": "{"}}, {"$set": {"text": 5}}, {"$unset": {"text": 1}}):
            database.records.update_one({"id": A.entity_id}, damage)
            with pytest.raises(Corrupt, match=A.entity_id):
                await store.get(A)
        assert await value(store, B) == 1
        database.events.delete_one({"number": 2})
        with pytest.raises(Corrupt, match="event 2"):
            await everything(store.read("history"))
        database.events.delete_one({"number": 3})
        with pytest.raises(Corrupt, match="event 3"):
            await everything(store.read("history", after=2))
        database.namespaces.update_one({}, {"$set": {"format": 2}})
        with pytest.raises(FromTheFuture):
            await store.commit([Put(B, 2)])
    with pytest.raises(FromTheFuture):
        await open_store(url).open()
    database.namespaces.update_one({}, {"$set": {"format": "x"}})
    with pytest.raises(Corrupt):
        await open_store(url).open()


@pytest.mark.parametrize("collection", ["records", "streams"])
async def test_a_name_that_a_tool_has_put_into_a_list_is_corrupt(
    store: Store, database: Any, collection: str
) -> None:
    """MongoDB finds it by what is in the list."""
    async with store:
        await store.commit([Put(A, 1), Append("history", 1)])
        field, name = {"records": ("id", A.entity_id), "streams": ("stream", "history")}[collection]
        database[collection].update_one({field: name}, {"$set": {field: [name]}})
        with pytest.raises(Corrupt, match=field):
            await store.commit([Put(A, 2), Append("history", 2)])
        if collection == "records":
            with pytest.raises(Corrupt, match=field):
                await store.get(A)


async def test_the_test_server_promises_nothing(url: str) -> None:
    async with open_store(url) as store:
        if "test_server=1" in url:
            assert store.durability is Durability.NONE
            assert any("test_server=1" in each for each in store.warnings)
        assert store.shared


@needs_mongodb
async def test_durability_as_found(url: str) -> None:
    async with open_store(url) as store:
        assert store.durability >= Durability.POWER_LOSS
    assert REAL


class Sent(monitoring.CommandListener):
    """Every command that the driver sent, as it was sent."""

    def __init__(self) -> None:
        self.commands: list[dict[str, Any]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.commands.append({**event.command})

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Not of interest."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Not of interest."""


READS = ("find", "aggregate")


def faults(commands: list[dict[str, Any]]) -> list[str]:
    """Return what in the commands would break a promise on MongoDB, or be refused by it."""
    found = []
    for command in commands:
        name = next(iter(command))
        inside = command.get("autocommit") is False
        level = command.get("readConcern", {}).get("level")
        concern = {key: command.get("writeConcern", {}).get(key) for key in ("w", "j")}
        if name == "commitTransaction" and concern != {"w": "majority", "j": True}:
            found.append("a commit that is not durable")
        if inside and name not in ("commitTransaction", "abortTransaction") and "writeConcern" in command:
            found.append(f"{name} in a transaction with a write concern")
        if inside and bool(command.get("startTransaction")) != (level == "snapshot"):
            found.append(f"{name}: a transaction that is not of one snapshot")
        if not inside and name in ("find", "aggregate") and level not in ("snapshot", "majority"):
            found.append(f"{name} that could be rolled back")
        if name not in READS and not inside and "readConcern" in command:
            found.append(f"{name} with a read concern, which it does not take")
        if (
            name in ("insert", "update", "delete", "findAndModify")
            and not inside
            and concern["w"] != "majority"
        ):
            found.append(f"{name} that is not durable")
    return found


@pytest.fixture
def sent() -> Iterator[Sent]:
    listener = Sent()
    monitoring.register(listener)
    yield listener
    monitoring._LISTENERS.command_listeners.remove(listener)


async def use(url: str) -> None:
    async with open_store(url) as store:
        version = await store.commit([Put(A, 1), Append("history", 1)])
        await store.commit([Put(A, 1, version), Put(B, 1), Append("history", 1)])
        await store.get(A, B)
        await everything(store.scan("signal.one"))
        await everything(store.read("history"))
        await store.names()


async def test_what_is_sent_says_what_is_promised(sent: Sent, url: str) -> None:
    await use(url)
    assert faults(sent.commands) == []
    names = [next(iter(command)) for command in sent.commands]
    assert names.count("commitTransaction") == 2
    locks = [c for c in sent.commands if c.get("startTransaction")]
    assert [(next(iter(c)), c["findAndModify"]) for c in locks] == [("findAndModify", "namespaces")] * 2


async def test_what_is_sent_says_what_is_promised_control(
    sent: Sent, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pymongo.read_concern import ReadConcern
    from pymongo.write_concern import WriteConcern

    monkeypatch.setattr("holdfast.store.backends.mongo.connection.DURABLE", WriteConcern(1))
    monkeypatch.setattr("holdfast.store.backends.mongo.connection.COMMITTED", ReadConcern("local"))
    await use(url)
    assert {"a commit that is not durable", "find that could be rolled back"} <= set(faults(sent.commands))


async def test_waiting_commits_share_a_transaction(sent: Sent, url: str) -> None:
    async with open_store(url) as store:
        await asyncio.gather(*(store.commit([Put(Key("n", str(n)), n)]) for n in range(64)))
        committed = [command for command in sent.commands if "commitTransaction" in command]
        assert len(committed) == 1
        assert store.head == len(await everything(store.scan("n"))) == 64
