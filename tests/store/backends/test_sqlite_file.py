"""The SQLite file itself: private, made whole, recognised, watched; never changed where it is not ours or damaged."""

# ruff: noqa: ASYNC221, ASYNC222, ASYNC240 - what is looked at here between two awaits is the file

import asyncio
import errno
import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import (
    Corrupt,
    FromTheFuture,
    InvalidOption,
    NotOpen,
    StoreError,
    StoreFull,
    StoreMissing,
    Unavailable,
    Unsupported,
    WentBack,
)
from holdfast.store import Append, Durability, Key, Put, Store, open_store
from holdfast.store.backends.sqlite import connection, reading
from holdfast.store.backends.sqlite.disk import SqliteDisk
from holdfast.store.backends.sqlite.place import Place
from holdfast.store.backends.sqlite.remembering import Seen
from holdfast.store.backends.sqlite.store import SqliteStore
from holdfast.system import SystemClock

A = Key("signal.one", "BTCUSDT")
B = Key("signal.one", "ETHUSDT")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


def at(path: Path, more: str = "", **options: Any) -> Store:
    return open_store(f"sqlite:///{path}{more}", **options)


async def fill(path: Path, value: Any = 1) -> None:
    async with at(path) as store:
        await store.commit([Put(A, value), Append("history", value)])


