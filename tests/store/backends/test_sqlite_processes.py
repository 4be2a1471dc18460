"""Several processes on one SQLite file, killed ones among them: nothing lost, nothing twice, nothing torn.

`kill -9` says nothing about flushes, since the kernel keeps what was written: those are counted with strace.
"""

import asyncio
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from holdfast import points
from holdfast.errors import Conflict
from holdfast.store import ABSENT, Append, Key, Put, open_store
from holdfast.store.backends.sqlite import POINTS, writing
from holdfast.store.backends.sqlite import connection as opening
from holdfast.store.backends.sqlite.place import Place
from holdfast.testing.crash import Kill, Nursery
from tests.conftest import in_memory

COUNT = Key("count", "one")
LEFT = Key("pair", "left")
RIGHT = Key("pair", "right")
PROCESSES = 3
TIMES = 20


@pytest.fixture(scope="module")
def nurseries() -> Iterator[list[Nursery]]:
    made = [Nursery() for _ in range(PROCESSES)]
    for nursery in made:
        nursery.start()
    yield made
    for nursery in made:
        nursery.stop()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/new/folder/state.db?busy_timeout=200"


@pytest.fixture
def swift() -> Iterator[str]:
    """A store in memory, for what shows nothing of the disk."""
    with tempfile.TemporaryDirectory(prefix="holdfast-sqlite-", dir=in_memory()) as folder:
        yield f"sqlite:///{folder}/new/folder/state.db?busy_timeout=200"


async def increment(url: str, times: int, tasks: int, meet: str = "") -> int:
    """Add one to a counter and an event to a stream, `times` times; return how many were acknowledged.

    Those that are given a folder to meet in start together.
    """
    acknowledged = 0

    async def one() -> None:
        nonlocal acknowledged
        (record,) = await store.get(COUNT)
        number, expect = (0, ABSENT) if record is None else (record.value, record.version)
        try:
            await store.commit([Put(COUNT, number + 1, expect), Append("counted", number + 1)])
            acknowledged += 1
        except Conflict:
            pass

    async with open_store(url) as store:
        if meet:
            Path(meet, str(os.getpid())).touch()  # noqa: ASYNC240
            while len(os.listdir(meet)) < PROCESSES:  # noqa: ASYNC110 - other processes
                await asyncio.sleep(0.001)
        while acknowledged < times:
            await asyncio.gather(*(one() for _ in range(tasks)))
    return acknowledged


def read_before_the_lock() -> None:
    """A patch: the transaction starts by reading, as BEGIN alone does."""
    patch_statements({"BEGIN IMMEDIATE": "BEGIN"})
    pause_after_reading(lambda conn: None)


def decide_without_the_lock() -> None:
    """A patch: what was read is not locked when it is decided on."""
    pause_after_reading(lambda conn: conn.execute("COMMIT"), lambda conn: conn.execute("BEGIN IMMEDIATE"))


def pause_after_reading(before: Any, after: Any = lambda conn: None) -> None:
    real = writing._versions

    def versions(conn: Any, *args: Any) -> Any:
        found = real(conn, *args)
        before(conn)
        time.sleep(0.002)
        after(conn)
        return found

    writing._versions = versions  # type: ignore[assignment]


def never_flush() -> None:
    """A patch: SQLite is told not to flush."""
    patch_statements({"PRAGMA synchronous = FULL": "PRAGMA synchronous = OFF"})
    opening._FULL = frozenset({0})  # type: ignore[misc,assignment]


def commit_one_by_one() -> None:
    """A patch: every record is a transaction of its own."""
    real = writing._apply

    def apply(conn: Any, space: Any, decision: Any, now: int) -> None:
        for key, new in list(decision.written.items()):
            decision.written = {key: new}
            real(conn, space, decision, now)
            decision.events, decision.commits = [], []
            conn.execute("COMMIT")
            points.reached("sqlite.written")
            conn.execute("BEGIN IMMEDIATE")

    writing._apply = apply  # type: ignore[assignment]


class Patched(sqlite3.Connection):
    """A connection that says something else."""

    instead: dict[str, str] = {}  # noqa: RUF012

    def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
        return super().execute(self.instead.get(sql, sql), *args)


def patch_statements(instead: dict[str, str]) -> None:
    real = sqlite3.connect
    Patched.instead = instead
    sqlite3.connect = lambda *args, **options: real(*args, factory=Patched, **options)  # type: ignore[assignment]


