"""What README shows to a new user works as it is shown, and live as in the backtest."""

import asyncio
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from holdfast.errors import EntityNotFound
from holdfast.persist import AdapterStore
from holdfast.store import Append, Key, Put, open_store
from holdfast.testing.servers.mongo import MongoTestServer
from holdfast.testing.servers.postgres import PostgresServer
from holdfast.testing.servers.redis import RedisServer
from tests.cli.builders import Here, process

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_sma_cross(here: Here, tmp_path: Path) -> None:
    here("candles", tmp_path / "candles.csv", "--minutes", 1_500)
    words = (EXAMPLES / "sma_cross.py", "--candles", "BTCUSDT=candles.csv", "--json")
    backtest = process("backtest", *words, cwd=tmp_path)
    live = process("live", *words, cwd=tmp_path)
    assert (backtest.code, live.code) == (0, 0)
    assert len(backtest.of_type("Closed")) > 0
    for kind in ("Decided", "Opened", "Closed"):
        times = [(one["at"], one.get("price")) for one in backtest.of_type(kind)]
        assert [(one["at"], one.get("price")) for one in live.of_type(kind)] == times
    assert (tmp_path / "logs" / "data" / "state.sma-cross" / "BTCUSDT.json").is_file()


def test_dip(here: Here, tmp_path: Path) -> None:
    words = []
    for symbol, seed, price in (("BTCUSDT", 1, 40_000), ("ETHUSDT", 2, 2_500)):
        path = tmp_path / f"{symbol}.csv"
        here("candles", path, "--minutes", 6_000, "--seed", seed, "--price", price)
        words += ["--candles", f"{symbol}={path}"]
    done = here("backtest", f"{EXAMPLES / 'dip.py'}:desk", *words, "--json")
    assert done.code == 0
    assert done.summary["trades"] > 0
    assert done.of_type("Scheduled")


# ------------------------------------------------------------ storage: against servers that are started for it


@pytest.fixture(scope="module")
def redis() -> Iterator[str]:
    with RedisServer(appendfsync="everysec") as server:  # what is shown here needs no flush for each write
        yield server.url


@pytest.fixture(scope="module")
def mongo() -> Iterator[str]:
    with MongoTestServer() as server:
        yield server.url.partition("?")[0]


