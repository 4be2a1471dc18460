"""A manifest made anew, where it was lost: from the files that are whole by their own checksums."""

import zlib

from holdfast.store.backends.file.disk import Disk
from holdfast.store.backends.file.files import SUFFIX, Mark, Unreadable, parse
from holdfast.store.backends.file.layout import Layout
from holdfast.store.backends.file.manifest import Chunk, Manifest
from holdfast.store.backends.file.replay import salvage
from holdfast.store.backends.file.segments import listed
from holdfast.store.backends.file.streams import good_lines

__all__ = ("rebuilt",)


def rebuilt(disk: Disk, layout: Layout, namespace: str) -> Manifest:
    """Return the manifest that the files and the journal of a namespace speak for.

    It covers exactly the commits before those the journal still has, as far as the files tell.
    """
    entities, head = _entities(disk, layout)
    there = listed(disk, layout)
    numbers = [commit.number for index in there for commit in salvage(disk, layout, index)[0]]
    if numbers:
        head = min(head, min(numbers) - 1)
    streams = _streams(disk, layout, _versions(disk, layout, there))
    first = min(there, default=1)
    return Manifest(namespace, head, first, clean=not there, streams=streams, entities=entities)


def _entities(disk: Disk, layout: Layout) -> tuple[dict[str, dict[str, Mark]], int]:
    entities: dict[str, dict[str, Mark]] = {}
    head = 0
    for folder, is_folder in disk.folder(layout.root):
        if is_folder and not folder.startswith("."):
            for name, is_nested in disk.folder(f"{layout.root}/{folder}"):
                if is_nested or name.startswith(".") or not name.endswith(SUFFIX):
                    continue
                path = f"{layout.root}/{folder}/{name}"
                try:
                    key, stored, checksum = parse(disk.read(path), path)
                except Unreadable:  # found again by `load`, which names it
                    continue
                entities.setdefault(key.entity_name, {})[key.entity_id] = stored.version, checksum
                head = max(head, stored.sequence)
    return entities, head


def _versions(disk: Disk, layout: Layout, there: list[int]) -> set[str]:
    """Return the ids of the commits that the journal will apply: their events are not counted twice."""
    return {commit.commit_id for index in there for commit in salvage(disk, layout, index)[0]}


def _streams(disk: Disk, layout: Layout, journaled: set[str]) -> dict[str, list[Chunk]]:
    """Return the chunks of every stream, as far as their events are whole."""
    streams: dict[str, list[Chunk]] = {}
    for folder, is_folder in disk.folder(layout.streams):
        if is_folder:
            path = f"{layout.streams}/{folder}"
            for name in sorted(name for name, _ in disk.folder(path) if name.endswith(".jsonl")):
                chunk, stream = _chunk(
                    disk.read(f"{path}/{name}"), int(name.removesuffix(".jsonl")), journaled
                )
                if chunk.count:
                    streams.setdefault(stream, []).append(chunk)
    return streams


def _chunk(data: bytes, first: int, journaled: set[str]) -> tuple[Chunk, str]:
    length = count = 0
    stream = ""
    for piece in data.splitlines(keepends=True):
        line = good_lines(piece).get(first + count)
        if line is None or line.version in journaled:
            break
        stream = line.stream
        count += 1
        length += len(piece)
    return Chunk(first, count, length, zlib.crc32(data[:length])), stream
