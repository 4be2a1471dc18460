"""A portable file read line by line, from its beginning or from any section on, and judged as a whole."""

import hashlib
import zlib
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from holdfast.store.backends.file.disk import Disk
from holdfast.store.codec import check_name
from holdfast.store.tools.portable import (
    GZIP,
    End,
    Entities,
    Header,
    Numbered,
    Row,
    StreamOf,
    decode_line,
    encode_line,
)

__all__ = ("Contents", "Lines", "Place")

CHUNK: Final = 1 << 16
LONGEST: Final = 64 << 20
"""The longest line (bytes) that is read into memory."""


class Place(Struct, frozen=True):
    """Where a line begins: in which member of a compressed file, and how far (bytes) in what that unpacks to."""

    member: int
    skip: int


class Lines:
    """The lines of an open file, unpacked where it is compressed."""

    def __init__(self, disk: Disk, fd: int, *, zipped: bool) -> None:
        self._disk, self._fd, self._zipped = disk, fd, zipped

    def read(self, start: Place | None = None) -> Iterator[tuple[bytes, Place]]:
        """Yield the lines from a place on, each with its end and its own place; raises ValueError, zlib.error."""
        start = start or Place(0, 0)
        rest, place = b"", start
        for data, member, at in self._unpacked(start):
            begin = 0
            while (end := data.find(b"\n", begin)) >= 0:
                yield rest + data[begin : end + 1], place if rest else Place(member, at + begin)
                rest, begin = b"", end + 1
            if begin < len(data):
                place = place if rest else Place(member, at + begin)
                rest += data[begin:]
            if len(rest) > LONGEST:
                raise ValueError("it has a line that does not end")
        if rest:
            raise ValueError("it is cut off in the middle of a line")

    def _unpacked(self, start: Place) -> Iterator[tuple[bytes, int, int]]:
        """Yield bytes, the member that they are of, and where in it they begin; from a place on."""
        if self._zipped:
            yield from self._members(start)
            return
        offset = start.skip
        while data := self._disk.read_at(self._fd, CHUNK, offset):
            yield data, 0, offset
            offset += len(data)

    def _members(self, start: Place) -> Iterator[tuple[bytes, int, int]]:
        member, skip = start.member, start.skip
        while self._disk.read_at(self._fd, 1, member):
            unpack, offset, at = zlib.decompressobj(GZIP), member, 0
            while not unpack.eof:
                packed = self._disk.read_at(self._fd, CHUNK, offset)
                if not packed:
                    raise ValueError("it is cut off")
                offset += len(packed)
                data = unpack.decompress(packed)
                if at + len(data) > skip:
                    yield data[max(skip - at, 0) :], member, max(at, skip)
                at += len(data)
            member, skip = offset - len(unpack.unused_data), 0


class Contents:
    """What is in a file and where, as it is read from the first line to the last."""

    def __init__(self) -> None:
        self.entities: dict[str, Place] = {}
        self.streams: dict[str, Place] = {}
        self.lengths: dict[str, int] = {}
        self.sha256 = ""
        self._header: Header | None = None
        self._digest = hashlib.sha256()
        self._counts = [0, 0]
        self._section: Entities | StreamOf | None = None
        self._id: str | None = None

    @property
    def header(self) -> Header:
        """The first line."""
        if self._header is None:
            raise ValueError("it has no first line")
        return self._header

    def take(self, data: bytes, place: Place) -> None:
        """Take the next line; raises ValueError where it cannot be the next, FromTheFuture."""
        if self.sha256:
            raise ValueError("it goes on after its last line")
        line = decode_line(data)
        if self._header is None and not isinstance(line, Header):
            raise ValueError("it does not begin as one")
        match line:
            case Header():
                self._begin(line)
            case Entities(entities=name):
                self._open(line, name, self.entities, place)
            case StreamOf(stream=name):
                self._open(line, name, self.streams, place)
            case Row():
                self._row(line)
            case Numbered():
                self._numbered(line)
            case End():
                self._end(line, data)
        self._digest.update(data)

    def check(self) -> None:
        """Raise ValueError where there was no last line."""
        if not self.sha256:
            raise ValueError("it is cut off: its last line is missing")

    def _begin(self, header: Header) -> None:
        if self._header is not None:
            raise ValueError("it begins twice")
        check_name(header.namespace, "namespace")
        self._header = header

    def _open(self, section: Entities | StreamOf, name: str, known: dict[str, Place], place: Place) -> None:
        if name in known:
            raise ValueError(f"it has {name!r} twice")
        known[name], self._section, self._id = place, section, None

    def _row(self, row: Row) -> None:
        if not isinstance(self._section, Entities) or (self._id is not None and row.id <= self._id):
            raise ValueError("it has a record out of its place")
        self._id = row.id
        self._counts[0] += 1

    def _numbered(self, event: Numbered) -> None:
        if not isinstance(self._section, StreamOf):
            raise ValueError("it has an event out of its place")
        name = self._section.stream
        if event.number != self.lengths.get(name, 0) + 1:
            raise ValueError(f"it has a gap in {name!r}")
        self.lengths[name] = event.number
        self._counts[1] += 1

    def _end(self, end: End, data: bytes) -> None:
        found = End(records=self._counts[0], events=self._counts[1], sha256=self._digest.hexdigest())
        if encode_line(found) != data:
            raise ValueError(f"its contents are not what its last line says (SHA-256 {found.sha256})")
        self.sha256 = end.sha256
