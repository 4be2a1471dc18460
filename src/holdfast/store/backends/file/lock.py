"""One writing process a namespace: a lock that the kernel frees when its holder dies, however it dies."""

import msgspec
from msgspec import Struct

from holdfast.errors import StoreInUse
from holdfast.store.backends.file.disk import Disk
from holdfast.store.backends.file.faults import UNDECODABLE
from holdfast.system import Clock

__all__ = ("Holder", "acquire", "refuse_locked")

_SIZE = 512


class Holder(Struct, frozen=True):
    """Who has the store open for writing, and since when (milliseconds of wall time)."""

    pid: int
    host: str
    since: int


def acquire(disk: Disk, path: str, clock: Clock) -> int:
    """Take the lock and write down who has it; closing the returned file lets go of it.

    Raises StoreInUse with the holder's `pid`, `host` and `since`, also within one process.
    """
    fd = disk.lock(path)
    if fd is None:
        raise _in_use(disk, path)
    try:
        pid, host = disk.process()
        text = msgspec.json.encode(Holder(pid, host, clock.now()))
        disk.write(fd, text.ljust(_SIZE), 0)
    except BaseException:
        disk.close(fd)
        raise
    return fd


def refuse_locked(disk: Disk, path: str) -> None:
    """Return where nobody has the lock, as it is now; raises StoreInUse that names the holder, and takes nothing."""
    if disk.is_locked(path):
        raise _in_use(disk, path)


def _in_use(disk: Disk, path: str) -> StoreInUse:
    try:
        holder = msgspec.json.decode(disk.read(path).strip(), type=Holder)
    except UNDECODABLE:  # the holder has the lock and has not written its name yet
        holder = Holder(0, "?", 0)
    folder = path.removesuffix("/.holdfast/lock")
    if (holder.pid, holder.host) == disk.process():
        message = f"this process has the store in {folder} open already: close it there, or open this one with ?mode=ro"
    else:
        message = (
            f"the store in {folder} is open in process {holder.pid} on {holder.host}; stop that one, "
            "or open this one with ?mode=ro"
        )
    return StoreInUse(message, pid=holder.pid, host=holder.host, since=holder.since, path=path)
