"""A manifest made anew, where it was lost: from the files that are whole by their own checksums."""

import zlib
from collections.abc import Sequence
from typing import Final

from holdfast.store.backends.file.disk import Disk
from holdfast.store.backends.file.files import Mark, whole_files
from holdfast.store.backends.file.layout import Layout
from holdfast.store.backends.file.manifest import Chunk, Manifest
from holdfast.store.backends.file.salvage import Salvaged, salvage
from holdfast.store.backends.file.segments import listed
from holdfast.store.backends.file.streams import Line, good_lines

__all__ = ("rebuilt",)

_TO_MEND: Final = (0, 1)  # a length and a checksum that no bytes have, so that repair makes the file anew


def rebuilt(disk: Disk, layout: Layout, namespace: str) -> Manifest:
    """Return the manifest that the files and the journal of a namespace speak for.

    It covers exactly the commits before those the journal still has; without one, those that the files tell of.
    """
    there = listed(disk, layout)
    salvaged = [salvage(disk, layout, index) for index in there]
    entities: dict[str, dict[str, Mark]] = {}
    head = 0
    for key, stored, checksum in whole_files(disk, layout):
        entities.setdefault(key.entity_name, {})[key.entity_id] = stored.version, checksum
        head = max(head, stored.sequence)
    head = _before(salvaged, head)
    journaled = {commit.commit_id for found in salvaged for commit in found.commits}
    streams = _streams(disk, layout, journaled)
    first = min(there, default=1)
    return Manifest(namespace, head, first, clean=not there, streams=streams, entities=entities)


def _before(salvaged: Sequence[Salvaged], head: int) -> int:
    """Return the number of the last commit before the journal's: it may have touched only streams."""
    numbers = [commit.number for found in salvaged for commit in found.commits]
    numbers += [found.opened.first for found in salvaged if found.opened is not None]
    return min(numbers) - 1 if numbers else head


def _streams(disk: Disk, layout: Layout, journaled: set[str]) -> dict[str, list[Chunk]]:
    """Return the chunks of every stream: no number is left out, whatever became of its event."""
    streams: dict[str, list[Chunk]] = {}
    for folder, is_folder in disk.folder(layout.streams):
        if is_folder:
            path = f"{layout.streams}/{folder}"
            data = {first: disk.read(f"{path}/{first:016d}.jsonl") for first in _firsts(disk, path)}
            lines = {first: _counted(_own(data[first], layout, path), first, journaled) for first in data}
            found = {first: lines[first] for first in lines if lines[first]}
            if found:
                stream = next(iter(next(iter(found.values())).values())).stream
                streams[stream] = _chunks(data, found)
    return streams


def _own(data: bytes, layout: Layout, path: str) -> dict[int, Line]:
    """Return the whole events of a file, without those of a stream that is kept elsewhere: it was put here."""
    return {n: line for n, line in good_lines(data).items() if layout.stream(line.stream) == path}


def _firsts(disk: Disk, path: str) -> list[int]:
    stems = [name.removesuffix(".jsonl") for name, _ in disk.folder(path) if name.endswith(".jsonl")]
    return sorted(int(stem) for stem in stems if len(stem) == 16 and stem.isdecimal())


def _counted(lines: dict[int, Line], first: int, journaled: set[str]) -> dict[int, Line]:
    """Return the events that the journal will not bring again."""
    again = [number for number, line in lines.items() if line.version in journaled]
    end = min(again, default=max(lines, default=0) + 1)
    return {number: line for number, line in lines.items() if first <= number < end}


def _chunks(data: dict[int, bytes], found: dict[int, dict[int, Line]]) -> list[Chunk]:
    firsts = sorted(found)
    chunks = [Chunk(1, firsts[0] - 1, *_TO_MEND)] if firsts[0] > 1 else []
    for first, following in zip(firsts, [*firsts[1:], 0], strict=True):
        count = (following or max(found[first]) + 1) - first
        whole = sorted(found[first]) == list(range(first, first + count))
        length = sum(map(len, data[first].splitlines(keepends=True)[:count]))
        body = data[first][:length]
        whole = whole and len(good_lines(body)) == count
        chunks.append(Chunk(first, count, *((length, zlib.crc32(body)) if whole else _TO_MEND)))
    return chunks
