"""A live run on a primary with a replica: killed, it leaves what it would have left; on a promoted one it halts."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from holdfast.errors import WentBack
from holdfast.runtime.live.run import LiveRun
from holdfast.store import Store, open_store
from holdfast.store.wrappers.replicated import promote, replicated
from holdfast.testing.crash import Kill
from holdfast.testing.trial import Ground
from tests.runtime.world import LONG, PATIENCE, World, desk_on, follow, scripted, series
from tests.store.wrappers.replicas import held, pair

RISES = series(100, 100, 100, 100, 101, 102, 104, 104, minutes=30)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with Ground(folder=str(tmp_path_factory.mktemp("trials"))) as found:
        yield found


@pytest.mark.crash
@pytest.mark.parametrize(
    ("point", "nth"),
    [("replicated.committed", 3), ("replicated.committed", 9), ("replicated.applied", 4), ("orders.sent", 1)],
)
def test_a_run_that_is_killed_shows_nowhere(ground: Ground, tmp_path: Path, point: str, nth: int) -> None:
    replica = quote(f"sqlite:///{tmp_path}/two.db", safe="")
    url = f"sqlite:///{tmp_path}/one.db?replica={replica}"
    trial = ground.trial("take-profit", [Kill(point=point, nth=nth)], store=url)
    assert trial.story.kills == 1
    assert trial.kept, trial.broken


def run_of(world: World, store: Store) -> LiveRun:
    desk = desk_on(world, store)
    desk.strategy("s", interval="1m")(scripted({2: LONG, 12: LONG}))
    return desk.live.run("A", poll=0.01, patience=PATIENCE)


async def halted(store: Store) -> list[str]:
    async with store:
        return [record.value.get("halted", "") async for record in store.scan("run.s")]


@pytest.mark.parametrize("kind", ["file", "sqlite"])
def test_a_run_on_a_promoted_replica_halts_where_commits_may_be_missing(tmp_path: Path, kind: str) -> None:
    urls = pair(tmp_path, kind)
    world = World({"A": RISES})
    asyncio.run(follow(run_of(world, replicated(open_store(urls[0]), [open_store(urls[1])]))))
    sent = len(world.orders)
    assert sent == 2
    assert asyncio.run(promote(open_store(urls[1]))).loss is not None
    with pytest.raises(WentBack, match="missing here"):
        asyncio.run(run_of(world, replicated(open_store(urls[1]), [])).trade(lambda events: None))
    [reason] = asyncio.run(halted(replicated(open_store(urls[1]), [])))
    assert "missing here" in reason
    assert len(world.orders) == sent


def test_a_run_on_a_promoted_replica_that_has_everything_goes_on(tmp_path: Path) -> None:
    urls = pair(tmp_path, "file")
    world = World({"A": RISES})
    asyncio.run(follow(run_of(world, replicated(open_store(urls[0]), [open_store(urls[1])]))))
    assert asyncio.run(promote(open_store(urls[1]), old=open_store(urls[0]))).loss is None
    asyncio.run(follow(run_of(world, replicated(open_store(urls[1]), []))))
    assert asyncio.run(halted(replicated(open_store(urls[1]), []))) == [""]
    assert len(world.orders) == 2
    assert asyncio.run(_read(urls[0])) != {}


async def _read(url: str) -> object:
    async with open_store(url) as store:
        return await held(store)
