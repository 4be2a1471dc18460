"""Disks that are full: of bytes, or of files. A small file system of its own, so that nobody else is in the way."""

import itertools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final, Self

from holdfast.testing.powercut.disk import LoopDisk, NoDisk, missing

__all__ = ("MemoryDisk", "fill", "small_disk", "use_up_files")

MEGABYTES: Final = 64
FILES: Final = 400
FILLER: Final = ".filler"
_WATCH: Final = 'read -r _; umount -l "$0" 2>/dev/null; rm -rf "$0"'


class MemoryDisk:
    """A small tmpfs of its own, mounted at `mount`; use it as `with`. However we end, it is unmounted."""

    def __init__(self, *, megabytes: int = MEGABYTES, files: int = FILES) -> None:
        if os.geteuid() != 0:
            raise NoDisk("only root may mount a file system")
        self._options = f"size={megabytes}m,nr_inodes={files},mode=711"
        self.mount = Path(tempfile.mkdtemp(prefix="holdfast-small-"))
        self._watch: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._watch = subprocess.Popen(  # noqa: S603
            ["/bin/sh", "-c", _WATCH, str(self.mount)], stdin=subprocess.PIPE, start_new_session=True
        )
        command = ["mount", "-t", "tmpfs", "-o", self._options, "tmpfs", str(self.mount)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
        if done.returncode:
            self.__exit__()
            raise NoDisk(f"no small disk can be mounted: {done.stderr.strip()}", log=done.stderr)
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "-l", str(self.mount)], check=False, capture_output=True)  # noqa: S603, S607
        if self._watch is not None:
            self._watch.kill()
            self._watch.communicate()
        shutil.rmtree(self.mount, ignore_errors=True)


def small_disk() -> LoopDisk | MemoryDisk:
    """Return a small disk, not mounted: an ext4 where one can be had, else a tmpfs; raises NoDisk."""
    return MemoryDisk() if missing("ext4") else LoopDisk("ext4")


def fill(mount: Path, leave: int = 0) -> Path:
    """Take all the room there is but some bytes, and return the file that has it: remove it to give room again."""
    path = mount / FILLER
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
        file.truncate(max(0, file.tell() - leave))
    return path


def use_up_files(mount: Path, leave: int = 0) -> Path:
    """Make files until only some more can be made, and return the folder of them: remove it to have some again."""
    folder = mount / FILLER
    folder.mkdir()
    try:
        for number in itertools.count():
            (folder / str(number)).touch()
    except OSError:
        for name in os.listdir(folder)[:leave]:
            (folder / name).unlink()
    return folder
