"""A disk in memory that loses what was not flushed: the file store runs on it through every crash there is.

What it loses, and when, is in `files`. Several processes of one machine may each have a disk of their own on the
same root: their open files are their own, and locks are seen by all.
"""

import errno
import os
import threading
from collections.abc import Callable
from typing import Self

from holdfast.store.backends.file.disk import Disk, Stamp
from holdfast.testing.simulation.files import Choice, File, Folder

__all__ = ("SimulatedDisk",)


class SimulatedDisk(Disk):
    """The disk of a machine whose power can be cut; `calls` counts what could be interrupted.

    `before` is called before each of these, with its name and path, and may raise what the call is to raise. A write
    that makes its file longer is called "extend": a full disk refuses it.
    """

    def __init__(self, root: Folder | None = None, *, syncfs: bool = True) -> None:
        self.root = root or Folder()
        self.syncfs = syncfs
        self.calls = 0
        self.before: Callable[[str, str], None] = lambda call, path: None
        self._open: dict[int, tuple[File, str]] = {}
        self._locks: set[int] = set()
        self._next_fd = 100
        self._mutex = threading.RLock()

    # What a test does to the machine.

    def snapshot(self) -> Folder:
        """Return a copy of the whole disk, pending changes included."""
        with self._mutex:
            return self.root.copy({})

    @classmethod
    def after_cut(cls, root: Folder, keep: Choice, *, syncfs: bool = True) -> Self:
        """Return the machine started again after a power cut: `keep` says of each unflushed part if it survived."""
        return cls(root.after_cut(keep), syncfs=syncfs)

    def after_kill(self) -> Self:
        """Return the same machine for the next process: only open files and locks are gone."""
        return type(self)(self.snapshot(), syncfs=self.syncfs)

    def let_go(self) -> None:
        """Close everything that is open, as the kernel does when the process that has this disk ends."""
        for fd in list(self._open):
            self.close(fd)

    # What a program may do.

    def absolute(self, path: str) -> str:
        """Return `path`, which is absolute here."""
        return path

    def process(self) -> tuple[int, str]:
        """Return a process's id and its host's name."""
        return 1, "simulated"

    def pid(self) -> int:
        """Return a process's id."""
        return 1

    def is_volatile(self, path: str) -> bool:
        """Whether the disk is known to lose everything: no."""
        return False

    def make_folder(self, path: str) -> bool:
        """Make one folder and return True; False where it is there."""
        with self._call("make_folder", path):
            parent, name = self._parent(path)
            if isinstance(parent.seen.get(name), Folder):
                return False
            if name in parent.seen:
                raise OSError(errno.ENOTDIR, "not a folder", path)
            parent.change((name, Folder()))
            return True

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder at `path`."""
        with self._mutex:
            try:
                return isinstance(self._node(path), Folder)
            except FileNotFoundError:
                return False

    def folder(self, path: str) -> list[tuple[str, bool]]:
        """Return the names in a folder, each with whether it is a folder itself."""
        with self._mutex:
            return [(name, isinstance(node, Folder)) for name, node in self._folder(path).seen.items()]

    def create(self, path: str) -> int:
        """Create a file that is not there yet, and return it open."""
        with self._call("create", path):
            parent, name = self._parent(path)
            if name in parent.seen:
                raise FileExistsError(errno.EEXIST, "exists", path)
            file = File()
            parent.change((name, file))
            return self._descriptor(file, path)

    def open(self, path: str, *, write: bool = False) -> int:
        """Open a file that is there."""
        with self._mutex:
            return self._descriptor(self._file(path), path)

    def size(self, fd: int) -> int:
        """Return how many bytes an open file has."""
        return len(self._open[fd][0].seen)

    def stamp(self, path: str) -> Stamp | None:
        """Return what changes when the file at `path` is replaced; None where there is none."""
        with self._mutex:
            try:
                node = self._node(path)
            except FileNotFoundError:
                return None
            return (id(node), node.changed, len(node.seen)) if isinstance(node, File) else (id(node), 0, 0)

    def read(self, path: str) -> bytes:
        """Return all bytes of a file."""
        with self._mutex:
            return bytes(self._file(path).seen)

    def read_at(self, fd: int, size: int, offset: int) -> bytes:
        """Return up to `size` bytes from `offset` on."""
        with self._mutex:
            return bytes(self._open[fd][0].seen[offset : offset + size])

    def write(self, fd: int, data: bytes, offset: int) -> None:
        """Write all of `data` at `offset`; nothing is durable yet."""
        file, path = self._open[fd]
        with self._call("extend" if offset + len(data) > len(file.seen) else "write", path):
            file.write(data, offset)

    def truncate(self, fd: int, size: int) -> None:
        """Cut an open file to `size` bytes."""
        file, path = self._open[fd]
        with self._call("truncate", path):
            file.truncate(size)

    def flush(self, fd: int) -> None:
        """Make the bytes of an open file durable; where that fails, they count as clean and are lost."""
        file, path = self._open[fd]
        try:
            with self._call("flush", path):
                file.flush()
        except OSError:
            file.lose()
            raise

    def close(self, fd: int) -> None:
        """Close an open file, and unlock it."""
        with self._mutex:
            file, _ = self._open.pop(fd)
            file.locked = file.locked and fd not in self._locks
            self._locks.discard(fd)

    def rename(self, source: str, target: str) -> None:
        """Give a file another name; the name is not durable yet."""
        with self._call("rename", target):
            old, old_name = self._parent(source)
            new, new_name = self._parent(target)
            node = old.seen[old_name]
            if old is new:
                old.change((old_name, None), (new_name, node))
            else:
                new.change((new_name, node))
                old.change((old_name, None))

    def remove(self, path: str) -> None:
        """Remove a file; that it is gone is not durable yet."""
        with self._call("remove", path):
            parent, name = self._parent(path)
            if name not in parent.seen:
                raise FileNotFoundError(errno.ENOENT, "no such file", path)
            parent.change((name, None))

    def flush_folder(self, path: str) -> None:
        """Make the names in a folder durable."""
        with self._call("flush_folder", path):
            self._folder(path).flush()

    def flush_all(self, path: str) -> bool:
        """Make everything durable; False where this machine cannot."""
        if not self.syncfs:
            return False
        with self._call("flush_all", path):
            self._flush_tree(self.root)
        return True

    def lock(self, path: str) -> int | None:
        """Open (or create) a file and lock it; None if somebody has."""
        with self._call("lock", path):
            parent, name = self._parent(path)
            if name not in parent.seen:
                parent.change((name, File()))
            file = self._file(path)
            if file.locked:
                return None
            file.locked = True
            fd = self._descriptor(file, path)
            self._locks.add(fd)
            return fd

    def is_locked(self, path: str) -> bool:
        """Whether somebody has locked a file."""
        try:
            return self._file(path).locked
        except FileNotFoundError:
            return False

    # How it does it.

    def _call(self, call: str, path: str) -> "threading.RLock":
        with self._mutex:
            self.calls += 1
            self.before(call, path)
        return self._mutex

    def _descriptor(self, file: File, path: str) -> int:
        self._next_fd += 1
        self._open[self._next_fd] = (file, path)
        return self._next_fd

    def _flush_tree(self, folder: Folder) -> None:
        folder.flush()
        for node in folder.seen.values():
            node.flush() if isinstance(node, File) else self._flush_tree(node)

    def _node(self, path: str) -> File | Folder:
        node: File | Folder = self.root
        for part in filter(None, path.split("/")):
            if not isinstance(node, Folder) or part not in node.seen:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            node = node.seen[part]
        return node

    def _folder(self, path: str) -> Folder:
        node = self._node(path)
        if not isinstance(node, Folder):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        return node

    def _file(self, path: str) -> File:
        node = self._node(path)
        if not isinstance(node, File):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        return node

    def _parent(self, path: str) -> tuple[Folder, str]:
        head, _, name = path.rpartition("/")
        return self._folder(head), name
