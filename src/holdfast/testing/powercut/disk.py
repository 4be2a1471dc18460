"""A disk whose power can be cut: a real file system in a file, mounted by loop, and the kernel's own way to stop it.

`FS_IOC_SHUTDOWN` ends a file system at once, its journal unflushed: what the kernel still had in memory is gone, as in
a power cut. Mounting it again replays its journal. What it does not show: torn sectors, and a disk's own write cache.
"""

import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final, Self

from holdfast.errors import HoldfastError

__all__ = ("FILE_SYSTEMS", "LoopDisk", "NoDisk", "missing")

FILE_SYSTEMS: Final = {
    "ext4": (64, ("mkfs.ext4", "-q", "-F")),
    "xfs": (300, ("mkfs.xfs", "-q", "-f")),
}
"""By name: megabytes (which stay unused for the most part), and what makes one in a file."""

_SHUTDOWN: Final = (2 << 30) | (4 << 16) | (ord("X") << 8) | 125  # _IOR('X', 125, __u32)
_NO_LOG_FLUSH: Final = 2
_LIMIT: Final = 10.0
_WATCH: Final = 'read -r _; umount -l "$0" 2>/dev/null; rm -rf "$1"'


class NoDisk(HoldfastError):
    """No such disk can be made or mounted here: `log` is what the tool said."""


def missing(file_system: str = "ext4") -> str:
    """Return why power cannot be cut on that file system here; "" where it can."""
    if file_system not in FILE_SYSTEMS:
        return f"power cuts on {file_system} are not known how to do; known: {', '.join(FILE_SYSTEMS)}"
    _, (tool, *_) = FILE_SYSTEMS[file_system]
    if os.geteuid() != 0:
        return "only root may mount a file system"
    if not _found(tool):
        return f"{tool} is not installed"
    if not Path("/dev/loop-control").exists():
        return "this kernel has no loop devices"
    known = Path("/proc/filesystems").read_text(encoding="ascii").split()
    return "" if file_system in known else f"this kernel has no {file_system}"


class LoopDisk:
    """A disk of its own, mounted at `mount`; use it as `with`. However we end, it is unmounted and removed."""

    def __init__(self, file_system: str = "ext4") -> None:
        reason = missing(file_system)
        if reason:
            raise NoDisk(reason)
        memory = Path("/dev/shm")  # noqa: S108  # what arrives there has arrived: this is the disk itself
        self.file_system = file_system
        self._folder = Path(
            tempfile.mkdtemp(prefix="holdfast-disk-", dir=memory if memory.is_dir() else None)
        )
        self._folder.chmod(0o711)  # a server that runs as another user has to get through
        self._image = self._folder / "image"
        self.mount = self._folder / "mount"
        self._watch: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Make the file system, empty, and mount it."""
        megabytes, command = FILE_SYSTEMS[self.file_system]
        self.mount.mkdir()
        with self._image.open("wb") as image:
            image.truncate(megabytes << 20)
        self._watch = subprocess.Popen(  # noqa: S603
            ["/bin/sh", "-c", _WATCH, str(self.mount), str(self._folder)], stdin=subprocess.PIPE, start_new_session=True
        )  # fmt: skip
        _run(str(_found(command[0])), *command[1:], str(self._image))
        self._mount()

    def cut(self) -> None:
        """Cut the power: from now on nothing reaches the disk, and whoever writes gets errors."""
        fd = os.open(self.mount, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.ioctl(fd, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(fd)

    def restart(self) -> None:
        """Switch on again after a cut: mount it anew. Whoever had files open there must be gone."""
        self._unmount()
        self._mount()

    def stop(self) -> None:
        """Unmount it and remove it."""
        try:
            if os.path.ismount(self.mount):
                self._unmount()
        finally:
            if self._watch is not None:
                self._watch.kill()
                self._watch.communicate()
            shutil.rmtree(self._folder)

    def _mount(self) -> None:
        _run("mount", "-t", self.file_system, "-o", "loop", str(self._image), str(self.mount))

    def _unmount(self) -> None:
        deadline = time.monotonic() + _LIMIT
        while True:
            try:
                _run("umount", str(self.mount))
            except NoDisk:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)  # the kernel lets go of a killed process's files a little later
            else:
                return

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _found(tool: str) -> str | None:
    return shutil.which(tool, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        raise NoDisk(f"{' '.join(command)} failed: {done.stderr.strip()}", log=done.stderr)
