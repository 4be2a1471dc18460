"""Streams on disk: JSON lines in files of about a megabyte, appended to by checkpoints and never rewritten.

Events since the last checkpoint are in the journal and in memory; older ones only here. A manifest says how
many bytes of which file count, and their checksum; what follows them was left by a checkpoint that a crash cut
off, and is overwritten.
"""

import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

import msgspec
from msgspec import Raw, Struct

from holdfast import points
from holdfast.errors import Corrupt
from holdfast.store.backends.file.disk import Disk
from holdfast.store.backends.file.faults import UNDECODABLE
from holdfast.store.backends.file.findings import corrupt_store
from holdfast.store.backends.file.layout import Layout
from holdfast.store.backends.file.manifest import Chunk, Manifest
from holdfast.store.backends.file.quarantine import keep
from holdfast.store.backends.file.segments import listed
from holdfast.store.base import Version

__all__ = (
    "CHUNK_BYTES",
    "Stream",
    "Tail",
    "append",
    "check_newest",
    "chunk_path",
    "encode_line",
    "good_lines",
    "read_chunk",
)

CHUNK_BYTES: Final = 1 << 20

Tail = tuple[bytes, Version]
"""An event that no checkpoint covers yet: its value and the commit that wrote it."""


class Line(Struct, frozen=True):
    """An event as it is stored; its own checksum lets `repair` keep the good ones of a damaged file."""

    stream: str
    number: int
    version: Version
    checksum: int
    value: Raw


_decoder: Final = msgspec.json.Decoder(Line)


class Stream:
    """Where the events of a stream are: in `chunks` on disk, then in the `tail` in memory."""

    __slots__ = ("chunks", "tail")

    def __init__(self, chunks: Sequence[Chunk] = ()) -> None:
        self.chunks: tuple[Chunk, ...] = tuple(chunks)
        self.tail: list[Tail] = []

    @property
    def covered(self) -> int:
        """How many events are on disk."""
        return self.chunks[-1].first + self.chunks[-1].count - 1 if self.chunks else 0

    @property
    def count(self) -> int:
        """How many events there are: the number of the newest."""
        return self.covered + len(self.tail)


def chunk_path(folder: str, chunk: Chunk) -> str:
    """Return the path of a chunk's file."""
    return f"{folder}/{chunk.first:016d}.jsonl"


def append(
    disk: Disk, layout: Layout, stream: str, chunks: Sequence[Chunk], tail: Sequence[Tail]
) -> list[Chunk]:
    """Write `tail` behind `chunks` and return the chunks as they are then; not durable, nothing of it counts
    until a manifest says so.
    """
    result, folder = list(chunks), layout.stream(stream)
    disk.make_folder(folder)
    number = result[-1].first + result[-1].count if result else 1
    for lines in _pieces(stream, number, tail):
        last = result[-1] if result else None
        if last is None or last.length >= CHUNK_BYTES or not _reaches(disk, folder, last):
            last = Chunk(number, 0, 0, 0)
            result.append(last)
        result[-1] = _extend(disk, layout, chunk_path(folder, last), last, lines)
        number += len(lines)
    points.reached("streams.appended")
    return result


def encode_line(stream: str, number: int, value: bytes, version: Version) -> bytes:
    """Return the line of an event."""
    line = Line(stream, number, version, _checksum(stream, number, value, version), Raw(value))
    return msgspec.json.encode(line) + b"\n"


def good_lines(data: bytes) -> dict[int, Line]:
    """Return the events of `data` that are whole, by number, whatever is between them."""
    found: dict[int, Line] = {}
    for piece in data.split(b"\n"):
        with suppress(*UNDECODABLE):  # a damaged line: what it said is not known
            line = _decoder.decode(piece)
            if line.checksum == _checksum(line.stream, line.number, bytes(line.value), line.version):
                found[line.number] = line
    return found


def _checksum(stream: str, number: int, value: bytes, version: Version) -> int:
    return zlib.crc32(value, zlib.crc32(f"{stream}\0{number}\0{version}\0".encode()))


