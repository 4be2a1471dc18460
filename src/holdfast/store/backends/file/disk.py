"""The disk, as one small object: every system call of the file store goes through here.

A test can be the disk: it implements these methods and drops, fails or reorders what it likes. Nothing is
retried here, no link at the end of a path is followed, and everything is private to the user (0600, 0700).
"""

import ctypes
import errno
import fcntl
import os
import socket
import stat
from typing import Final

__all__ = ("Disk", "Stamp")

Stamp = tuple[int, int, int]

_FLAGS: Final = os.O_CLOEXEC | os.O_NOFOLLOW
_VOLATILE: Final = frozenset({"tmpfs", "ramfs"})
_locks: Final[set[int]] = set()


def _let_go_after_fork() -> None:
    """Close the locks in a child: its copies would keep them locked after the death of the process that has them.

    They are not unlocked: a lock is one for all copies, and would be gone for that process, too.
    """
    for fd in _locks:
        os.close(fd)
    _locks.clear()


os.register_at_fork(after_in_child=_let_go_after_fork)


class Disk:
    """The real one."""

    def absolute(self, path: str) -> str:
        """Return `path` from the root on, as seen from the working directory of now."""
        return os.path.abspath(path)

    def process(self) -> tuple[int, str]:
        """Return this process's id and the name of its host."""
        return os.getpid(), socket.gethostname()

    def pid(self) -> int:
        """Return this process's id."""
        return os.getpid()

    def make_folder(self, path: str) -> bool:
        """Make one folder and return True; False where there already is a folder (and no link) of that name."""
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            self.close(os.open(path, os.O_RDONLY | os.O_DIRECTORY | _FLAGS))
            return False
        return True

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder at `path`, links followed."""
        return os.path.isdir(path)

    def folder(self, path: str) -> list[tuple[str, bool]]:
        """Return the names in a folder, each with whether it is a folder itself (a link is not)."""
        with os.scandir(path) as entries:
            return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]

    def create(self, path: str) -> int:
        """Create a file that is not there yet, and return it open for reading and writing."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600)

    def open(self, path: str, *, write: bool = False) -> int:
        """Open a file that is there."""
        return os.open(path, (os.O_RDWR if write else os.O_RDONLY) | _FLAGS)

    def size(self, fd: int) -> int:
        """Return how many bytes an open file has."""
        return os.fstat(fd).st_size

    def stamp(self, path: str) -> Stamp | None:
        """Return what changes when the file at `path` is replaced; None where there is none."""
        try:
            found = os.stat(path, follow_symlinks=False)
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def read(self, path: str) -> bytes:
        """Return all bytes of the file at `path`; a pipe or a device is refused, not waited for."""
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | _FLAGS)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise OSError(errno.EINVAL, "not a regular file", path)
            parts = [os.read(fd, 1 << 16)]
            while len(parts[-1]) == 1 << 16 or (parts[-1] and len(parts) > 1):
                parts.append(os.read(fd, 1 << 20))
            return parts[0] if len(parts) == 1 else b"".join(parts)
        finally:
            os.close(fd)

    def read_at(self, fd: int, size: int, offset: int) -> bytes:
        """Return up to `size` bytes from `offset` on."""
        return os.pread(fd, size, offset)

    def write(self, fd: int, data: bytes, offset: int) -> None:
        """Write all of `data` at `offset`; nothing is durable yet."""
        done = os.pwrite(fd, data, offset)
        while done < len(data):
            step = os.pwrite(fd, memoryview(data)[done:], offset + done)
            if step == 0:
                raise OSError(errno.EIO, "nothing was written")
            done += step

    def truncate(self, fd: int, size: int) -> None:
        """Cut or extend an open file to `size` bytes."""
        os.ftruncate(fd, size)

    def flush(self, fd: int) -> None:
        """Return when the bytes of an open file, and its size, survive a power cut."""
        os.fdatasync(fd)

    def close(self, fd: int) -> None:
        """Close an open file, and unlock it if it was locked: also where a child has a copy of it."""
        if fd in _locks:
            _locks.discard(fd)
            fcntl.flock(fd, fcntl.LOCK_UN)
        os.close(fd)

    def rename(self, source: str, target: str) -> None:
        """Give a file another name, in place of what had it before; the name is not durable yet."""
        os.rename(source, target)

    def remove(self, path: str) -> None:
        """Remove a file; that it is gone is not durable yet."""
        os.unlink(path)

    def flush_folder(self, path: str) -> None:
        """Return when the names in a folder survive a power cut."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def flush_all(self, path: str) -> bool:
        """Make all files and names of the file system of `path` durable; False where the system cannot."""
        syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
        if syncfs is None:
            return False
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if syncfs(fd) != 0:
                code = ctypes.get_errno()
                raise OSError(code, os.strerror(code), path)
        finally:
            os.close(fd)
        return True

    def is_volatile(self, path: str) -> bool:
        """Whether the file system of `path` is known to live in memory only."""
        device = os.stat(path).st_dev
        place = f"{os.major(device)}:{os.minor(device)}"
        try:
            with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
                lines = [line.split() for line in mounts]
        except FileNotFoundError:  # not Linux: nothing is known
            return False
        return any(line[2] == place and line[line.index("-") + 1] in _VOLATILE for line in lines)

    def is_locked(self, path: str) -> bool:
        """Whether somebody has locked a file; for the instant of looking nobody else can."""
        try:
            fd = os.open(path, os.O_RDONLY | _FLAGS)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def lock(self, path: str) -> int | None:
        """Open (or create) a file and lock it until it is closed or the process ends; None if it is locked."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        except BaseException:
            os.close(fd)
            raise
        _locks.add(fd)
        return fd
