"""Streams made whole again: what is damaged is kept aside, what is lost is null, and numbers stay.

Each step leaves the stream as good as it was: a file is replaced in one step, by bytes that are durable, after a
durable copy of it was kept. A repair that was cut off finds what it needs, and ends as it would have ended.
"""

import zlib
from collections.abc import Iterator
from typing import Final

from msgspec import Raw

from holdfast.store.backends.file.disk import Disk
from holdfast.store.backends.file.files import replace
from holdfast.store.backends.file.findings import Finding
from holdfast.store.backends.file.layout import Layout
from holdfast.store.backends.file.manifest import Chunk, Manifest
from holdfast.store.backends.file.quarantine import keep, set_aside
from holdfast.store.backends.file.streams import Line, chunk_path, encode_line, good_lines
from holdfast.store.backends.file.verify import stream_faults
from holdfast.system import Ids

__all__ = ("mend_streams", "tidy_streams")

LOST: Final = "lost"


def mend_streams(disk: Disk, layout: Layout, ids: Ids, manifest: Manifest) -> list[Finding]:
    """Replace every damaged file of a stream, and what the manifest says of it; return what was done."""
    done = []
    for finding in stream_faults(disk, layout, manifest):
        assert finding.stream is not None
        chunks = manifest.streams[finding.stream]
        folder = layout.stream(finding.stream)
        disk.make_folder(folder)
        place = next(i for i, chunk in enumerate(chunks) if chunk_path(folder, chunk) == finding.path)
        if disk.stamp(finding.path) is not None:
            done.append(_kept(disk, layout, finding))
        chunks[place], mended = _mend(disk, ids, chunks[place], finding.path, finding.stream)
        disk.flush_folder(folder)
        done.append(mended)
    return done


def _kept(disk: Disk, layout: Layout, finding: Finding) -> Finding:
    path = keep(disk, layout, finding.path)
    return Finding("quarantined", path, f"{finding.path} {finding.reason}", stream=finding.stream)


def _mend(disk: Disk, ids: Ids, chunk: Chunk, path: str, stream: str) -> tuple[Chunk, Finding]:
    found = good_lines(disk.read(path)) if disk.stamp(path) is not None else {}
    good = {
        number: line for number, line in found.items() if line.stream == stream
    }  # and no other file's, put here
    numbers = range(chunk.first, chunk.first + chunk.count)
    lines = [good.get(number, Line(stream, 0, LOST, 0, Raw(b"null"))) for number in numbers]
    encoded = [encode_line(stream, n, bytes(x.value), x.version) for n, x in zip(numbers, lines, strict=True)]
    data = b"".join(encoded)
    folder, _, name = path.rpartition("/")
    replace(disk, ids, folder, name, data, flush=True)
    kept = sum(line.version != LOST for line in lines)
    reason = f"{kept} of {chunk.count} events kept; the others are null now"
    finding = Finding("restored", path, reason, stream=stream)
    return Chunk(chunk.first, chunk.count, len(data), zlib.crc32(data)), finding


def tidy_streams(disk: Disk, layout: Layout, manifest: Manifest) -> list[Finding]:
    """Set aside what the manifest does not speak of, and say so: a clean manifest has to speak of every byte."""
    aside = []
    known = {
        chunk_path(layout.stream(stream), chunk): chunk.length
        for stream, chunks in manifest.streams.items()
        for chunk in chunks
    }
    for path in _files(disk, layout):
        if path.endswith(".tmp"):
            disk.remove(path)
        elif path not in known:
            kept = set_aside(disk, layout, path)
            aside.append(Finding("quarantined", kept, f"{path} belongs to no stream that is known"))
        else:
            _cut(disk, layout, path, known[path])
    return aside


def _files(disk: Disk, layout: Layout) -> Iterator[str]:
    for folder, is_folder in disk.folder(layout.streams):
        if is_folder:
            path = f"{layout.streams}/{folder}"
            names = [name for name, is_nested in disk.folder(path) if not is_nested]
            yield from (f"{path}/{name}" for name in names if name.endswith((".jsonl", ".tmp")))


def _cut(disk: Disk, layout: Layout, path: str, length: int) -> None:
    stamp = disk.stamp(path)
    if stamp is None or stamp[2] <= length:
        return
    keep(disk, layout, path)
    fd = disk.open(path, write=True)
    try:
        disk.truncate(fd, length)
        disk.flush(fd)
    finally:
        disk.close(fd)
