"""`holdfast store export`: a portfolio as one file, read back and compared before it has its name."""

import hashlib
import zlib
from typing import Any, Final

from msgspec import Struct

from holdfast import points
from holdfast.errors import Corrupt, InvalidOption, StoreInUse
from holdfast.store.backends.file.disk import Disk
from holdfast.store.base import Store
from holdfast.store.tools.comparing import compared
from holdfast.store.tools.contents import Fingerprint, Seen, Tell, names_of, records_of, untold
from holdfast.store.tools.importing import PortableFile
from holdfast.store.tools.mark import MARK_KEY, mark_of
from holdfast.store.tools.places import place_of
from holdfast.store.tools.portable import (
    GZIP,
    End,
    Entities,
    Header,
    Line,
    Numbered,
    Row,
    StreamOf,
    encode_line,
)
from holdfast.store.tools.refusing import refuse_encrypted
from holdfast.system import Clock, SystemClock

__all__ = ("Exported", "export")

ROUNDS: Final = 3
BUFFER: Final = 1 << 16


class Exported(Struct, frozen=True, kw_only=True):
    """What is in an exported file."""

    records: int
    events: int
    head: int
    bytes: int
    sha256: str


async def export(
    store: Store, path: str, *, clock: Clock | None = None, disk: Disk | None = None, tell: Tell = untold
) -> Exported:
    """Write a portfolio to a new file, as it was at one instant; the file is whole and durable, or not there.

    The store is opened and closed here, and only read. The file is private (0600). Raises InvalidOption where it is
    there already, StoreInUse where the store changes faster than it can be read.
    """
    disk = disk or Disk()
    path = disk.absolute(path)
    if disk.stamp(path) is not None:
        raise InvalidOption(f"there is a file {path} already: give another name", path=path)
    async with store:
        await refuse_encrypted(store)
        mark = mark_of((await store.get(MARK_KEY))[0])
        if mark is not None and mark.state == "copying":
            raise InvalidOption(
                f"{store.url} is an unfinished copy of {mark.url}: finish it, or export that one"
            )
        for _ in range(ROUNDS):
            done = await _round(store, path, disk, clock or SystemClock(), tell)
            if done is not None:
                return done
    raise StoreInUse(
        f"{store.url} changes while it is written out: try again, or stop the run that uses it",
        pid=0,
        host="?",
        since=0,
    )


async def _round(store: Store, path: str, disk: Disk, clock: Clock, tell: Tell) -> Exported | None:
    """Write the file aside, compare it, and give it its name; None, and nothing left, where the store has changed."""
    aside = f"{path}.part"
    if disk.stamp(aside) is not None:
        disk.remove(aside)  # left by an export that was killed here
    try:
        before, end = await _written(store, aside, disk, clock, tell, zipped=path.endswith(".gz"))
        async with PortableFile(aside, disk=disk, zipped=path.endswith(".gz")) as back:
            after, wrong = await compared(store, back, tell=tell)
        if before != after:
            disk.remove(aside)
            return None
        if wrong:
            raise Corrupt(
                f"{aside} does not hold what was written: {wrong[0]}", key=None, reason="", path=aside
            )
        size = _size(disk, aside)
        disk.rename(aside, path)
        disk.flush_folder(path.rpartition("/")[0] or "/")
        points.reached("export.renamed")
    except BaseException:
        if disk.stamp(aside) is not None:
            disk.remove(aside)
        raise
    return Exported(records=end.records, events=end.events, head=store.head, bytes=size, sha256=end.sha256)


async def _written(
    store: Store, path: str, disk: Disk, clock: Clock, tell: Tell, *, zipped: bool
) -> tuple[Fingerprint, End]:
    fd = disk.create(path)
    try:
        out, seen = _Out(disk, fd, zipped=zipped), Seen()
        header = Header(namespace=store.namespace, url=place_of(store), head=store.head, at=clock.now())
        out.line(header)
        await _contents(store, out, seen, tell)
        fingerprint = seen.fingerprint()
        end = out.end(fingerprint)
        points.reached("export.written")
        disk.flush(fd)
        points.reached("export.flushed")
        return fingerprint, end
    finally:
        disk.close(fd)


async def _contents(store: Store, out: "_Out", seen: Seen, tell: Tell) -> None:
    names = await names_of(store)
    for name in sorted(names.entities):
        out.section(Entities(name))
        async for record in records_of(store, name):
            seen.record(record.key, record.version)
            out.line(Row(record.key.entity_id, record.version, record.value))
            tell("written", 1)
    for stream in sorted(names.streams):
        out.section(StreamOf(stream))
        number = 0
        async for event in store.read(stream):
            number = event.number
            out.line(Numbered(number, event.version, event.value))
            tell("written", 1)
        seen.stream(stream, number)


def _size(disk: Disk, path: str) -> int:
    stamp = disk.stamp(path)
    return 0 if stamp is None else stamp[2]


class _Out:
    """Lines on their way to a file: digested, compressed where that is asked for, and written a buffer at a time."""

    def __init__(self, disk: Disk, fd: int, *, zipped: bool) -> None:
        self._disk, self._fd, self._zipped = disk, fd, zipped
        self._digest = hashlib.sha256()
        self._member: Any = None
        self._buffer = bytearray()
        self._offset = 0

    def section(self, line: Line) -> None:
        """Write the first line of a section, from where on the file can be read."""
        self._finish()
        self.line(line)

    def line(self, line: Line) -> None:
        """Write a line."""
        self._put(encode_line(line))

    def end(self, seen: Fingerprint) -> End:
        """Write the last line and everything that waits; return what it says."""
        end = End(records=seen.records, events=seen.events, sha256=self._digest.hexdigest())
        self._put(encode_line(end))
        self._finish()
        self._write()
        return end

    def _put(self, data: bytes) -> None:
        self._digest.update(data)
        if self._zipped:
            self._member = self._member or zlib.compressobj(6, zlib.DEFLATED, GZIP)
            data = self._member.compress(data)
        self._buffer += data
        if len(self._buffer) >= BUFFER:
            self._write()

    def _finish(self) -> None:
        if self._member is not None:
            self._buffer += self._member.flush()
            self._member = None

    def _write(self) -> None:
        self._disk.write(self._fd, bytes(self._buffer), self._offset)
        self._offset += len(self._buffer)
        self._buffer.clear()
