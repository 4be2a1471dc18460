"""Where the database is: made whole or not at all, private, never a link, and the same file all along."""

import threading
from contextlib import suppress
from typing import Final

from holdfast import points
from holdfast.errors import Corrupt, InvalidOption, StoreMissing, Unavailable, Unsupported
from holdfast.store.backends.file.faults import explained
from holdfast.store.backends.sqlite.disk import Identity, SqliteDisk
from holdfast.store.backends.sqlite.schema import image
from holdfast.store.base import Durability
from holdfast.system import Ids

__all__ = ("BESIDE", "Place")

BESIDE: Final = ("-wal", "-shm")
"""What SQLite keeps beside the file while it is open: the newest commits, and an index of them."""

_INDEX: Final = 1 << 17
"""Bytes of the index of the newest commits: enough for sixteen thousand pages of them."""

_VOLATILE: Final = frozenset({"tmpfs", "ramfs"})
_REMOTE: Final = (
    "nfs",
    "cifs",
    "smb",
    "afs",
    "fuse.sshfs",
    "fuse.s3fs",
    "fuse.gcsfuse",
    "fuse.rclone",
    "ncpfs",
)


class Place:
    """The database file at an absolute path, and what it was when it was opened."""

    def __init__(self, disk: SqliteDisk, path: str) -> None:
        self.path = path
        self._disk = disk
        self._known: dict[str, Identity | None] = {}
        self._connections = 0
        self._counting = threading.Lock()

    @property
    def wal(self) -> str:
        """The file of the newest commits."""
        return f"{self.path}-wal"

    @property
    def _folder(self) -> str:
        return _parent(self.path)

    def make(self, ids: Ids) -> None:
        """Make the file and everything above it where they are not there; all of their names are durable then."""
        with explained(self.path):
            self._make_folders()
            self._refuse_remote()
            if self._disk.identity(self.path) is None:
                self._make_file(f"{self._folder}/.{self.path.rpartition('/')[2]:.64}.{ids()}.new")
            self._flush_folders()
        self.inspect()

    def inspect(self) -> None:
        """Return if there is an ordinary file with something in it; raises StoreMissing or what is wrong with it."""
        with explained(self.path):
            if self._disk.identity(self.path) is None:
                raise StoreMissing(f"there is no store at {self.path}", path=self.path)
            self._refuse_remote()
            if not self._disk.is_plain(self.path):
                message = (
                    f"{self.path} is a link, folder or device; give the path of the database file itself"
                )
                raise InvalidOption(message, path=self.path)
            if self._disk.length(self.path) == 0:
                reason = "is empty, which no database is; remove it if it never was one, or restore a backup"
                raise Corrupt(f"{self.path}: {reason}", key=None, reason="empty", path=self.path)

    def check_writable(self) -> None:
        """Return if this user may write the file and beside it; SQLite would open it for reading, and fail later."""
        with explained(self.path):
            for path in (self.path, self._folder):
                if not self._disk.writable(path):
                    message = (
                        f"{path} cannot be written: mend its rights or the mount, or open it with ?mode=ro"
                    )
                    raise Unavailable(message, path=path, unknown=False, retryable=False)

    def check_room(self) -> None:
        """Return if there is room for the index of the newest commits; raises StoreFull.

        SQLite writes it through memory, where no room is no error, but ends the process (SIGBUS). It asks for room by a
        byte in each page of memory, which is not all of the page where the blocks of the file system are smaller.
        """
        with explained(self.path):
            if self._disk.small_blocks(self._folder):
                self._disk.require(self._folder, 2 * _INDEX)

    def reserve_index(self) -> None:
        """Make room for the index, which a connection has open; raises StoreFull. See `check_room`."""
        with explained(self.path):
            if self._disk.small_blocks(self._folder):
                self._disk.reserve(f"{self.path}-shm", _INDEX)

    def durability(self) -> Durability:
        """Return what flushing achieves on this file system."""
        with explained(self.path):
            volatile = self._disk.file_system(self._folder) in _VOLATILE
        return Durability.PROCESS_CRASH if volatile else Durability.POWER_LOSS

    def entered(self) -> None:
        """Count a connection that has read; the files that the first one finds must be there until the last is gone."""
        with self._counting:
            self._connections += 1
            if self._connections == 1:
                self._known = {end: self._identity(end) for end in ("", *BESIDE)}

    def left(self) -> None:
        """Count a connection as gone; the last one may take the files beside the database with it."""
        with self._counting:
            self._connections -= 1
            if self._connections == 0:
                self._known = {"": self._known[""]}

    def check(self, *, unknown: bool = False) -> None:
        """Return if the files are still those; what is written to a removed one is lost when it is closed."""
        if any(self._identity(end) != known for end, known in self._known.items()):
            message = (
                f"{self.path}, or its -wal or -shm file, was removed or replaced while it was open. Stop every process "
                "that uses it, put the right file there, and start again"
            )
            raise Unavailable(message, path=self.path, unknown=unknown, retryable=False)

    def flush_wal(self) -> None:
        """Return when the newest commits' file, and all that was ever written to it, survives a power cut.

        Another process may have been killed between writing and flushing, and SQLite itself goes on where the flush of
        that file's name failed. (SQLite has no locks on this file, so it may be opened and closed here.)
        """
        with explained(self.wal):
            if self._disk.identity(self.wal) is None:
                return
            fd = self._disk.open(self.wal)
            try:
                self._disk.flush(fd)
            finally:
                self._disk.close(fd)
            with suppress(PermissionError):  # then this user made nothing in it
                self._disk.flush_folder(self._folder)

    def _identity(self, end: str) -> Identity | None:
        with explained(self.path):
            return self._disk.identity(self.path + end)

    def _make_folders(self) -> None:
        missing = []
        path = self._folder
        while not self._disk.is_folder(path):
            missing.append(path)
            path = _parent(path)
        for folder in reversed(missing):
            self._disk.make_folder(folder)
            self._disk.flush_folder(_parent(folder))

    def _make_file(self, temporary: str) -> None:
        """Write a complete empty database under another name, and give it ours unless someone else was faster."""
        self._refuse_leftovers()
        fd = self._disk.create(temporary)
        try:
            self._disk.write(fd, image(), 0)
            self._disk.flush(fd)
        finally:
            self._disk.close(fd)
        points.reached("sqlite.image-written")
        try:
            self._disk.link(temporary, self.path)
        finally:
            self._disk.remove(temporary)
        points.reached("sqlite.linked")

    def _refuse_leftovers(self) -> None:
        """Refuse a missing file whose -wal is still there: SQLite would replay it into what comes in its place."""
        for end in ("-wal", "-journal"):
            if self._disk.identity(self.path + end) is not None and self._disk.identity(self.path) is None:
                message = (
                    f"{self.path} is missing, and its {end} file is there, with commits that may be nowhere else; "
                    "put the database back, or move that file away"
                )
                raise Corrupt(message, key=None, reason="the database file is missing", path=self.path + end)

    def _flush_folders(self) -> None:
        """Flush every name up to the root: whoever made one may have been killed before its flush."""
        path = self._folder
        while True:
            try:
                self._disk.flush_folder(path)
            except PermissionError:  # then this user did not make what is in it
                return
            if path == _parent(path):
                return
            path = _parent(path)

    def _refuse_remote(self) -> None:
        kind = self._disk.file_system(self._folder)
        if kind is not None and kind.startswith(_REMOTE):
            message = (
                f"{self.path} is on {kind}: SQLite's WAL needs memory shared on one machine, and its locks do not hold "
                "across a network. Use a local disk, or postgresql:// for several machines"
            )
            raise Unsupported(message, path=self.path, file_system=kind)


def _parent(path: str) -> str:
    return path.rpartition("/")[0] or "/"