def script(name: str, *words: object, cwd: Path) -> str:
    """Run an example as a person does, and return what it printed."""
    command = [sys.executable, str(EXAMPLES / name), *map(str, words)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def told(said: str) -> list[str]:
    """Return the kinds of the events that a run printed."""
    return [line.partition("(")[0] for line in said.splitlines()]


@pytest.fixture
def candles(here: Here, tmp_path: Path) -> Path:
    """Candles in which a position is opened and closed; without the last 200, it stays open."""
    here("candles", tmp_path / "candles.csv", "--minutes", MINUTES)
    return tmp_path / "candles.csv"


def expected(candles: Path, tmp_path: Path) -> list[str]:
    """Return the kinds of the events of the same run on files."""
    tmp_path.mkdir()
    words = (EXAMPLES / "sma_cross.py", "--candles", f"BTCUSDT={candles}", "--json")
    done = process("live", *words, cwd=tmp_path)
    found = [one["type"] for one in done.objects if one["type"] in DECIDED]
    assert "Opened" in found
    return found


MINUTES = 1_000
DECIDED = ("Decided", "Opening", "Opened", "Closing", "Closed")


@pytest.mark.server("redis")
def test_live_on_redis(redis: str, candles: Path, tmp_path: Path) -> None:
    kinds = told(script("live_on_redis.py", candles, redis, cwd=tmp_path))
    assert [kind for kind in kinds if kind in DECIDED] == expected(candles, tmp_path / "files")
    kept = asyncio.run(fields(redis, "sma-cross"))
    assert "BTCUSDT" in kept
    again = told(script("live_on_redis.py", candles, redis, cwd=tmp_path))
    assert "Closed" not in again, "what was done is done: the state was found again"


async def fields(url: str, name: str) -> set[str]:
    """Return the ids that an adapter of that name has in Redis."""
    async with Redis.from_url(url, decode_responses=True) as client:
        places = [place async for place in client.scan_iter(count=1_000) if json.loads(place)[1] == name]
        return {str(field) for place in places for field in await client.hkeys(place)}


@pytest.mark.server("redis")
def test_the_redis_adapters_own_test(redis: str, tmp_path: Path) -> None:
    assert own_test(tmp_path, redis) == (0, "5 passed")


@pytest.mark.server("redis")
def test_the_redis_adapters_own_test_control(redis: str, tmp_path: Path) -> None:
    """An adapter that tears what it writes, and forgets the folder, does not pass."""
    source = (EXAMPLES / "redis_adapter.py").read_text()
    for name in ("test_redis_adapter.py", "redis_adapter.py"):
        (tmp_path / name).write_text((EXAMPLES / name).read_text())
    broken = source.replace("json.dumps([base_dir, entity_name])", "json.dumps(entity_name)")
    assert broken != source
    (tmp_path / "redis_adapter.py").write_text(broken)
    code, said = own_test(tmp_path, redis, folder=tmp_path)
    assert code == 1
    assert "failed" in said


def own_test(cwd: Path, url: str, *, folder: Path = EXAMPLES) -> tuple[int, str]:
    """Run the adapter's test as its page says; return its code and how it ended."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null"]
    done = subprocess.run(
        [*command, str(folder / "test_redis_adapter.py")],
        cwd=cwd, capture_output=True, text=True, timeout=200, check=False,
        env={**os.environ, "REDIS_URL": url, "PYTHONPATH": str(folder)},
    )  # fmt: skip
    return done.returncode, done.stdout.strip().splitlines()[-1].partition(" in ")[0]


@pytest.mark.server("redis")
def test_cached_adapter(redis: str, tmp_path: Path) -> None:
    seconds = [
        float(line.split()[1]) for line in script("cached_adapter.py", redis, cwd=tmp_path).splitlines()
    ]
    assert len(seconds) == 2
    assert seconds[1] < seconds[0]


@pytest.mark.server("redis")
def test_cached_adapter_remembers_only_what_redis_has(redis: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = loaded("cached_adapter", monkeypatch)
    plain, kind = module.RedisPersist, module.CachedRedisPersist
    plain.url = redis

    async def check() -> None:
        async with kind("cached", "x") as near, plain("cached", "x") as far:
            await near.write_value("a", {"list": [1]})
            (await near.read_value("a"))["list"].append(2)
            await far.write_value("a", "changed elsewhere")
            assert await near.read_value("a") == {"list": [1]}
            module.MAX_AGE = 0.0
            await near.write_value("b", 1)
            await far.write_value("b", 2)
            assert await near.read_value("b") == 2
            module.MAX_AGE = 60.0
            await near.write_value("c", 1)
            monkeypatch.setattr(plain, "write_value", failing)
            with pytest.raises(ConnectionError):
                await near.write_value("c", 2)
            assert await near.read_value("c") == 1
            assert len(near.known) == 3
            await near.remove_all()
            assert not near.known

    asyncio.run(check())


async def failing(*_: object) -> None:
    raise ConnectionError("cut")


@pytest.mark.server("mongo")
def test_mongo_adapter(mongo: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Against a server that speaks MongoDB's protocol and is not MongoDB."""
    kind = loaded("mongo_adapter", monkeypatch).MongoPersist
    kind.url = mongo

    async def check() -> None:
        async with kind("s", "x/signal") as persist, kind("s", "x/risk") as other:
            with pytest.raises(EntityNotFound):
                await persist.read_value("key1")
            for value in ({"data": "value1"}, None, 2**53 + 1, -0.0, "é", [1, 1.0, True, {"a.b": 2**40}]):
                await persist.write_value("key1", value)
                assert repr(await persist.read_value("key1")) == repr(value)
                assert type(await persist.read_value("key1")) is type(value)
            for number in (10, 2):
                await persist.write_value(f"key{number}", number)
            await other.write_value("key1", "another's")
            assert [key async for key in persist.keys()] == ["key1", "key2", "key10"]  # noqa: SIM118
            assert [value async for value in persist.values()][1:] == [2, 10]
            await persist.remove_value("key2")
            assert not await persist.has_value("key2")
            with pytest.raises(EntityNotFound):
                await persist.remove_value("key2")
            await persist.remove_all()
            assert not await persist.has_value("key1")
            assert await other.has_value("key1")
        for turn in (1, 2):
            async with AdapterStore({"signal": kind, "risk": kind}, base_dir=str(tmp_path)) as store:
                assert await store.last_number("history.s") == turn - 1
                await store.commit([Put(Key("signal.s", "A"), turn), Append("history.s", turn)])

    asyncio.run(check())


@pytest.mark.server("redis")
def test_replicated_adapter(redis: str, tmp_path: Path) -> None:
    urls = f"{redis}?namespace=example", f"file:{tmp_path}/spare?namespace=example"
    said = script("replicated_adapter.py", *urls, cwd=tmp_path)
    assert "differences=()" in said

    async def check() -> None:
        async with open_store(f"file:{tmp_path}/spare?mode=ro", namespace="example") as spare:
            assert len([one async for one in spare.scan("signal.my-strategy")]) == 100

    asyncio.run(check())


@pytest.mark.server("redis", "postgres")
def test_hybrid_storage(redis: str, candles: Path, tmp_path: Path) -> None:
    """After the other examples, in the same folder: each has a base_dir of its own."""
    process("live", EXAMPLES / "sma_cross.py", "--candles", f"BTCUSDT={candles}", cwd=tmp_path)
    script("live_on_redis.py", candles, redis, cwd=tmp_path)
    candles.write_text("".join(candles.read_text().splitlines(keepends=True)[:-200]))
    with PostgresServer() as postgres:
        said = script("hybrid_storage.py", candles, redis, postgres.url, cwd=tmp_path)
        assert [kind for kind in told(said) if kind in DECIDED] == expected(candles, tmp_path / "files")

        async def check() -> None:
            async with open_store(redis) as signals, open_store(postgres.url) as rest:
                assert "signal.sma-cross" in (await signals.names()).entities
                assert "state.sma-cross" not in (await signals.names()).entities
                assert "state.sma-cross" in (await rest.names()).entities
                assert "signal.sma-cross" not in (await rest.names()).entities

        asyncio.run(check())


def loaded(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return an example as a module."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module(name)