def sql(path: Path, *statements: str) -> list[Any]:
    """Run statements as any other program would."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        return [other.execute(statement).fetchall() for statement in statements]


@contextmanager
def tmpfs(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)], check=False
    ).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///state.db", "state.db"),
        ("sqlite:////var/state.db", "/var/state.db"),
        ("sqlite:state.db", "state.db"),
        ("sqlite:./a/state.db", "./a/state.db"),
        ("sqlite:/var/state.db", "/var/state.db"),
        ("sqlite:///a%20b%3F.db?mode=ro", "a b?.db"),
    ],
)
def test_paths(url: str, path: str) -> None:
    store = open_store(url)
    assert isinstance(store, SqliteStore)
    assert store.path == path
    assert store.url == f"sqlite:///{path}"
    assert store.shared


@pytest.mark.parametrize(
    "url",
    ["sqlite:", "sqlite://", "sqlite:///", "sqlite:///a/", "sqlite://state.db", "sqlite://u:p@h/x.db", "sqlite:///:memory:",
     "sqlite:///x.db?mode=x", "sqlite:///x.db?cache_size=1", "sqlite:///x.db?busy_timeout=-1"],
)  # fmt: skip
def test_urls_that_make_no_sense(url: str) -> None:
    with pytest.raises(InvalidOption):
        open_store(url)


async def test_private_and_durable(tmp_path: Path) -> None:
    path = tmp_path / "new" / "er" / "state?#%.db"
    old = os.umask(0)
    try:
        async with SqliteStore(str(path)) as store:
            await store.commit([Put(A, 1)])
            modes = {name.name: stat.S_IMODE(name.stat().st_mode) for name in path.parent.iterdir()}
            assert modes == {path.name + end: 0o600 for end in ("", "-wal", "-shm")}
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
            assert store.durability is Durability.POWER_LOSS
            assert store.warnings == ()
    finally:
        os.umask(old)
    assert [name.name for name in path.parent.iterdir()] == [path.name]


async def test_values_are_there_for_sql(path: Path) -> None:
    await fill(path, {"side": "long", "at": 1.0})
    assert sql(path, "SELECT value, json_extract(value, '$.side') FROM records") == [
        [('{"side":"long","at":1.0}', "long")]
    ]


async def test_namespaces_share_a_file(path: Path) -> None:
    async with at(path, "?namespace=blue") as blue, at(path) as default:
        first = await blue.commit([Put(A, "blue"), Append("history", "blue")], commit_id="same")
        second = await default.commit([Put(A, "default")], commit_id="same")
        assert first == second == "same"
        assert [record and record.value for store in (blue, default) for record in await store.get(A)] == [
            "blue",
            "default",
        ]
        assert (await default.names()).streams == ()
        assert (blue.head, default.head) == (1, 1)


async def test_reader_only_reads(path: Path) -> None:
    with pytest.raises(StoreMissing):
        await at(path, "?mode=ro").open()
    assert not path.exists()
    await fill(path)
    async with at(path, "?mode=ro") as reader:
        with pytest.raises(Unsupported):
            await reader.commit([Put(A, 2)])
        async with at(path) as writer:
            for number in range(3):
                await writer.commit([Put(A, number)])
                assert [record and record.value for record in await reader.get(A)] == [number]
                assert reader.head == writer.head
    with pytest.raises(StoreMissing, match="blue"):
        await at(path, "?mode=ro&namespace=blue").open()


async def test_tmpfs_is_said_to_be_no_disk() -> None:
    memory = Path("/dev/shm")
    if not memory.is_dir() or SqliteDisk().file_system(str(memory)) != "tmpfs":
        pytest.skip("/dev/shm is no tmpfs here")
    path = memory / f"holdfast-{os.getpid()}.db"
    try:
        async with at(path) as store:
            assert store.durability is Durability.PROCESS_CRASH
            assert "tmpfs" in store.warnings[0]
    finally:
        path.unlink()


class Elsewhere(SqliteDisk):
    """A disk on the network."""

    def file_system(self, path: str) -> str:
        return "nfs4"


async def test_network_file_system_is_refused(path: Path) -> None:
    with pytest.raises(Unsupported, match="nfs4"):
        await SqliteStore(str(path), disk=Elsewhere()).open()
    assert not path.exists()


async def refused(path: Path, error: type[StoreError], match: str) -> None:
    """Opening is refused for reading and writing, and leaves everything as it was."""
    before = {name: name.read_bytes() for name in path.parent.iterdir()}
    for more in ("", "?mode=ro"):
        with pytest.raises(error, match=match):
            await at(path, more).open()
    assert {name: name.read_bytes() for name in path.parent.iterdir()} == before


async def test_another_applications_database(path: Path) -> None:
    sql(path, "CREATE TABLE theirs (x)", "INSERT INTO theirs VALUES (1)")
    await refused(path, Corrupt, "another application")


async def test_another_applications_database_that_needs_recovery(path: Path) -> None:
    """Not even what its own application left to recover is touched."""
    script = (
        "import sqlite3, os, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('PRAGMA "
    )
    script += "journal_mode=WAL'); c.execute('CREATE TABLE theirs (x)'); os._exit(0)"
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)
    assert Path(f"{path}-wal").stat().st_size
    await refused(path, Corrupt, "another application")


@pytest.mark.parametrize("content", [b"", b"\0" * 4096, b"no database, but long enough to be one" * 200])
async def test_what_is_no_database(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    await refused(path, Corrupt, "is empty|no SQLite database|another application")


async def test_a_newer_format(path: Path) -> None:
    await fill(path)
    sql(path, "PRAGMA user_version = 2")
    await refused(path, FromTheFuture, "format 2")
    sql(path, "PRAGMA user_version = 1", "UPDATE namespaces SET format = 9")
    for more in ("", "?mode=ro"):
        with pytest.raises(FromTheFuture, match="format 9"):
            await at(path, more).open()


async def test_links_and_folders_are_refused(path: Path, tmp_path: Path) -> None:
    await fill(tmp_path / "real.db")
    path.symlink_to(tmp_path / "real.db")
    with pytest.raises(InvalidOption, match="is a link"):
        await at(path).open()
    path.unlink()
    path.symlink_to(tmp_path / "nothing.db")
    with pytest.raises(InvalidOption, match="is a link"):
        await at(path).open()
    with pytest.raises(InvalidOption, match="folder"):
        await at(tmp_path).open()
    assert not (tmp_path / "nothing.db").exists()


class WalNotNamed(SqliteDisk):
    """Fails to make the name of a WAL durable, which SQLite itself does not mind."""

    def flush_folder(self, path: str) -> None:
        if any(name.endswith("-wal") for name in os.listdir(path)):
            raise OSError(errno.EIO, "Input/output error", path)
        super().flush_folder(path)


async def test_a_wal_whose_name_is_not_durable_is_not_committed_to(path: Path) -> None:
    await fill(path)
    with pytest.raises(Unavailable, match="the disk failed"):
        await SqliteStore(str(path), disk=WalNotNamed()).open()


async def test_a_missing_database_whose_wal_is_there(path: Path) -> None:
    Path(f"{path}-wal").write_bytes(b"commits")
    with pytest.raises(Corrupt, match="missing"):
        await at(path).open()
    assert not path.exists()


async def test_damage_is_corrupt_and_left(path: Path) -> None:
    async with at(path) as store:
        await store.commit([Put(Key("big", str(n)), "x" * 3000) for n in range(40)])
    content = bytearray(path.read_bytes())
    content[4096 * 3 :] = os.urandom(len(content) - 4096 * 3)
    path.write_bytes(content)

    async def use() -> None:
        async with at(path) as store:
            async for _ in store.scan("big"):
                pass

    with pytest.raises(Corrupt) as damaged:
        await use()
    assert damaged.value.path == str(path)
    assert path.exists()


async def test_a_checkpoint_that_was_cut_off(path: Path, tmp_path: Path) -> None:
    """The header is new and the file is not as long as it says: all is in the WAL, and nothing is damaged."""
    async with at(path) as store:
        await store.commit([Put(Key("big", str(n)), "x" * 3000) for n in range(40)])
        short, wal = path.read_bytes(), Path(f"{path}-wal").read_bytes()
    (tmp_path / "cut.db").write_bytes(path.read_bytes()[:4096] + short[4096:])
    (tmp_path / "cut.db-wal").write_bytes(wal)
    with pytest.raises(sqlite3.DatabaseError, match="malformed"):
        connection._marks(str(tmp_path / "cut.db"), "&immutable=1")
    async with at(tmp_path / "cut.db") as store:
        assert len([record async for record in store.scan("big")]) == 40


async def test_a_value_that_is_no_json(path: Path) -> None:
    async with at(path) as store:
        await store.commit([Put(A, 1), Put(B, 2)])
        sql(path, "UPDATE records SET value = 'long' WHERE entity_id = 'BTCUSDT'")
        with pytest.raises(Corrupt) as found:
            await store.get(A)
        assert found.value.key == A
        assert [record and record.value for record in await store.get(B)] == [2]


async def test_lock_held_by_another(path: Path) -> None:
    async with at(path, "?busy_timeout=0.2") as store:
        await store.commit([Put(A, 1)])
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(Unavailable, match="another process holds") as busy:
                await store.commit([Put(A, 2)])
            assert (busy.value.unknown, busy.value.retryable) == (False, True)
            assert [record and record.value for record in await store.get(A)] == [1], "reads do not wait"
            other.execute("ROLLBACK")
        await store.commit([Put(A, 3)])


@pytest.mark.parametrize("end", ["", "-wal", "-shm"])
async def test_files_removed_while_open(path: Path, end: str) -> None:
    async with at(path) as store:
        await store.commit([Put(A, 1)])
        Path(f"{path}{end}").unlink()
        for use in (store.commit([Put(A, 2)]), store.get(A)):
            with pytest.raises(Unavailable, match="removed or replaced") as gone:
                await use
            assert (gone.value.unknown, gone.value.retryable) == (False, False)


async def test_control_of_removed_files(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the check, a commit to a file that nobody can find any more is acknowledged."""
    monkeypatch.setattr(Place, "check", lambda self, **_: None)
    async with at(path) as store:
        path.unlink()
        assert await store.commit([Put(A, 2)])


