"""What the SQLite store asks of the operating system besides SQLite itself, as one small object.

Never open the database file (or its `-shm`) through here while a connection of this process has it open: closing any
file descriptor of it drops the POSIX locks that SQLite holds, of every connection in the process.
"""

import ctypes
import errno
import os
import stat
from contextlib import suppress

from holdfast.store.backends.file.disk import Disk

__all__ = ("Identity", "SqliteDisk")

Identity = tuple[int, int]


class SqliteDisk(Disk):
    """The real one."""

    def identity(self, path: str) -> Identity | None:
        """Return what tells the file at `path` from every other one; None where there is none."""
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def is_plain(self, path: str) -> bool:
        """Whether there is an ordinary file at `path`, and no link, folder or device."""
        return stat.S_ISREG(os.lstat(path).st_mode)

    def length(self, path: str) -> int:
        """Return how many bytes the file at `path` has."""
        return os.lstat(path).st_size

    def link(self, source: str, target: str) -> bool:
        """Give a file a second name that nothing has yet; False where something has it."""
        try:
            os.link(source, target, follow_symlinks=False)
        except FileExistsError:
            return False
        return True

    def writable(self, path: str) -> bool:
        """Whether this user may write the file or folder at `path`."""
        return os.access(path, os.W_OK)

    def file_system(self, path: str) -> str | None:
        """Return the type of the file system of `path` ("ext4"); None where the system does not tell."""
        device = os.stat(path).st_dev
        place = f"{os.major(device)}:{os.minor(device)}"
        try:
            with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
                lines = [line.split() for line in mounts]
        except FileNotFoundError:
            return None
        return next((line[line.index("-") + 1] for line in lines if line[2] == place), None)

    def small_blocks(self, path: str) -> bool:
        """Whether blocks of the file system of `path` are smaller than a page of memory."""
        return os.statvfs(path).f_bsize < os.sysconf("SC_PAGE_SIZE")

    def require(self, path: str, size: int) -> None:
        """Return if so many bytes are free on the file system of `path`; raises OSError (ENOSPC)."""
        found = os.statvfs(path)
        if found.f_bavail * found.f_frsize < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def reserve(self, path: str, size: int) -> None:
        """Give the first `size` bytes of a file that a connection of this process has open their blocks on the disk.

        Raises OSError where there is no room. Nothing happens where the system cannot do that.
        """
        wanted = self.identity(path)
        for name in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
            with suppress(FileNotFoundError):  # it was that of the listing
                found = os.stat(f"/proc/self/fd/{name}")
                if (found.st_dev, found.st_ino) == wanted:
                    _allocate(int(name), size)


def _allocate(fd: int, size: int) -> None:
    # Not posix_fallocate: where a file system cannot do it, that writes into the file, under who has it mapped.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.fallocate(fd, 0, ctypes.c_int64(0), ctypes.c_int64(size)):
        code = ctypes.get_errno()
        if code not in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF):
            raise OSError(code, os.strerror(code))
