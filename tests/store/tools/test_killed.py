"""A copy that is killed anywhere and run again ends right; until then nobody mistakes it for the portfolio."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.store import Store, open_store
from holdfast.store.tools import POINTS, differences
from holdfast.store.tools.importing import PortableFile
from holdfast.store.tools.mark import MARK_KEY, mark_of
from holdfast.testing.crash import Kill, NotDone, Nursery
from tests.store.tools.bots import copied, exported
from tests.store.tools.filling import EVENTS, RECORDS, fill

pytestmark = pytest.mark.crash

COPY = [point for point in POINTS if point.startswith("copy.")]
EXPORT = [point for point in POINTS if point.startswith("export.")]
ONLY_OF_A_MOVE = "copy.source-marked"
CUT_OFF = {("", "empty"), ("", "copying"), ("", "copy"), ("moved", "copying"), ("moved", "")}
"""The marks that two places may have where a copy was cut off: at most one of them can be traded on."""


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery(preload=("holdfast.store.tools", "holdfast.store.backends.sqlite.store")) as nursery:
        yield nursery


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filled") / "source"

    async def make() -> None:
        async with open_store(f"file:{folder}") as store:
            await fill(store)

    asyncio.run(make())
    return folder


@pytest.fixture
def source(filled: Path, tmp_path: Path) -> str:
    shutil.copytree(filled, tmp_path / "source")
    return f"file:{tmp_path}/source"


async def _states(source: str, target: str) -> tuple[str, str]:
    found = []
    for url in (source, target):
        async with open_store(url) as store:
            mark = mark_of((await store.get(MARK_KEY))[0])
            empty = not (await store.names()).entities
            found.append(mark.state if mark else "empty" if empty else "")
    return found[0], found[1]


async def _equal(one: Store, other: Store) -> bool:
    async with one, other:
        return not await differences(one, other)


def equal(source: str, target: str) -> bool:
    return asyncio.run(_equal(open_store(source), open_store(target)))


@pytest.mark.parametrize(("to", "move"), [("sqlite", True), ("file", False)], ids=["move", "copy"])
def test_a_kill_at_any_point(nursery: Nursery, source: str, tmp_path: Path, to: str, move: bool) -> None:
    kills = [Kill(point=point, nth=1) for point in COPY if move or point != ONLY_OF_A_MOVE]
    for kill in [*kills, Kill(point="copy.committed", nth=3)]:
        name = f"{kill.point}-{kill.nth}"
        here, target = f"{source}-{name}", f"{to}:{tmp_path}/{name}"
        shutil.copytree(source.removeprefix("file:"), here.removeprefix("file:"))
        arguments: dict[str, Any] = {"source": here, "target": target, "move": move}
        assert nursery.live(copied, arguments, kills=[kill]).ended == "killed"
        assert asyncio.run(_states(here, target)) in CUT_OFF
        last = nursery.live(copied, arguments)
        whole = {"records": RECORDS, "events": EVENTS, "mark": "" if move else "copy"}
        assert (last.ended, last.answer) == ("returned", whole), last.message
        assert equal(here, target)
        assert asyncio.run(_states(here, target)) == (("moved", "") if move else ("", "copy"))


def test_kills_at_random_times(nursery: Nursery, source: str, tmp_path: Path) -> None:
    arguments = {"source": source, "target": f"sqlite:///{tmp_path}/x.db", "move": True}
    kills = [Kill(after=0.02 + 0.01 * turn) for turn in range(8)]
    story = nursery.live_on(copied, arguments, kills=kills)
    assert story.kills >= 2
    assert equal(source, f"sqlite:///{tmp_path}/x.db")


def test_the_control_doubles_events_and_is_noticed(nursery: Nursery, source: str, tmp_path: Path) -> None:
    target = f"sqlite:///{tmp_path}/x.db"
    arguments = {"source": source, "target": target, "move": True}
    broken = "tests.store.tools.bots:from_the_start"
    with pytest.raises(NotDone, match="Corrupt"):
        nursery.live_on(copied, arguments, kills=[Kill(point="copy.compared", nth=1)], patches=[broken])
    assert asyncio.run(_states(source, target)) == ("", "copying")


@pytest.mark.parametrize("name", ["p.jsonl", "p.jsonl.gz"])
def test_an_export_is_whole_or_not_there(nursery: Nursery, source: str, tmp_path: Path, name: str) -> None:
    for point in EXPORT:
        path = tmp_path / f"{point}-{name}"
        arguments = {"source": f"{source}?mode=ro", "path": str(path)}
        assert nursery.live(exported, arguments, kills=[Kill(point=point, nth=1)]).ended == "killed"
        if path.exists():
            assert point == "export.renamed"
        else:
            assert nursery.live(exported, arguments).answer == EVENTS
        assert asyncio.run(_equal(open_store(source), PortableFile(str(path))))