def race(nurseries: Sequence[Nursery], url: str, meet: Path, *patches: str) -> list[Any]:
    meet.mkdir()
    arguments = {"url": url, "times": TIMES, "tasks": 4, "meet": str(meet)}
    with ThreadPoolExecutor(len(nurseries)) as pool:
        running = [pool.submit(n.live, increment, arguments, patches=patches) for n in nurseries]
        return [future.result() for future in running]


async def counted(url: str) -> tuple[Any, list[Any]]:
    async with open_store(url) as store:
        (record,) = await store.get(COUNT)
        return record and record.value, [event.value async for event in store.read("counted")]


def test_no_update_of_several_processes_is_lost(nurseries: list[Nursery], swift: str, tmp_path: Path) -> None:
    lives = race(nurseries, swift, tmp_path / "meet")
    assert [life.error + life.message for life in lives] == [""] * PROCESSES
    total = sum(life.answer for life in lives)
    assert asyncio.run(counted(swift)) == (total, list(range(1, total + 1)))


@pytest.mark.parametrize("patch", [read_before_the_lock, decide_without_the_lock])
def test_control_without_the_lock(nurseries: list[Nursery], swift: str, tmp_path: Path, patch: Any) -> None:
    """Either an update is lost, or SQLite refuses half-way: both are seen by the same check."""
    for turn in range(
        20
    ):  # one is enough, unless none of them ever comes between another's reading and writing
        url = swift.replace("state.db", f"state-{turn}.db")
        lives = race(nurseries, url, tmp_path / f"meet-{turn}", f"{__name__}:{patch.__name__}")
        failed = [life.error for life in lives if life.ended != "returned"]
        total = sum(life.answer or 0 for life in lives)
        found, events = asyncio.run(counted(url))
        if seen := bool(failed or found != total or events != list(range(1, total + 1))):
            break
    assert seen


async def write_pairs(url: str, path: str) -> None:
    """Write two records that always agree, and note in a file what was acknowledged."""
    async with open_store(url) as store:
        with Path(path).open("a", encoding="utf-8") as told:  # noqa: ASYNC230
            (record,) = await store.get(LEFT)
            first = 1 if record is None else record.value + 1
            for number in range(first, first + 4):
                await store.commit(
                    [Put(LEFT, number), Put(RIGHT, number), Append("pairs", number)],
                    commit_id=f"pair-{number}",
                )
                told.write(f"{number}\n")
                told.flush()


async def pairs(url: str) -> tuple[Any, Any, list[Any]]:
    async with open_store(url) as store:
        left, right = await store.get(LEFT, RIGHT)
        events = [event.value async for event in store.read("pairs")]
        if events:  # repeated with its id, the last one counts once
            await store.commit([Append("pairs", "twice")], commit_id=f"pair-{events[-1]}")
            assert await store.last_number("pairs") == len(events)
        return left and left.value, right and right.value, events


def wrong(url: str, told: Path) -> str:
    """Return what a kill has spoilt; "" for nothing."""
    left, right, events = asyncio.run(pairs(url))
    acknowledged = [int(line) for line in told.read_text(encoding="utf-8").split()] if told.exists() else []
    if left != right or (left or 0) != len(events):
        return f"torn: {left} {right} {events}"
    if events != list(range(1, len(events) + 1)):
        return f"gaps: {events}"
    return f"lost: {acknowledged} {events}" if max(acknowledged, default=0) > len(events) else ""


@pytest.mark.crash
@pytest.mark.parametrize("point", POINTS)
def test_killed_at_every_point(nurseries: list[Nursery], swift: str, tmp_path: Path, point: str) -> None:
    arguments = {"url": swift, "path": str(tmp_path / "told")}
    died = 0
    for nth in (1, 3):
        life = nurseries[0].live(write_pairs, arguments, kills=[Kill(point=point, nth=nth)])
        assert life.ended in ("killed", "returned"), life
        died += life.ended == "killed"
        assert wrong(swift, tmp_path / "told") == ""
    assert died


@pytest.mark.crash
def test_control_of_the_kills(nurseries: list[Nursery], swift: str, tmp_path: Path) -> None:
    patches = [f"{__name__}:commit_one_by_one"]
    arguments = {"url": swift, "path": str(tmp_path / "told")}
    nurseries[0].live(write_pairs, arguments, kills=[Kill(point="sqlite.written", nth=1)], patches=patches)
    assert wrong(swift, tmp_path / "told").startswith("torn")