async def test_file_replaced_during_a_commit(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = sqlite3.connect

    class Replacing(sqlite3.Connection):
        def execute(self, statement: str, *args: Any) -> sqlite3.Cursor:
            found = super().execute(statement, *args)
            if statement == "COMMIT" and replacing:
                path.unlink()
            return found

    replacing = False
    monkeypatch.setattr(
        sqlite3, "connect", lambda *args, **options: real(*args, factory=Replacing, **options)
    )
    async with at(path) as store:
        replacing = True
        with pytest.raises(Unavailable, match="removed or replaced") as gone:
            await store.commit([Put(A, 2)])
        assert gone.value.unknown


async def test_a_backup_put_back_is_seen(path: Path) -> None:
    store = at(path)
    async with store:
        await store.commit([Put(A, 1)])
    backup = path.read_bytes()
    async with store:
        await store.commit([Put(A, 2)])
    path.write_bytes(backup)
    with pytest.raises(WentBack):
        await store.open()


async def test_head_that_goes_back_while_open(path: Path) -> None:
    async with at(path) as store:
        await store.commit([Put(A, 1)])
        sql(path, "UPDATE namespaces SET head = 0")
        for use in (store.get(A), store.commit([Put(A, 2)])):
            with pytest.raises(WentBack):
                await use


async def fill_up(store: Store) -> int:
    """Commit until there is no room; return how many were acknowledged."""
    for number in range(100):
        try:
            await store.commit([Put(Key("big", str(number)), "x" * 30_000)])
        except StoreFull:
            return number
    raise AssertionError("there was room for all")


async def test_full_disk(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "small", "1m") as small:
        async with at(small / "state.db") as store:
            stored = await fill_up(store)
            assert [len(record.value) async for record in store.scan("big")] == [30_000] * stored
            with pytest.raises(StoreFull):
                await store.commit([Put(Key("big", "more"), "x" * 600_000)], vital=True)
        async with at(small / "state.db") as store:
            assert len([record async for record in store.scan("big")]) == stored, (
                "it can be read without room"
            )
            subprocess.run(["mount", "-o", "remount,size=8m", str(small)], check=True)
            await store.commit([Put(A, "usable")])
        async with at(small / "state.db") as store:
            assert len([record async for record in store.scan("big")]) == stored


async def test_read_only_file_system(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "small", "1m") as small:
        await fill(small / "state.db")
        subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
        with pytest.raises(Unavailable, match="cannot be written") as found:
            await at(small / "state.db").open()
        assert (found.value.unknown, found.value.retryable) == (False, False)


async def open_as_nobody(path: Path) -> str:
    """Return what a user without rights is told."""
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    try:
        await at(path).open()
    except Unavailable as error:
        return str(error)
    return "opened"


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that another user can reach, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        yield Path(folder)


def test_file_that_may_not_be_written(open_to_all: Path) -> None:
    path = open_to_all / "state.db"
    asyncio.run(fill(path))
    for mode in (0o444, 0o000):
        path.chmod(mode)
        reading_end, writing_end = os.pipe()
        if (pid := os.fork()) == 0:
            os.write(writing_end, asyncio.run(open_as_nobody(path)).encode())
            os._exit(0)
        os.waitpid(pid, 0)
        assert "cannot be " in os.read(reading_end, 4096).decode()
        os.close(reading_end)
        os.close(writing_end)


class Failing(sqlite3.Connection):
    """A connection whose COMMIT fails as on a broken disk; `before` it was done, or after."""

    fail = False

    def execute(self, statement: str, *args: Any) -> sqlite3.Cursor:
        if statement == "COMMIT" and Failing.fail and self.in_transaction:
            Failing.fail = False
            self.close()  # what comes then must not go by this connection
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            error.sqlite_errorname = "SQLITE_IOERR_FSYNC"
            raise error
        return super().execute(statement, *args)


async def test_failed_flush_is_unknown_and_costs_the_connection(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: real(*args, factory=Failing, **options))
    async with at(path) as store:
        await store.commit([Put(A, 1)])
        await store.get(A)
        Failing.fail = True
        tries = [store.commit([Put(B, n)], commit_id=f"lost-{n}") for n in range(3)]
        results = await asyncio.gather(*tries, return_exceptions=True)
        assert [isinstance(each, Unavailable) and each.unknown for each in results] == [True] * 3
        assert len({id(each) for each in results}) == 3
        await store.commit([Put(B, 0)], commit_id="lost-0")
        assert [record and record.value for record in await store.get(A, B)] == [1, 0]


async def test_cancelled_while_another_has_the_lock(path: Path) -> None:
    async with at(path, "?busy_timeout=60") as store:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            tasks = [asyncio.ensure_future(store.commit([Put(A, n), Put(B, n)])) for n in range(10)]
            await asyncio.sleep(0.05)
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(each, asyncio.CancelledError) for each in results)
            other.execute("COMMIT")
        await store.commit([Put(Key("c", "c"), 1)])
        a, b = await store.get(A, B)
        assert (a and a.value) == (b and b.value)


