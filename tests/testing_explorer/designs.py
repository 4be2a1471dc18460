"""Small stores, good and bad, whose faults are known: each `put` is one write of a value under a key.

`run` is what is traced. The power cuts of tests/testing_powercut/ use them, too.
"""

import itertools
import json
import os
import sqlite3
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from holdfast.testing.explorer.marks import mark, marked

PAD = "x" * 600
Put = Callable[[str, int], None]


def _write(path: str, value: int, *, flush: bool) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(fd, json.dumps({"value": value, "pad": PAD}).encode())
        if flush:
            os.fsync(fd)
    finally:
        os.close(fd)


def flush_folder(folder: str) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def in_place(folder: str) -> Put:
    """Write over the file itself, and flush it."""
    return lambda key, value: _write(f"{folder}/{key}.json", value, flush=True)


def _renamed(folder: str, *, flush: bool, folder_too: bool) -> Put:
    def put(key: str, value: int) -> None:
        _write(f"{folder}/{key}.tmp", value, flush=flush)
        os.replace(f"{folder}/{key}.tmp", f"{folder}/{key}.json")
        if folder_too:
            flush_folder(folder)

    return put


def no_flush(folder: str) -> Put:
    """Rename a temporary file that was never flushed."""
    return _renamed(folder, flush=False, folder_too=True)


def no_folder_flush(folder: str) -> Put:
    """Flush the temporary file, but not the folder after the rename."""
    return _renamed(folder, flush=True, folder_too=False)


def full_recipe(folder: str) -> Put:
    """Flush the temporary file, rename it, flush the folder."""
    return _renamed(folder, flush=True, folder_too=True)


def new_folder(folder: str) -> Put:
    """The full recipe, in a folder made at first use whose own name is never flushed."""
    os.makedirs(f"{folder}/made", exist_ok=True)
    return _renamed(f"{folder}/made", flush=True, folder_too=True)


def log(folder: str) -> Put:
    """Append to one file that was there before, and flush its data."""
    fd = os.open(f"{folder}/log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    flush_folder(folder)

    def put(key: str, value: int) -> None:
        os.write(fd, json.dumps([key, value, PAD]).encode() + b"\n")
        os.fdatasync(fd)

    return put


def unflushed_log(folder: str) -> Put:
    """Append, and flush the folder instead of the file."""
    fd = os.open(f"{folder}/log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def put(key: str, value: int) -> None:
        os.write(fd, json.dumps([key, value, PAD]).encode() + b"\n")
        flush_folder(folder)

    return put


def synced_log(folder: str) -> Put:
    """Append to a file opened with O_DSYNC."""
    fd = os.open(f"{folder}/log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_DSYNC, 0o600)
    flush_folder(folder)
    return lambda key, value: (os.write(fd, json.dumps([key, value, PAD]).encode() + b"\n"), None)[1]


def _sqlite(folder: str, journal: str, synchronous: str) -> Put:
    database = sqlite3.connect(f"{folder}/state.db", isolation_level=None)
    database.execute(f"PRAGMA journal_mode = {journal}")
    database.execute(f"PRAGMA synchronous = {synchronous}")
    database.execute("CREATE TABLE IF NOT EXISTS t (k TEXT PRIMARY KEY, v INTEGER)")
    return lambda key, value: (
        database.execute(
            "INSERT INTO t VALUES (?, ?) ON CONFLICT (k) DO UPDATE SET v = excluded.v", (key, value)
        ),
        None,
    )[1]


def sqlite_full(folder: str) -> Put:
    """SQLite's WAL, flushed at each commit."""
    return _sqlite(folder, "WAL", "FULL")


def sqlite_normal(folder: str) -> Put:
    """SQLite's WAL, flushed at checkpoints only."""
    return _sqlite(folder, "WAL", "NORMAL")


def sqlite_journal(folder: str) -> Put:
    """SQLite's rollback journal, whose removal is not flushed."""
    return _sqlite(folder, "DELETE", "FULL")


def run(design: str, folder: str, puts: str) -> None:
    """Write that many values under two keys in turn; every other process ends without a goodbye."""
    put: Put = getattr(sys.modules[__name__], design)(folder)
    for value in range(int(puts)):
        key = "ab"[value % 2]
        mark(f"asked {key} {value}")
        put(key, value)
        mark(f"done {key} {value}")
    os._exit(0)


def without_end(folder: str, design: str) -> None:
    """Write until the power goes, going on where the last run was cut off."""
    put: Put = getattr(sys.modules[__name__], design)(folder)
    last = [int(line.rpartition(" ")[2]) for line in marked()]
    for value in itertools.count(max(last, default=-1) + 1):
        key = "ab"[value % 2]
        mark(f"asked {key} {value}")
        put(key, value)
        mark(f"done {key} {value}")


def check(folder: Path, marks: Sequence[str]) -> list[str]:
    """Return what of the acknowledged values is not there, and what is there that was never written."""
    asked = {key: int(value) for what, key, value in map(str.split, marks) if what == "asked"}
    done = {key: int(value) for what, key, value in map(str.split, marks) if what == "done"}
    found, problems = read(folder, needed=bool(done))
    for key, value in done.items():
        if not value <= found.get(key, -1) <= asked[key]:
            problems.append(f"{key} is {'not there' if key not in found else 'another'}")
    return problems + [f"{key} was never asked for" for key in found if key not in asked]


def read(folder: Path, *, needed: bool) -> tuple[dict[str, int], list[str]]:
    """Return the values that are there, and what cannot be read."""
    if (folder / "made").is_dir():
        folder = folder / "made"
    if (folder / "state.db").exists():
        return _read_sqlite(folder, needed=needed)
    if (folder / "log").exists():
        return _read_log(folder), []
    found, problems = {}, []
    for path in folder.glob("*.json"):
        try:
            found[path.stem] = json.loads(path.read_bytes())["value"]
        except ValueError:
            problems.append(f"{path.name} is corrupt")
    return found, problems


def _read_log(folder: Path) -> dict[str, int]:
    found = {}
    for line in (folder / "log").read_bytes().splitlines():
        try:
            key, value, _ = json.loads(line)
        except ValueError:
            break
        found[key] = value
    return found


def _read_sqlite(folder: Path, *, needed: bool) -> tuple[dict[str, int], list[str]]:
    database = sqlite3.connect(folder / "state.db")
    try:
        sound = database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return dict(database.execute("SELECT k, v FROM t")), [] if sound else ["the database is corrupt"]
    except sqlite3.Error as error:
        return {}, [f"the database cannot be read: {error}"] if needed else []
    finally:
        database.close()