@pytest.mark.crash
def test_others_go_on_where_one_is_killed(nurseries: list[Nursery], swift: str) -> None:
    """The kernel frees the write lock of the dead one at once."""
    arguments = {"url": swift, "times": TIMES, "tasks": 1}
    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(nurseries[1].live, increment, arguments)
        lives = [
            nurseries[0].live(increment, arguments, kills=[Kill(point="sqlite.written", nth=5)])
            for _ in range(4)
        ]
        assert running.result().ended == "returned"
    assert {life.ended for life in lives} == {"killed"}
    found, events = asyncio.run(counted(swift))
    assert events == list(range(1, found + 1))
    assert found >= TIMES + 4 * 4


SCRIPT = """
import asyncio, sys
from holdfast.store import Key, Put, open_store
import tests.store.backends.test_sqlite_processes as patches

async def main(url, tasks, each):
    async with open_store(url) as store:
        async def one(task):
            for number in range(each):
                await store.commit([Put(Key("k", str(task)), number)])
        print("START", flush=True)
        await asyncio.gather(*(one(task) for task in range(tasks)))
        print("STOP", flush=True)

if sys.argv[4]:
    getattr(patches, sys.argv[4])()
asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
"""


def flushes(url: str, log: Path, tasks: int, each: int, patch: str = "") -> int:
    """Return how often a process flushes a file between its first commit and its last."""
    run = [sys.executable, "-c", SCRIPT, url, str(tasks), str(each), patch]
    traced = ["strace", "-f", "-qq", "-s", "16", "-o", str(log), "-e", "trace=fdatasync,fsync,write"]
    subprocess.run([*traced, *run], check=True, capture_output=True, cwd=Path(__file__).parents[3])
    lines = log.read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if '"START' in line)
    stop = next(i for i, line in enumerate(lines) if '"STOP' in line)
    return sum(re.search(r"\b(fdatasync|fsync)\(", line) is not None for line in lines[start:stop])


@pytest.mark.needs("strace")
def test_flushes(url: str, tmp_path: Path) -> None:
    """Each commit that comes alone is flushed; many at once are flushed together; the control never flushes."""
    log = tmp_path / "strace"
    assert flushes(url, log, 1, 20) >= 20
    assert 5 <= flushes(url, log, 64, 5) <= 64
    assert flushes(url, log, 1, 20, "never_flush") == 0


def trust_what_is_there() -> None:
    """A patch: what a dead process left in the WAL is answered with as it is."""
    opening.checkpoint = lambda *args, **options: True
    Place.flush_wal = lambda self: None  # type: ignore[method-assign]


def flushed_at_open(url: str, log: Path, patch: str = "") -> list[str]:
    """Return the paths that a process flushes before it has opened the store."""
    run = [sys.executable, "-c", SCRIPT, url, "1", "1", patch]
    traced = [
        "strace",
        "-f",
        "-qq",
        "-y",
        "-s",
        "16",
        "-o",
        str(log),
        "-e",
        "trace=fdatasync,fsync,link,linkat,write",
    ]
    subprocess.run([*traced, *run], check=True, capture_output=True, cwd=Path(__file__).parents[3])
    lines = log.read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if '"START' in line)
    found = [re.search(r"\b(link|linkat|fdatasync|fsync)\((?:\d+<([^>]*)>)?", line) for line in lines[:start]]
    return [each[2] or each[1] for each in found if each]


@pytest.mark.needs("strace")
def test_a_new_file_is_durable_before_it_is_used(url: str, tmp_path: Path) -> None:
    """The file is flushed before it has its name, and the name of every new folder before that of what is in it."""
    flushed = flushed_at_open(url, tmp_path / "strace")
    (link,) = [i for i, what in enumerate(flushed) if what.startswith("link")]
    assert flushed[:2] == [str(tmp_path), str(tmp_path / "new")]
    assert flushed[link - 1].endswith(".new")
    assert flushed[link + 1] == str(tmp_path / "new/folder")


@pytest.mark.crash
@pytest.mark.needs("strace")
def test_what_a_dead_process_left_is_flushed_before_it_is_answered(
    nurseries: list[Nursery], url: str, tmp_path: Path
) -> None:
    database = str(tmp_path / "new/folder/state.db")
    arguments = {"url": url, "path": str(tmp_path / "told")}
    for patch in ("", "trust_what_is_there"):
        life = nurseries[0].live(write_pairs, arguments, kills=[Kill(point="sqlite.committed", nth=2)])
        assert life.ended == "killed"
        flushed = flushed_at_open(url, tmp_path / "strace", patch)
        assert [database in flushed, f"{database}-wal" in flushed] == [not patch, not patch]
