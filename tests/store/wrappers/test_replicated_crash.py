"""The committing process is killed at every instant of replication, the replica's server for a thousand commits."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import Unavailable
from holdfast.store import open_store
from holdfast.store.wrappers.replicated import POINTS, replicated
from holdfast.testing.crash import Kill, Nursery
from holdfast.testing.servers.postgres import PostgresServer
from holdfast.testing.servers.process import ServerProcess
from holdfast.testing.servers.redis import RedisServer
from tests.store.wrappers import replicated_bot as bot
from tests.store.wrappers.replicas import A, held, pair, some, write

COUNT = 100
FIRST, BEFORE = 10_000, 150
"""Commits there were before the replica, from that number on: several steps of the first copy."""

OF_PROMOTING = {"replicated.drained", "replicated.fenced", "replicated.promoted"}

PRELOAD = (
    bot.__name__, "holdfast.store.backends.sqlite.store", "holdfast.store.backends.redis.store", "redis.asyncio",
    "holdfast.store.backends.postgres.store", "asyncpg",
)  # fmt: skip

pytestmark = pytest.mark.crash


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery(preload=PRELOAD) as found:
        yield found


async def model(count: int, before: int) -> dict[str, Any]:
    """Return the values that a store holds after those commits, one after the other."""
    async with open_store("memory:") as store:
        await write(store, before, first=FIRST)
        for n in range(count):
            await store.commit(some(n))
        return _values(await held(store))


def _values(found: dict[str, Any]) -> dict[str, Any]:
    return {
        "records": {key: value for key, (value, _) in found["records"].items()},
        "streams": {name: [event.value for event in events] for name, events in found["streams"].items()},
    }


async def values(url: str) -> dict[str, Any]:
    async with open_store(url) as store:
        return _values(await held(store))


async def filled(url: str, before: int) -> None:
    async with open_store(url) as store:
        await write(store, before, first=FIRST)


@pytest.mark.parametrize(
    ("point", "nth"),
    [(point, 1) for point in sorted({*POINTS} - OF_PROMOTING)]
    + [("replicated.applied", 3), ("replicated.committed", 55), ("replicated.copied", 2)],
)
def test_killed_at_every_instant(nursery: Nursery, tmp_path: Path, point: str, nth: int) -> None:
    """Whatever was acknowledged is in both in the end, once, in order; a second kill hits what repairs the first."""
    primary, replica = pair(tmp_path)
    asyncio.run(filled(primary, BEFORE))
    arguments = {"primary": primary, "replica": replica, "folder": str(tmp_path), "count": COUNT}
    kills = [Kill(point=point, nth=nth), Kill(point="replicated.applied", nth=1)]
    story = nursery.live_on(bot.trade, arguments, kills=kills)
    assert story.lives[0].died_at == point
    assert story.last.answer["equal"], story.last.answer
    expected = asyncio.run(model(COUNT, BEFORE))
    assert asyncio.run(values(primary)) == asyncio.run(values(replica)) == expected


@pytest.mark.parametrize("point", sorted(OF_PROMOTING))
def test_killed_while_promoting(nursery: Nursery, tmp_path: Path, point: str) -> None:
    primary, replica = pair(tmp_path)
    asyncio.run(behind(primary, replica))
    expected = asyncio.run(values(primary))
    story = nursery.live_on(
        bot.take_over, {"old": primary, "replica": replica}, kills=[Kill(point=point, nth=1)]
    )
    assert story.kills == 1
    assert story.last.answer == {"epoch": 2, "number": 130, "loss": False}
    assert asyncio.run(values(replica)) == expected
    with pytest.raises(Unavailable, match="was promoted"):
        asyncio.run(replicated(open_store(primary), []).open())


async def behind(primary: str, replica: str) -> None:
    async with replicated(open_store(primary), [open_store(replica)]) as store:
        await write(store, 30)
        assert await store.caught_up()
    async with replicated(open_store(primary), []) as store:
        await write(store, 100, first=30)


# ------------------------------------------------------------ controls


@pytest.mark.parametrize(
    ("mutant", "point", "nth"),
    [(bot.owed_in_memory, "replicated.committed", 40), (bot.counted_later, "replicated.applied", 40)],
)
def test_control(nursery: Nursery, tmp_path: Path, mutant: Any, point: str, nth: int) -> None:
    primary, replica = pair(tmp_path)
    arguments = {"primary": primary, "replica": replica, "folder": str(tmp_path), "count": 100}
    patches = [f"{bot.__name__}:{mutant.__name__}"]
    life = nursery.live(bot.trade, arguments, kills=[Kill(point=point, nth=nth)], patches=patches)
    assert life.died_at == point
    life = nursery.live(bot.trade, arguments, patches=patches)
    assert life.ended == "returned", life
    assert not life.answer["equal"]


def test_control_an_old_primary_that_is_not_fenced(nursery: Nursery, tmp_path: Path) -> None:
    primary, replica = pair(tmp_path)
    asyncio.run(behind(primary, replica))
    arguments = {"old": primary, "replica": replica}
    life = nursery.live(bot.take_over, arguments, patches=[f"{bot.__name__}:not_fenced"])
    assert life.ended == "raised", "it finds that the fence is not there, and promotes nothing"
    assert "fenced" in life.message


# ------------------------------------------------------------ real servers


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.mark.server("redis")
def test_redis_replica_killed_for_a_thousand_commits(
    nursery: Nursery, tmp_path: Path, redis: RedisServer
) -> None:
    outage(nursery, tmp_path, f"sqlite:///{tmp_path}/one.db", redis)


@pytest.mark.server("redis", "postgres")
def test_redis_replica_of_postgres(
    nursery: Nursery, tmp_path: Path, redis: RedisServer, postgres: PostgresServer
) -> None:
    outage(nursery, tmp_path, f"{postgres.url}?namespace=primary", redis, postgres)


@pytest.mark.server("redis", "postgres")
def test_postgres_replica_of_redis(
    nursery: Nursery, tmp_path: Path, redis: RedisServer, postgres: PostgresServer
) -> None:
    outage(nursery, tmp_path, f"{redis.url}?namespace=primary", postgres, redis)


def outage(
    nursery: Nursery, tmp_path: Path, primary: str, server: ServerProcess, other: ServerProcess | None = None
) -> None:
    """Kill the replica's server for a thousand commits, who makes them, and the primary's server; then compare."""
    replica = f"{server.url}?namespace={tmp_path.name}"
    impatient = f"{replica}&connect_timeout=1"  # when it is gone, nobody wants to wait for it
    arguments = {"primary": primary, "replica": impatient, "folder": str(tmp_path), "count": 100}
    assert nursery.live(bot.trade, arguments).answer["equal"]
    server.kill()
    arguments = {**arguments, "count": 1100, "follow": False}
    life = nursery.live(bot.trade, arguments, kills=[Kill(point="replicated.committed", nth=500)])
    assert life.died_at == "replicated.committed"
    assert nursery.live(bot.trade, arguments).answer == {"equal": None}
    if other is not None:
        other.kill()
        other.start()
    server.start()
    arguments = {**arguments, "follow": True}
    life = nursery.live(bot.trade, arguments, kills=[Kill(point="replicated.applied", nth=4)])
    assert life.died_at == "replicated.applied", "killed while it catches up"
    life = nursery.live(bot.trade, arguments)
    assert life.ended == "returned", life
    assert life.answer["equal"], life.answer
    expected = asyncio.run(model(1100, 0))
    assert asyncio.run(values(replica)) == asyncio.run(values(primary)) == expected


async def test_a_thousand_commits_are_a_thousand(tmp_path: Path) -> None:
    """The model counts: a commit more or less is seen."""
    assert await model(10, 0) != await model(11, 0)
    assert A not in (await model(10, 0))["records"]