def _pieces(stream: str, number: int, tail: Sequence[Tail]) -> list[list[bytes]]:
    pieces: list[list[bytes]] = []
    size = CHUNK_BYTES
    for index, (value, version) in enumerate(tail, number):
        line = encode_line(stream, index, value, version)
        if size >= CHUNK_BYTES:
            pieces.append([])
            size = 0
        pieces[-1].append(line)
        size += len(line)
    return pieces


def _reaches(disk: Disk, folder: str, chunk: Chunk) -> bool:
    """Whether a chunk's file still has all its bytes; one that was cut short is left as it is."""
    stamp = disk.stamp(chunk_path(folder, chunk))
    return stamp is not None and stamp[2] >= chunk.length


def _extend(disk: Disk, layout: Layout, path: str, chunk: Chunk, lines: Sequence[bytes]) -> Chunk:
    data = b"".join(lines)
    fd = disk.create(path) if disk.stamp(path) is None else disk.open(path, write=True)
    try:
        if disk.size(fd) > chunk.length:  # the rest of a checkpoint that did not get to its manifest
            _keep_damaged(disk, layout, path, chunk)
            disk.truncate(fd, chunk.length)
        disk.write(fd, data, chunk.length)
    finally:
        disk.close(fd)
    checksum = zlib.crc32(data, chunk.checksum)
    return Chunk(chunk.first, chunk.count + len(lines), chunk.length + len(data), checksum)


def _keep_damaged(disk: Disk, layout: Layout, path: str, chunk: Chunk) -> None:
    """Copy a file to the quarantine where it is longer because it is damaged: its end may be of good events."""
    if zlib.crc32(disk.read(path)[: chunk.length]) != chunk.checksum:
        keep(disk, layout, path)


def read_chunk(disk: Disk, folder: str, chunk: Chunk, stream: str) -> list[Line]:
    """Return the events of a chunk; raises Corrupt unless every byte is as the manifest says."""
    path = chunk_path(folder, chunk)
    reason, numbers = "is missing", range(chunk.first, chunk.first + chunk.count)
    if disk.stamp(path) is not None:
        data = disk.read(path)[: chunk.length]
        if len(data) == chunk.length and zlib.crc32(data) == chunk.checksum:
            lines = _decoded(data)
            if [(line.stream, line.number) for line in lines] == [(stream, number) for number in numbers]:
                return lines
            reason = "holds other events than the manifest says"
        else:
            reason = (
                "is cut short" if len(data) < chunk.length else "has another content than its checksum says"
            )
    message = f"stream {stream!r} cannot be trusted: {path} {reason}; run `holdfast store repair`"
    raise Corrupt(message, key=None, stream=stream, reason=reason, path=path)


def _decoded(data: bytes) -> list[Line]:
    """Return the lines of a file that is as its checksum says, none where they are no events."""
    try:
        return list(_decoder.decode_lines(data))
    except UNDECODABLE:
        return []


def check_newest(disk: Disk, layout: Layout, manifest: Manifest) -> None:
    """Raise Corrupt if a stream has more than a manifest says that was the last word: then it is an older one."""
    if not manifest.clean or any(index >= manifest.segment for index in listed(disk, layout)):
        return  # what is more may have been left by a checkpoint that a crash cut off
    known = {
        chunk_path(layout.stream(stream), chunk): chunk.length
        for stream, chunks in manifest.streams.items()
        for chunk in chunks
    }
    for path, size in _sizes(disk, layout):
        if size > known.get(path, 0):
            raise corrupt_store(layout.manifest, f"is an older one: {path} has more than it says")


def _sizes(disk: Disk, layout: Layout) -> Iterator[tuple[str, int]]:
    if not disk.is_folder(layout.streams):
        return
    for folder, is_folder in disk.folder(layout.streams):
        if is_folder:
            for name, _ in disk.folder(f"{layout.streams}/{folder}"):
                path = f"{layout.streams}/{folder}/{name}"
                stamp = disk.stamp(path)
                if name.endswith(".jsonl") and stamp is not None:
                    yield path, stamp[2]
