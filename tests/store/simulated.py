"""A disk in memory that loses what was not flushed: the file store runs on it through every crash there is.

The model is the strict reading of POSIX. Bytes survive a power cut once their file was flushed; a name, once
its folder was. Of what was not flushed, any part may survive: some writes, some names, a write cut in the
middle. After a failed flush the pages count as clean, although they are not on the disk.
"""

import errno
import os
import random
import threading
from collections.abc import Callable
from typing import Self

from holdfast.store.backends.file.disk import Disk, Stamp

SECTOR = 512
Choice = Callable[[], bool]


def all_lost() -> bool:
    """Nothing that was not flushed survives."""
    return False


def all_kept() -> bool:
    """Everything survives: what a killed process leaves behind."""
    return True


class File:
    """A file: what is seen, what is durable, and the writes in between."""

    def __init__(self, data: bytes = b"") -> None:
        self.seen = bytearray(data)
        self.durable = bytes(data)
        self.pending: list[tuple[int, bytes]] = []
        self.changed = 0

    def write(self, data: bytes, offset: int) -> None:
        self.seen.extend(bytes(max(0, offset + len(data) - len(self.seen))))
        self.seen[offset : offset + len(data)] = data
        self.pending.append((offset, bytes(data)))
        self.changed += 1

    def truncate(self, size: int) -> None:
        del self.seen[size:]
        self.pending.append((size, b""))
        self.changed += 1

    def flush(self) -> None:
        self.durable = bytes(self._written(all_kept))
        self.pending.clear()

    def lose(self) -> None:
        """A failed flush: what is pending stays visible, counts as clean, and is not on the disk."""
        self.pending.clear()

    def after_cut(self, keep: Choice) -> "File":
        return File(bytes(self._written(keep)))

    def _written(self, keep: Choice) -> bytearray:
        """What is on the disk once those of the pending writes that survive are: not what was lost before."""
        data = bytearray(self.durable)
        for offset, piece in self.pending:
            if not keep():
                continue
            if not piece:
                del data[offset:]
                continue
            kept = piece if keep() else piece[: (len(piece) // 2 // SECTOR) * SECTOR or len(piece) // 2]
            data.extend(bytes(max(0, offset + len(kept) - len(data))))
            data[offset : offset + len(kept)] = kept
        return data

    def copy(self) -> "File":
        other = File()
        other.seen, other.durable = bytearray(self.seen), self.durable
        other.pending, other.changed = list(self.pending), self.changed
        return other


class Folder:
    """A folder: the names that are seen, those that are durable, and the changes in between."""

    def __init__(self) -> None:
        self.seen: dict[str, File | Folder] = {}
        self.durable: dict[str, File | Folder] = {}
        self.pending: list[tuple[tuple[str, File | Folder | None], ...]] = []

    def change(self, *names: tuple[str, "File | Folder | None"]) -> None:
        self._apply(self.seen, names)
        self.pending.append(names)

    def flush(self) -> None:
        self.durable = dict(self.seen)
        self.pending.clear()

    @staticmethod
    def _apply(
        names: dict[str, "File | Folder"], change: tuple[tuple[str, "File | Folder | None"], ...]
    ) -> None:
        for name, node in change:
            if node is None:
                names.pop(name, None)
            else:
                names[name] = node

    def after_cut(self, keep: Choice) -> "Folder":
        names = dict(self.durable)
        for change in self.pending:
            if keep():
                self._apply(names, change)
        other = Folder()
        other.seen = {name: node.after_cut(keep) for name, node in names.items()}
        other.durable = dict(other.seen)
        return other

    def copy(self, memo: "dict[int, File | Folder]") -> "Folder":
        other = Folder()
        memo[id(self)] = other

        def copied(node: "File | Folder") -> "File | Folder":
            if id(node) not in memo:
                memo[id(node)] = node.copy() if isinstance(node, File) else node.copy(memo)
            return memo[id(node)]

        other.seen = {name: copied(node) for name, node in self.seen.items()}
        other.durable = {name: copied(node) for name, node in self.durable.items()}
        other.pending = [
            tuple((name, None if node is None else copied(node)) for name, node in change)
            for change in self.pending
        ]
        return other


class SimulatedDisk(Disk):
    """The disk of a machine whose power can be cut; `calls` counts what could be interrupted."""

    def __init__(self, root: Folder | None = None, *, syncfs: bool = True) -> None:
        self.root = root or Folder()
        self.syncfs = syncfs
        self.calls = 0
        self.before: Callable[[str, str], None] = lambda call, path: None
        self._open: dict[int, tuple[File, str]] = {}
        self._locked: dict[int, str] = {}
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

    # What a program may do.

    def absolute(self, path: str) -> str:
        return path

    def process(self) -> tuple[int, str]:
        return 1, "simulated"

    def pid(self) -> int:
        return 1

    def is_volatile(self, path: str) -> bool:
        return False

    def make_folder(self, path: str) -> bool:
        with self._call("make_folder", path):
            parent, name = self._parent(path)
            if isinstance(parent.seen.get(name), Folder):
                return False
            if name in parent.seen:
                raise OSError(errno.ENOTDIR, "not a folder", path)
            parent.change((name, Folder()))
            return True

    def is_folder(self, path: str) -> bool:
        with self._mutex:
            try:
                return isinstance(self._node(path), Folder)
            except FileNotFoundError:
                return False

    def folder(self, path: str) -> list[tuple[str, bool]]:
        with self._mutex:
            return [(name, isinstance(node, Folder)) for name, node in self._folder(path).seen.items()]

    def create(self, path: str) -> int:
        with self._call("create", path):
            parent, name = self._parent(path)
            if name in parent.seen:
                raise FileExistsError(errno.EEXIST, "exists", path)
            file = File()
            parent.change((name, file))
            return self._descriptor(file, path)

    def open(self, path: str, *, write: bool = False) -> int:
        with self._mutex:
            return self._descriptor(self._file(path), path)

    def size(self, fd: int) -> int:
        return len(self._open[fd][0].seen)

    def stamp(self, path: str) -> Stamp | None:
        with self._mutex:
            try:
                node = self._node(path)
            except FileNotFoundError:
                return None
            return (id(node), node.changed, len(node.seen)) if isinstance(node, File) else (id(node), 0, 0)

    def read(self, path: str) -> bytes:
        with self._mutex:
            return bytes(self._file(path).seen)

    def read_at(self, fd: int, size: int, offset: int) -> bytes:
        with self._mutex:
            return bytes(self._open[fd][0].seen[offset : offset + size])

    def write(self, fd: int, data: bytes, offset: int) -> None:
        file, path = self._open[fd]
        with self._call("write", path):
            file.write(data, offset)

    def truncate(self, fd: int, size: int) -> None:
        file, path = self._open[fd]
        with self._call("truncate", path):
            file.truncate(size)

    def flush(self, fd: int) -> None:
        file, path = self._open[fd]
        try:
            with self._call("flush", path):
                file.flush()
        except OSError:
            file.lose()
            raise

    def close(self, fd: int) -> None:
        with self._mutex:
            del self._open[fd]
            self._locked.pop(fd, None)

    def rename(self, source: str, target: str) -> None:
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
        with self._call("remove", path):
            parent, name = self._parent(path)
            if name not in parent.seen:
                raise FileNotFoundError(errno.ENOENT, "no such file", path)
            parent.change((name, None))

    def flush_folder(self, path: str) -> None:
        with self._call("flush_folder", path):
            self._folder(path).flush()

    def flush_all(self, path: str) -> bool:
        if not self.syncfs:
            return False
        with self._call("flush_all", path):
            self._flush_tree(self.root)
        return True

    def lock(self, path: str) -> int | None:
        with self._call("lock", path):
            if path in self._locked.values():
                return None
            parent, name = self._parent(path)
            if name not in parent.seen:
                parent.change((name, File()))
            fd = self._descriptor(self._file(path), path)
            self._locked[fd] = path
            return fd

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


def some(seed: int) -> Choice:
    """Each unflushed part survives or not, by the throw of a seeded coin."""
    coin = random.Random(seed)
    return lambda: coin.random() < 0.5