async def test_close_finishes_what_was_asked_for(path: Path) -> None:
    store = at(path, "?busy_timeout=60")
    await store.open()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # so that it is not closed before it is cancelled
        tasks = [asyncio.ensure_future(store.commit([Append("history", n)])) for n in range(300)]
        await asyncio.sleep(0)
        closing_ = asyncio.ensure_future(store.close())
        await asyncio.sleep(0.001)
        closing_.cancel()
        other.execute("ROLLBACK")
        with pytest.raises(asyncio.CancelledError):
            await closing_
    await asyncio.gather(*tasks)
    with pytest.raises(NotOpen):
        await store.commit([Put(A, 1)])
    async with store:
        assert await store.last_number("history") == 300


async def test_a_fork_is_told(path: Path) -> None:
    async with at(path) as store:
        await store.commit([Put(A, 1)])
        pid = os.fork()
        if pid == 0:
            try:
                store.commit([]).send(None)
            except NotOpen:
                os._exit(7)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        await store.commit([Put(A, 2)])


async def test_pages(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan of many pages is complete and in order while others write, and holds no snapshot between pages."""
    monkeypatch.setattr(reading, "PAGE", 3)
    async with at(path) as store, at(path) as other:
        await store.commit(
            [Put(Key("n", f"{n:03}"), n) for n in range(50)] + [Append("s", n) for n in range(50)]
        )
        seen = []
        async for record in store.scan("n"):
            seen.append(record.value)
            await other.commit([Put(Key("n", "000+"), 0), Append("s", 0)])
        assert [n for n in seen if n] == list(range(1, 50))
        assert [event.number async for event in store.read("s", after=10, limit=7)] == list(range(11, 18))
        assert [record.value async for record in store.scan("n", after="000+", limit=4)] == [1, 2, 3, 4]


class SetClock(SystemClock):
    """A clock whose wall time and monotonic time a test sets."""

    def __init__(self) -> None:
        self.wall, self.steady = 1_700_000_000_000, 0.0

    def now(self) -> int:
        return self.wall

    def monotonic(self) -> float:
        return self.steady


@pytest.mark.parametrize("days", [400, -400])
async def test_a_clock_that_is_set_forgets_nothing(path: Path, days: int) -> None:
    clock = SetClock()
    store = at(path, clock=clock)
    async with store:
        await store.commit([Append("history", 1)], commit_id="the-id")
        clock.wall += days * 86_400_000
        clock.steady += 600
        await store.commit([Append("history", 2)])
        await store.commit([Append("history", "twice")], commit_id="the-id")
    clock.wall += 400 * 86_400_000
    async with store:
        await store.commit([Append("history", "twice")], commit_id="the-id")
        assert await store.last_number("history") == 2


async def test_old_commit_ids_are_forgotten(path: Path) -> None:
    clock = SetClock()
    async with at(path, clock=clock) as store:
        for _ in range(100):
            clock.steady += 40
            await store.commit([Put(A, 1)])
    ((((count,),),),) = (sql(path, "SELECT count(*) FROM commits"),)
    assert 660 / 40 <= count < 30


def test_seen() -> None:
    seen = Seen()
    seen.note(5, 0.0)
    seen.note(6, 1.0)
    seen.note(9, 100.0)
    assert [seen.forgettable(now) for now in (0, 600, 660, 661, 700, 761, 2000)] == [0, 0, 0, 5, 5, 9, 9]


async def test_checkpoints_keep_the_wal_small(path: Path) -> None:
    """The file is used again once its commits are in the database, also with a reader that comes and goes."""
    async with at(path) as store:
        for number in range(60):
            await store.commit([Put(A, "x" * 200_000), Put(B, number)])
            await store.get(B)
        assert Path(f"{path}-wal").stat().st_size < 12_000_000
    assert not Path(f"{path}-wal").exists()


async def test_checkpoints_hold_the_write_lock(path: Path) -> None:
    """What SQLite does by itself does not, and old versions of it can corrupt a database then: so it is off."""
    place = Place(SqliteDisk(), str(path))
    await fill(path)
    made = connection.connect(place, busy_timeout=0.1)
    assert connection.pragma(made, "wal_autocheckpoint") == 0
    assert connection.pragma(made, "synchronous") == 2
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert not connection.checkpoint(made, "FULL", 0.05)
    assert connection.checkpoint(made, "FULL", 0.05)
    made.close()


async def test_torn_reads_are_never_seen(path: Path) -> None:
    """Readers of another connection, beside a writer: two records and a stream always agree."""
    async with at(path) as writer, at(path, "?mode=ro") as reader:
        await writer.commit([Put(A, 0), Put(B, 0)])

        async def write() -> None:
            number = 0
            while number < 150 or looks <= 10:  # a slow machine looks seldom
                number += 1
                await writer.commit([Put(A, number), Put(B, number), Append("s", number)])

        looks = 0
        writing = asyncio.ensure_future(write())
        while not writing.done():
            a, b = await reader.get(A, B)
            assert a is not None
            assert b is not None
            assert (a.value, a.version) == (b.value, b.version)
            assert await reader.last_number("s") >= a.value
            looks += 1
        await writing
        assert looks > 10


async def test_control_of_torn_reads(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two questions without a snapshot around them are answered apart."""

    def ask(conn: sqlite3.Connection, question: Any) -> Any:
        return question()

    def slowly(conn: Any, space: Any, key: Key) -> Any:
        (row,) = sql(path, f"SELECT value, version FROM records WHERE entity_id = '{key.entity_id}'")
        sql(path, "UPDATE records SET value = value + 1")
        return tuple(text.encode() for text in row[0])

    async with at(path) as store:
        await store.commit([Put(A, 0), Put(B, 0)])
        monkeypatch.setattr(reading, "_snapshot", ask)
        monkeypatch.setattr(reading, "_row", slowly)
        a, b = await store.get(A, B)
        assert a is not None
        assert b is not None
        assert a.value != b.value


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE namespaces SET format = 'new'",
        "UPDATE namespaces SET head = x'bf'",
        "UPDATE records SET entity_name = x'00ff'",
        "UPDATE records SET entity_name = x'6161'",
        "UPDATE events SET number = 3",
        "UPDATE events SET number = 'one'",
    ],
)
async def test_rows_that_somebody_has_changed_are_corrupt(path: Path, change: str) -> None:
    async with at(path) as store:
        await store.commit([Put(Key("aa", "b"), 1), Append("s", 1)])
    sql(path, change)
    with pytest.raises(Corrupt):
        await _read_all(path)


async def _read_all(path: Path) -> None:
    async with at(path) as store:
        await store.names()
        [record async for record in store.scan("aa")]
        [event async for event in store.read("s")]


@pytest.mark.parametrize(("table", "column"), [("events", "number"), ("namespaces", "head")])
async def test_a_number_with_no_next_one_is_corrupt(tmp_path: Path, table: str, column: str) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    async with open_store(url) as store:
        await store.commit([Append("history", 1)])
    with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as meddler:
        meddler.execute(f"UPDATE {table} SET {column} = ?", (2**63 - 1,))  # our own names
    with pytest.raises(Corrupt):
        async with open_store(url) as store:
            await store.commit([Append("history", 2)])
