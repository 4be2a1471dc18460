"""Holdfast's own stores with one idea taken out of each: power cuts must show every one of them."""

import os
import sqlite3
import threading
from typing import Any

from holdfast.store import Store
from holdfast.store.backends.file.disk import Disk
from holdfast.store.backends.file.store import FileStore
from holdfast.store.backends.sqlite import connection, live
from holdfast.store.backends.sqlite.disk import SqliteDisk
from holdfast.store.backends.sqlite.store import SqliteStore
from holdfast.testing.targets import TARGETS, Target

FILE, SQLITE = TARGETS["file"], TARGETS["sqlite"]


class NoFlush(Disk):
    """Acknowledges what was only written."""

    def flush(self, fd: int) -> None:
        pass


class NothingFlushed(NoFlush):
    """Flushes nothing at all."""

    def flush_folder(self, path: str) -> None:
        pass

    def flush_all(self, path: str) -> bool:
        return True


class NoFolderFlush(Disk):
    """Never makes a name durable."""

    def flush_folder(self, path: str) -> None:
        pass


class NoFirstFolder(Disk):
    """Flushes the folders of the store, but none above them: the first one that it makes may be gone."""

    def flush_folder(self, path: str) -> None:
        if "/made/data" in path:
            super().flush_folder(path)


class NoFilesFlush(Disk):
    """Writes a manifest, and drops the journal, before the entity files are durable."""

    def flush_all(self, path: str) -> bool:
        return True


class TrustedAtOpen(Disk):
    """Acts on what it reads back after a kill, without making it durable itself."""

    def flush(self, fd: int) -> None:
        opening = threading.current_thread().name.startswith("holdfast-files")
        journal, _, name = os.readlink(f"/proc/self/fd/{fd}").rpartition("/")
        again = name.endswith(".spare") and any(each.endswith(".log") for each in os.listdir(journal))
        if not (opening and again):
            super().flush(fd)


class TrustedNames(Disk):
    """Relies on the manifest that it finds at open, though a kill may have come before the flush of its name."""

    _own = False

    def rename(self, source: str, target: str) -> None:
        self._own = self._own or target.endswith("/manifest")
        super().rename(source, target)

    def flush_folder(self, path: str) -> None:
        if self._own or self.stamp(f"{path}/manifest") is None:
            super().flush_folder(path)


class InPlace(Disk):
    """Writes a file that is to be replaced over itself: what is renamed is copied back into the old one."""

    def rename(self, source: str, target: str) -> None:
        if self.stamp(target) is None:
            return super().rename(source, target)
        data, fd = self.read(source), self.open(target, write=True)
        try:
            self.truncate(fd, 0)
            self.write(fd, data, 0)
            self.flush(fd)
        finally:
            self.close(fd)
        self.remove(source)
        return None


def _file(disk: Disk) -> Target:
    def make(folder: str) -> Store:
        return FileStore(f"{folder}/made/data", disk=disk, segment_bytes=16 << 10, flush_seconds=0.02)

    return Target(make, checkpoint=FILE.checkpoint)


no_flush = _file(NoFlush())
nothing_flushed = _file(NothingFlushed())
no_folder_flush = _file(NoFolderFlush())
no_first_folder = _file(NoFirstFolder())
no_files_flush = _file(NoFilesFlush())
trusted_at_open = _file(TrustedAtOpen())
trusted_names = _file(TrustedNames())
in_place = _file(InPlace())


class SqliteNoFolderFlush(SqliteDisk):
    """Never makes the name of the database durable."""

    def flush_folder(self, path: str) -> None:
        pass


def _no_folder(folder: str) -> Store:
    return SqliteStore(f"{folder}/made/data/state.db", disk=SqliteNoFolderFlush())


_connect = connection.connect


def _normal_connect(*args: Any, **options: Any) -> sqlite3.Connection:
    made = _connect(*args, **options)
    made.execute("PRAGMA synchronous = NORMAL")
    return made


def _normal(folder: str) -> Store:
    setattr(live, "connect", _normal_connect)  # noqa: B010  # what `live` imported is not its to export
    return SqliteStore(f"{folder}/made/data/state.db")


sqlite_no_folder_flush = Target(_no_folder, ignore=SQLITE.ignore)
sqlite_normal = Target(_normal, ignore=SQLITE.ignore)
