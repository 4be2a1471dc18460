"""The quarantine: what cannot be read is there, durable, before anything takes its place. Nothing is deleted.

What was copied there by a repair that was cut off is found again, so that a second run makes no second copy.
"""

import hashlib
from collections.abc import Iterator
from itertools import count
from typing import Final

from holdfast.store.backends.file.disk import Disk
from holdfast.store.backends.file.layout import Layout

__all__ = ("keep", "keep_bytes", "set_aside")

_NAME_BYTES: Final = 220  # of 255, so that a number still fits


def keep(disk: Disk, layout: Layout, path: str) -> str:
    """Copy a file to the quarantine under a name that says where it is, and return the copy's path."""
    return keep_bytes(disk, layout, _name(layout, path), disk.read(path))


def keep_bytes(disk: Disk, layout: Layout, name: str, data: bytes) -> str:
    """Write `data` to the quarantine, unless it is there already, and return its path; durable then."""
    path = next(p for p in _paths(layout, name) if disk.stamp(p) is None or disk.read(p) == data)
    fd = disk.create(path) if disk.stamp(path) is None else disk.open(path, write=True)
    try:
        disk.write(fd, data, 0)  # also where it is there: it may never have reached the disk
        disk.flush(fd)
    except OSError:
        disk.remove(path)
        raise
    finally:
        disk.close(fd)
    disk.flush_folder(layout.quarantine)
    return path


def set_aside(disk: Disk, layout: Layout, path: str) -> str:
    """Move a file to the quarantine, and return its path there: for what is not needed where it was."""
    target = next(p for p in _paths(layout, _name(layout, path)) if disk.stamp(p) is None)
    disk.rename(path, target)
    return target


def _paths(layout: Layout, name: str) -> Iterator[str]:
    return (f"{layout.quarantine}/{name}.{number}" for number in count(1))


def _name(layout: Layout, path: str) -> str:
    name = path.removeprefix(f"{layout.root}/").replace("/", "--").encode(errors="surrogateescape")
    if len(name) > _NAME_BYTES:
        digest = hashlib.sha256(name).hexdigest()[:16].encode()
        name = name[: _NAME_BYTES - 17] + b"~" + digest
    return name.decode(errors="surrogateescape")
