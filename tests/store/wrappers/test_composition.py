"""Wrappers around wrappers: asked for in a URL or by call, all of them keep the contract and each does its own."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from prometheus_client import REGISTRY

from holdfast.errors import InvalidOption
from holdfast.persist.adapter_store import AdapterStore
from holdfast.persist.view import StoreViews
from holdfast.store import Append, Key, Put, Store, cached, encrypted, new_key, observed, open_store
from holdfast.store.backends.memory import MemoryStore
from holdfast.store.wrappers.cached import Cached
from holdfast.store.wrappers.encrypted import Encrypted
from holdfast.store.wrappers.observed import Observed
from holdfast.store.wrappers.replicated import Replicated
from holdfast.system import system_ids
from holdfast.testing.servers.redis import RedisServer
from tests.store.contract import A, StoreContract, everything, value

ALL = "observe=1&cache=100&encrypt_key_env=HOLDFAST_TEST_KEYS"


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_TEST_KEYS", new_key("test"))


class TestAllOnMemory(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return open_store(f"memory:?{ALL}")


class TestAllOnFile(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return open_store(f"file:{tmp_path}/data?{ALL}&namespace=Other/One")


class TestAllPastTheCache(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return open_store(f"file:{tmp_path}/data?{ALL}").uncached


class TestAllTheOtherWayRound(StoreContract):
    """By call, in an order that no URL asks for: the cache holds what is encrypted."""

    @pytest.fixture
    def store(self) -> Store:
        return encrypted(cached(observed(cached(MemoryStore()), None)), new_key("other"))


class TestAllWithAReplica(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return open_store(f"memory:?{ALL}&replica={quote(f'file:{tmp_path}/spare', safe='')}")


@pytest.fixture(scope="module")
def redis() -> Iterator[str]:
    with RedisServer(appendfsync="everysec") as server:
        yield server.url


@pytest.mark.server("redis")
class TestAllOnRedis(StoreContract):
    @pytest.fixture
    def store(self, redis: str) -> Store:
        return open_store(f"{redis}?{ALL}&namespace={system_ids()}")


async def test_a_replica_is_encrypted_too_and_is_read_with_the_key(tmp_path: Path) -> None:
    key = "encrypt_key_env=HOLDFAST_TEST_KEYS"
    async with open_store(f"file:{tmp_path}/a?{key}&replica=file%3A{tmp_path}/spare") as store:
        await store.commit([Put(A, {"note": "the crown jewels"}), Append("s", "the crown jewels")])
        assert isinstance(store, Encrypted)
        assert isinstance(store.inner, Replicated)
        assert await store.inner.caught_up()
    async with open_store(f"file:{tmp_path}/spare?mode=ro&{key}") as spare:
        assert await value(spare, A) == {"note": "the crown jewels"}
        assert [event.value async for event in spare.read("s")] == ["the crown jewels"]
    files = [path for path in (tmp_path / "spare").rglob("*") if path.is_file()]
    assert not any(b"jewels" in path.read_bytes() for path in files)


def layers(store: Store) -> Iterator[type[Store]]:
    yield type(store)
    if hasattr(store, "inner"):
        yield from layers(store.inner)


def test_the_order_of_a_url_is_always_the_same() -> None:
    for query in (ALL, "&".join(reversed(ALL.split("&")))):
        assert list(layers(open_store(f"memory:?{query}"))) == [Observed, Cached, Encrypted, MemoryStore]


def test_a_wrapper_takes_only_its_own_options() -> None:
    with pytest.raises(InvalidOption, match="colour"):
        open_store(f"memory:?{ALL}&colour=red")
    with pytest.raises(InvalidOption, match="observe_colour"):
        open_store(f"memory:?{ALL}&observe_colour=red")


ORDERS: list[Callable[[Store], Store]] = [
    lambda store: observed(cached(store)),
    lambda store: encrypted(cached(store), new_key("a")),
    lambda store: observed(encrypted(cached(cached(store)), new_key("a"))),
    lambda store: cached(observed(cached(encrypted(store, new_key("a"))))),
]


@pytest.mark.parametrize("compose", ORDERS)
async def test_past_every_cache_in_any_order(compose: Callable[[Store], Store]) -> None:
    raw = MemoryStore()
    store = compose(raw)
    async with store:
        past = store.uncached
        await store.commit([Put(A, 1)])
        [before] = await raw.get(A)
        await store.commit([Put(A, 2)])
        assert (await value(store, A), await value(past, A)) == (2, 2)
        assert before is not None
        raw._recent._since.clear()
        await raw.commit([Put(A, before.value)], commit_id=before.version)  # as another process had left it
        assert (await value(store, A), await value(past, A)) == (2, 1)
        assert past.uncached is past


async def test_without_a_cache_a_store_is_its_own_uncached_view() -> None:
    for store in (MemoryStore(), observed(encrypted(MemoryStore(), new_key("a")))):
        assert store.uncached is store


async def test_reads_past_the_cache_are_counted_and_decrypted() -> None:
    labels = {"backend": "memory", "namespace": "counted", "operation": "get", "outcome": "ok"}
    async with open_store(f"memory:?{ALL}&namespace=counted") as store:
        await store.commit([Put(A, {"x": 1})])
        assert await value(store.uncached, A) == {"x": 1}
    assert REGISTRY.get_sample_value("holdfast_store_operations_total", labels) == 1


async def test_what_a_wrapper_says_of_itself_is_what_is_inside(tmp_path: Path) -> None:
    store, plain = open_store(f"file:{tmp_path}/a?{ALL}"), open_store(f"file:{tmp_path}/b")
    async with store, plain:
        for name in ("durability", "atomicity", "shared", "warnings", "namespace", "findings"):
            assert getattr(store, name) == getattr(plain, name)
        assert store.url.startswith(f"file:{tmp_path}/a")
        await store.commit([Put(A, 1)])
        assert store.head == store.uncached.head > 0


async def test_nothing_readable_reaches_the_disk(tmp_path: Path) -> None:
    async with open_store(f"file:{tmp_path}/data?{ALL}") as store:
        await store.commit(
            [Put(Key("signal.x", "BTC"), {"note": "the crown jewels"}), Append("h", "the crown jewels")]
        )
        assert (await everything(store.read("h")))[0].value == "the crown jewels"
    files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert any(b"holdfast.encrypted" in path.read_bytes() for path in files)
    assert not any(b"jewels" in path.read_bytes() for path in files)


async def test_entity_views_of_wrapped_stores(tmp_path: Path) -> None:
    store = open_store(f"file:{tmp_path}/data?{ALL}")
    persist = store.persist
    async with persist("my-strategy", "./logs/data/signal") as signals:
        await signals.write_value("BTCUSDT", {"side": "long"})
        await signals.write_value("key10", None)
        await signals.write_value("key2", 2)
        assert await signals.read_value("BTCUSDT") == {"side": "long"}
        assert await everything(signals.keys()) == ["BTCUSDT", "key2", "key10"]
        await signals.remove_value("key2")
        assert not await signals.has_value("key2")
    async with store:
        assert (await store.names()).entities == ("signal.my-strategy",)
        stored = json.dumps(await value(store, Key("signal.my-strategy", "BTCUSDT")))
    assert stored == '{"side": "long"}'


async def what_adapters_see(folder: Path) -> int:
    """Return what a run reads of a row that another process changed while a cache remembered the old one."""
    row = Key("signal.x", "BTC")
    async with MemoryStore() as raw:
        views = cached(raw, max_age=1e9).persist
        async with AdapterStore({"signal": views}, base_dir=str(folder)) as adapters:
            await adapters.commit([Put(row, 1)])
            near = views("x", "logs/signal")
            document = await near.read_value("BTC")
            await raw.commit([Put(row, {**document, "value": 2})])
            assert (await near.read_value("BTC"))["value"] == 1
            found: int = await value(adapters, row)
            return found


async def test_adapters_of_a_cached_store_are_read_past_its_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that uses several adapters decides on what their stores hold, not on what a cache remembers."""
    assert await what_adapters_see(tmp_path / "one") == 2
    monkeypatch.setattr(StoreViews, "uncached", property(lambda views: views))
    assert await what_adapters_see(tmp_path / "control") == 1
