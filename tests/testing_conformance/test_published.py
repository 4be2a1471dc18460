"""What the kit says of adapters as they are commonly published: exactly these promises are broken, the others hold."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from holdfast.testing.conformance import Bench, Level, Pace, Report, Result, Subject, examine
from holdfast.testing.conformance.four_methods import subject_of
from holdfast.testing.servers.mongo import MongoTestServer
from holdfast.testing.servers.redis import RedisServer
from tests.testing_conformance.published import MONGO, REDIS, REPLICA

pytestmark = [pytest.mark.crash, pytest.mark.server("redis", "mongo")]

PUBLISHED = "tests.testing_conformance.published"
LEVELS = (Level.CORE, Level.ATOMIC, Level.CONCURRENT, Level.CRASH_SAFE)

METHODS = (
    "methods", "methods-values", "methods-apart", "methods-folders", "methods-refused", "methods-own-values",
    "methods-whole", "methods-cancelled", "methods-seen-by-others",
)  # fmt: skip
KEPT = ("put-and-get", "expectations", "found-again")
"""The store that is built on an adapter keeps its promises where the methods keep these."""

NAMES = {
    "methods-apart": "x of 'one:two' holds what was written at 'two:x' of one",
    "methods-folders": "x of one holds what was written at x of one in another folder",
}
CACHE = {
    "methods-refused": "what is there after a write that raised: <object",
    "methods-own-values": "after the caller changed what it had written: {'list': [1, 2]}",
    "methods-seen-by-others": "what another object reads after a write: 0 instead of 1",
}
REDIS_AS_INSTALLED = {"server-killed": ""}
REPLICA_BEHIND = {"methods-replicated": "lacks what was written before a crash"}
MONGO_NAMES = {
    "methods": "has_value of '7', where 7 was written: False",
    "methods-values": "1 instead of True",  # by the stand-in; mongod takes no name with a \0 in it
    "methods-folders": NAMES["methods-folders"],
    "odd-names": "collection names cannot be empty",
}


class World(NamedTuple):
    """Servers as they are installed (Redis keeps nothing of what it was told last), and what forks children."""

    redis: RedisServer
    mongo: MongoTestServer
    bench: Bench


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with (
        RedisServer(appendonly=False) as redis, RedisServer() as spare, MongoTestServer() as mongo,
        pytest.MonkeyPatch.context() as patch, Bench(preload=[PUBLISHED]) as bench,
    ):  # fmt: skip
        patch.setenv(REDIS, f"redis://127.0.0.1:{redis.port}/0")
        patch.setenv(REPLICA, f"redis://127.0.0.1:{spare.port}/0")
        patch.setenv(MONGO, f"mongodb://127.0.0.1:{mongo.port}/")
        yield World(redis, mongo, bench)


def subject_for(name: str, world: World, folder: Path) -> Subject:
    mongo = name == "MongoPersist"
    return subject_of(
        f"{PUBLISHED}:{name}", base_dir=str(folder), claims=LEVELS, real=not mongo,
        server=world.mongo if mongo else world.redis,
        replica_adapter=f"{PUBLISHED}:ReplicaPersist" if name == "ReplicatedPersist" else "",
    )  # fmt: skip


def examined(name: str, world: World, folder: Path, *also: str) -> Report:
    def tell(result: Result) -> None:
        print(f"{result.state:16}{result.name}: {result.said[:300]}", *result.history, sep="\n    ")

    subject, only = subject_for(name, world, folder), (*METHODS, *also)
    return examine(subject, only=only, bench=world.bench, pace=Pace(times=0.5, limit=60.0), seed=7, tell=tell)


@pytest.mark.parametrize(
    ("name", "also", "broken"),
    [
        ("RedisPersist", [*KEPT, "odd-names", "methods-killed", "server-killed"], NAMES | REDIS_AS_INSTALLED),
        ("CachedRedisPersist", [], NAMES | CACHE),
        ("ReplicatedPersist", ["methods-replicated"], NAMES | REPLICA_BEHIND),
        ("MongoPersist", [*KEPT, "odd-names"], MONGO_NAMES),
    ],
)
def test_what_is_broken(
    name: str, also: list[str], broken: dict[str, str], world: World, tmp_path: Path
) -> None:
    report = examined(name, world, tmp_path, *also)
    assert {result.name for result in report.broken} == set(broken)
    assert all(broken[result.name] in result.said for result in report.broken)
    assert not report.sound
    assert {result.state for result in report.results} == {"kept", "broken"}
