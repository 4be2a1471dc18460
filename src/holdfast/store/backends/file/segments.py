"""Journal segments: files whose room is there before it is needed, written once and never reused.

A segment is preallocated and zero-filled, so that a flush inside it moves no metadata and cannot run out of
room. One spare is kept ready. It is what remains for outcomes and exits when the disk is full.
"""

import threading
from typing import Final

from holdfast.store.backends.file.disk import Disk
from holdfast.store.backends.file.faults import NO_ROOM, explain
from holdfast.store.backends.file.layout import Layout
from holdfast.system import Ids

__all__ = ("DEFAULT_SEGMENT_BYTES", "MAGIC", "Spare", "listed")

DEFAULT_SEGMENT_BYTES: Final = 4 << 20
MAGIC: Final = b"holdfast journal"
_ZEROS: Final = bytes(1 << 20)


def listed(disk: Disk, layout: Layout) -> list[int]:
    """Return the indices of the segments that are there, in order."""
    names = [name for name, is_folder in disk.folder(layout.journal) if not is_folder]
    return sorted(int(name[:-4]) for name in names if name.endswith(".log") and name[:-4].isdigit())


class Spare:
    """The one segment kept ready: made by the maintenance thread, taken by the journal's."""

    def __init__(self, disk: Disk, layout: Layout, ids: Ids, size: int) -> None:
        self._disk = disk
        self._layout = layout
        self._ids = ids
        self._size = size
        self._path = f"{layout.journal}/spare"
        self._lock = threading.Lock()
        self.ready = False

    def adopt(self) -> None:
        """Use the spare that an earlier run left, if it is whole and nothing was ever written to it."""
        for name, _ in self._disk.folder(self._layout.journal):
            if name.endswith(".tmp"):  # a run was killed while it made one
                self._disk.remove(f"{self._layout.journal}/{name}")
        if self._disk.stamp(self._path) is None:
            return
        data = self._disk.read(self._path)
        if len(data) == self._size and not data.strip(b"\0"):
            self.ready = True
        else:  # a run was killed before it gave the segment its name: nothing in it was acknowledged
            self._disk.remove(self._path)

    def prepare(self) -> None:
        """Make a spare if there is none. Raises StoreFull, leaving nothing behind."""
        with self._lock:
            if not self.ready:
                self._disk.close(self._make(self._size))
                self.ready = True

    def take(self, size: int) -> tuple[int, str]:
        """Return an open, empty segment of at least `size` bytes and its path, until the caller names it.

        Raises StoreFull where there is no spare and no room for another.
        """
        with self._lock:
            if size <= self._size and self.ready:
                self.ready = False
                return self._disk.open(self._path, write=True), self._path
            if self.ready:
                self._disk.remove(self._path)
                self.ready = False
            return self._make(max(size, self._size)), self._path

    def _make(self, size: int) -> int:
        temporary = f"{self._layout.journal}/{self._ids()}.tmp"
        try:
            fd = self._disk.create(temporary)
            self._fill(fd, size, temporary)
        except OSError as error:
            if error.errno in NO_ROOM:
                raise explain(error, temporary) from error
            raise
        return fd

    def _fill(self, fd: int, size: int, temporary: str) -> None:
        try:
            for offset in range(0, size, len(_ZEROS)):
                self._disk.write(fd, _ZEROS[: size - offset], offset)
            self._disk.flush(fd)
            self._disk.rename(temporary, self._path)
        except OSError:
            self._disk.close(fd)
            self._disk.remove(temporary)  # half a segment is of no use, and its room may be needed
            raise
