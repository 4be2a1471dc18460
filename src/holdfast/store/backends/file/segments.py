"""Journal segments: files whose room is there before it is needed, written once and never reused.

A segment is preallocated and zero-filled, so that a flush inside it moves no metadata and cannot run out of
room. Spares are kept ready: what remains for outcomes and exits when the disk is full. Its last bytes are kept
for a mark that it has a successor, so that the loss of the newest segment is noticed.
"""

import threading
from typing import Final

from holdfast.store.backends.file.disk import Disk
from holdfast.store.backends.file.faults import NO_ROOM, explain
from holdfast.store.backends.file.layout import Layout
from holdfast.system import Ids

__all__ = (
    "DEFAULT_SEGMENT_BYTES",
    "MAGIC",
    "SUCCESSOR",
    "Spare",
    "has_successor",
    "listed",
    "mark_successor",
    "room_end",
)

DEFAULT_SEGMENT_BYTES: Final = 4 << 20
SPARES: Final = 2
MAGIC: Final = b"holdfast journal"
SUCCESSOR: Final = b"goes on in next:"
_ZEROS: Final = bytes(1 << 20)


def listed(disk: Disk, layout: Layout) -> list[int]:
    """Return the indices of the segments that are there, in order."""
    if not disk.is_folder(layout.journal):
        return []
    names = [name for name, is_folder in disk.folder(layout.journal) if not is_folder]
    return sorted(int(name[:-4]) for name in names if name.endswith(".log") and name[:-4].isdecimal())


def mark_successor(disk: Disk, fd: int) -> None:
    """Note durably in a segment that the next one is durable, before any commit in that one can be."""
    disk.write(fd, SUCCESSOR, disk.size(fd) - len(SUCCESSOR))
    disk.flush(fd)


def room_end(size: int) -> int | None:
    """Return where the room for batches ends in a segment made with `size` bytes; None: where the file does."""
    return size - len(SUCCESSOR) if size else None


def has_successor(data: bytes, size: int) -> bool:
    """Whether a segment made with `size` bytes has the mark; a damaged mark is one, too."""
    return bool(data[max(0, size - len(SUCCESSOR)) : size].strip(b"\0"))


class Spare:
    """The segments kept ready: made by the maintenance thread, taken by the journal's.

    There are two. While both are there, new work is welcome. When the disk is full, one is left for outcomes and
    exits, and one for the next open, which needs a new segment before it can drop an old one.
    """

    def __init__(self, disk: Disk, layout: Layout, ids: Ids, size: int) -> None:
        self._disk = disk
        self._layout = layout
        self._ids = ids
        self._size = size
        self._lock = threading.Lock()
        self._ready: list[str] = []

    def adopt(self) -> None:
        """Use the spares that an earlier run left, if they are whole and nothing was ever written to them."""
        for name, _ in self._disk.folder(self._layout.journal):
            path = f"{self._layout.journal}/{name}"
            if name.endswith(".spare") and self._is_unused(path):
                self._ready.append(path)
            elif name.endswith((".spare", ".tmp")):
                self._disk.remove(path)  # never had its name, so nothing in it was acknowledged

    def prepare(self) -> None:
        """Make what is missing. Raises StoreFull, leaving nothing half made behind."""
        while len(self._ready) < SPARES:
            fd, path = self._make(self._size)
            self._disk.close(fd)
            with self._lock:
                self._ready.append(path)

    def take(self, size: int) -> tuple[int, str]:
        """Return an open, empty segment of at least `size` bytes and its path, until the caller names it.

        Raises StoreFull where there is no spare and no room for another.
        """
        with self._lock:
            path = self._ready.pop() if self._ready and size <= self._size else None
        if path is None:
            return self._make(max(size, self._size))
        return self._disk.open(path, write=True), path

    def _is_unused(self, path: str) -> bool:
        return self._disk.read(path) == bytes(self._size)

    def _make(self, size: int) -> tuple[int, str]:
        name = f"{self._layout.journal}/{self._ids()}"
        try:
            fd = self._disk.create(f"{name}.tmp")
            self._fill(fd, size, name)
        except OSError as error:
            if error.errno in NO_ROOM:
                raise explain(error, f"{name}.tmp") from error
            raise
        return fd, f"{name}.spare"

    def _fill(self, fd: int, size: int, name: str) -> None:
        try:
            for offset in range(0, size, len(_ZEROS)):
                self._disk.write(fd, _ZEROS[: size - offset], offset)
            self._disk.flush(fd)
            self._disk.rename(f"{name}.tmp", f"{name}.spare")
        except OSError:
            self._disk.close(fd)
            self._disk.remove(f"{name}.tmp")  # half a segment is of no use, and its room may be needed
            raise
