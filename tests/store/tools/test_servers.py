"""The tools on real servers: a portfolio goes round all of them and comes back as it was."""

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from holdfast.store import Store, open_store
from holdfast.store.tools import copy, count, differences, verify
from holdfast.testing.crash import Kill, Nursery
from holdfast.testing.servers.mongo import MongoTestServer
from holdfast.testing.servers.park import Park, in_namespace
from tests.store.tools.bots import copied
from tests.store.tools.filling import EVENTS, RECORDS, fill


def place(park: Park, kind: str, folder: Path, name: str) -> str:
    """Return the URL of a fresh place, all those of a test in one namespace."""
    start = {"file": f"file:{folder / name}", "sqlite": f"sqlite:///{folder / name}"}
    return in_namespace(start.get(kind) or park.server(kind).url, folder.name)


async def same(one: Store, other: Store) -> bool:
    async with one, other:
        return not await differences(one, other)


async def round_trip(urls: list[str]) -> None:
    async with open_store(urls[0]) as store:
        await fill(store)
    for source, target in pairwise(urls):
        done = await copy(open_store(source), open_store(target), move=True)
        assert (done.records, done.events, done.mark) == (RECORDS, EVENTS, "")
        async with open_store(target) as store:
            assert await verify(store) == []
            found = await count(store)
            assert sum(one.count for one in found.counts) == RECORDS + EVENTS
            assert found.head > 0
    assert await same(open_store(urls[0]), open_store(urls[-1]))


@pytest.mark.server("postgres", "redis")
async def test_round_trip(park: Park, tmp_path: Path) -> None:
    await asyncio.to_thread(park.server, "postgres")
    await asyncio.to_thread(park.server, "redis")
    kinds = ["file", "postgres", "redis", "sqlite", "file"]
    await round_trip([place(park, kind, tmp_path, f"{kind}-{n}") for n, kind in enumerate(kinds)])


@pytest.mark.server("mongo")
async def test_there_and_back_over_the_mongodb_protocol(tmp_path: Path) -> None:
    with MongoTestServer() as server:
        places = [f"file:{tmp_path}/one", server.url, f"file:{tmp_path}/other"]
        await round_trip([in_namespace(url, "there") for url in places])


@pytest.mark.crash
@pytest.mark.server("postgres", "redis")
@pytest.mark.parametrize(("one", "other"), [("file", "postgres"), ("postgres", "redis"), ("redis", "file")])
def test_a_move_that_is_killed_again_and_again(park: Park, tmp_path: Path, one: str, other: str) -> None:
    source, target = place(park, one, tmp_path, "source"), place(park, other, tmp_path, "target")

    async def filled() -> None:
        async with open_store(source) as store:
            await fill(store)

    asyncio.run(filled())
    points = [
        "copy.begun",
        "copy.committing",
        "copy.committed",
        "copy.compared",
        "copy.source-marked",
        "copy.ended",
    ]
    with Nursery(preload=("holdfast.store.tools", "asyncpg", "redis.asyncio")) as nursery:
        kills = [Kill(point=point, nth=1 + (point == "copy.committed")) for point in points]
        story = nursery.live_on(copied, {"source": source, "target": target, "move": True}, kills=kills)
    assert story.kills == len(points)
    assert asyncio.run(same(open_store(source), open_store(target)))
