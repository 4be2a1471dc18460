"""The stores that are tried: how each is made in a folder, and what else must be true of its files."""

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Final

from msgspec import Struct

from holdfast.errors import InvalidOption
from holdfast.store import Store, open_store
from holdfast.store.backends.file.store import FileStore
from holdfast.store.backends.sqlite import live as sqlite_live
from holdfast.store.backends.sqlite.store import SqliteStore

__all__ = ("TARGETS", "Target", "target")


async def _no_checkpoint(_: Store) -> None:
    """Do nothing: the store has none that can be asked for."""


def _sound(_: Path) -> list[str]:
    return []


class Target(Struct, frozen=True):
    """A store that keeps itself in a folder: `make` it there; `ignore` as for `trace`; `sound` looks at its files.

    Opening it makes every folder that it needs, also the first.
    """

    make: Callable[[str], Store]
    ignore: tuple[str, ...] = ()
    checkpoint: Callable[[Store], Awaitable[None]] = _no_checkpoint
    sound: Callable[[Path], list[str]] = _sound


def _file(folder: str) -> Store:
    """Return a file store whose segments are full after some commits, and whose entity files follow at once."""
    return FileStore(f"{folder}/made/data", segment_bytes=16 << 10, flush_seconds=0.02)


def _file_as_shipped(folder: str) -> Store:
    return FileStore(f"{folder}/made/data")


async def _file_checkpoint(store: Store) -> None:
    assert isinstance(store, FileStore)
    await store.checkpoint()


def _sqlite(folder: str) -> Store:
    """Return an SQLite store that checkpoints after some commits."""
    setattr(sqlite_live, "PAGES", 12)  # noqa: B010  # it is Final: nobody but a test has a reason
    return SqliteStore(f"{folder}/made/data/state.db")


def _sqlite_as_shipped(folder: str) -> Store:
    return SqliteStore(f"{folder}/made/data/state.db")


def _sqlite_sound(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "made/data/state.db")) as database:
        told = database.execute("PRAGMA integrity_check").fetchall()
    return [] if told == [("ok",)] else [f"SQLite's integrity check: {told[:3]}"]


TARGETS: Final = {
    "file": Target(_file, checkpoint=_file_checkpoint),
    "file-as-shipped": Target(_file_as_shipped, checkpoint=_file_checkpoint),
    "sqlite": Target(_sqlite, ignore=("*-shm",), sound=_sqlite_sound),
    "sqlite-as-shipped": Target(_sqlite_as_shipped, ignore=("*-shm",), sound=_sqlite_sound),
}
"""Holdfast's own stores that live in a folder, by name."""


def _of_url(url: str) -> Target:
    def make(folder: str) -> Store:
        return open_store(url.replace("{folder}", folder))

    return Target(make, ignore=("*-shm",) if url.startswith("sqlite:") else ())


def target(name: str) -> Target:
    """Return a target of `TARGETS`, that of `module:name`, or that of a URL: of a server, or with `{folder}` in it.

    Raises InvalidOption where there is none.
    """
    if name in TARGETS:
        return TARGETS[name]
    if "{folder}" in name or ("://" in name and not name.startswith(("file:", "sqlite:"))):
        return _of_url(name)
    module, _, path = name.partition(":")
    found = reduce(getattr, path.split("."), import_module(module)) if path else None
    if not isinstance(found, Target):
        raise InvalidOption(
            f"{name!r} is no target; known: {', '.join(TARGETS)}, module:name, or a URL with {{folder}} in it",
            option="target",
        )
    return found
