"""Reading the journal back: which commits are in it, and whether its end is torn or the store is corrupt.

A frame that is not whole is the torn last batch of a crash, never acknowledged, unless something proves that
it was: a whole frame after it (the next one is written only after the flush of the one before), or a manifest
of a later commit. Then it is corruption, and nothing is touched.
"""

from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct

from holdfast.errors import FromTheFuture
from holdfast.store.backends.file import frames
from holdfast.store.backends.file.disk import Disk
from holdfast.store.backends.file.entries import Committed, Opened, decode_entries
from holdfast.store.backends.file.faults import UNDECODABLE
from holdfast.store.backends.file.findings import corrupt_store
from holdfast.store.backends.file.layout import FORMAT, Layout
from holdfast.store.backends.file.manifest import Manifest
from holdfast.store.backends.file.segments import MAGIC, has_successor, listed, room_end

__all__ = ("Replay", "Segment", "Torn", "entries_of", "read_on", "read_segment", "replay")


class Torn(Struct, frozen=True):
    """The bytes of an unacknowledged batch: in segment `segment`, from `offset` on."""

    segment: int
    offset: int
    data: bytes


class Segment:
    """A segment as it was read: how it opened, its commits, its chain, where and how it ends.

    `last` is its last whole frame. `rest` is what follows that, and `proof` says that a whole frame follows
    what is not whole. `has_successor` says that the next segment was durable.
    """

    def __init__(self, index: int, opened: Opened, first: frames.Frame) -> None:
        self.index = index
        self.opened = opened
        self.commits: list[Committed] = []
        self.first = first
        self.last = first
        self.rest = b""
        self.proof = False
        self.has_successor = False


class Replay(Struct):
    """What the journal says after the manifest: its commits, in order, and where it ends.

    `covered` are commits that the manifest covers and the journal still has. `segments` are those that count.
    """

    commits: list[Committed] = []
    covered: list[Committed] = []
    sequence: int = 0
    checksum: int = 0
    last_segment: int = 0
    segments: list[int] = []
    torn: Torn | None = None
    open_segment: Segment | None = None


def replay(disk: Disk, layout: Layout, manifest: Manifest) -> Replay:
    """Return the commits after the manifest; raises Corrupt or FromTheFuture and changes nothing."""
    there = listed(disk, layout)
    segments = [read_segment(disk, layout, index) for index in there if index >= manifest.segment]
    segments = _that_count(layout, manifest, segments)
    result = Replay(last_segment=max(there, default=0))
    number = manifest.head
    for place, segment in enumerate(segments):
        _check_chain(layout, segments, place)
        for commit in segment.commits:
            if commit.number == number + 1:
                result.commits.append(commit)
                number += 1
            elif commit.number > number:
                raise corrupt_store(layout.segment(segment.index), f"has no commit {number + 1}")
            else:
                result.covered.append(commit)
        result.sequence, result.checksum = segment.last.sequence, segment.last.checksum
        result.segments.append(segment.index)
    if segments:
        result.open_segment = segments[-1]
        _check_end(layout, manifest, segments[-1], result)
    return result


def _that_count(layout: Layout, manifest: Manifest, segments: Sequence[Segment]) -> list[Segment]:
    """Drop what a base segment supersedes; raises Corrupt where a segment is missing."""
    starts = [i for i, s in enumerate(segments) if s.opened.base and s.opened.first <= manifest.head + 1]
    kept = list(segments[starts[-1] :]) if starts else list(segments)
    if not kept and not manifest.clean:
        raise corrupt_store(layout.segment(manifest.segment), "is missing")
    if kept and not starts and kept[0].index != manifest.segment:
        raise corrupt_store(layout.segment(manifest.segment), "is missing")
    for before, after in pairwise(kept):
        if after.index != before.index + 1:
            raise corrupt_store(layout.segment(before.index + 1), "is missing")
    if kept and kept[-1].has_successor:
        raise corrupt_store(layout.segment(kept[-1].index + 1), "is missing: the one before it goes on in it")
    return kept


def _check_chain(layout: Layout, segments: Sequence[Segment], place: int) -> None:
    segment = segments[place]
    path = layout.segment(segment.index)
    if segment.proof:
        raise corrupt_store(
            path, f"is damaged at byte {segment.last.end}, before a batch that was acknowledged"
        )
    if place + 1 == len(segments):
        return
    following = segments[place + 1]
    if following.first.previous != segment.last.checksum:
        raise corrupt_store(
            path, f"is damaged at byte {segment.last.end}: the next segment goes on from another end"
        )


def _check_end(layout: Layout, manifest: Manifest, last: Segment, result: Replay) -> None:
    path = layout.segment(last.index)
    reached = last.commits[-1].number if last.commits else last.opened.first - 1
    if reached < manifest.head and not manifest.clean:
        raise corrupt_store(path, f"is damaged at byte {last.last.end}: the manifest knows of a later commit")
    if last.rest:
        result.torn = Torn(last.index, last.last.end, last.rest)


def read_segment(disk: Disk, layout: Layout, index: int) -> Segment:
    """Return a segment with every whole frame of its chain; raises Corrupt where it has no beginning."""
    path = layout.segment(index)
    data = disk.read(path)
    first = frames.parse(data, len(MAGIC)) if data.startswith(MAGIC) else None
    entries = entries_of(path, first) if first is not None else []
    if first is None or len(entries) != 1 or not isinstance(entries[0], Opened):
        raise corrupt_store(path, "does not begin as a journal segment")
    opened = entries[0]
    if opened.format > FORMAT:
        message = f"{path} has format {opened.format}; this Holdfast reads up to {FORMAT}: upgrade it"
        raise FromTheFuture(message, path=path, found=opened.format, known=FORMAT)
    if len(data) < opened.size:
        raise corrupt_store(path, f"has {len(data)} bytes, and was made with {opened.size}: it lost its end")
    segment = Segment(index, opened, first)
    read_on(path, segment, data)
    return segment


def read_on(path: str, segment: Segment, data: bytes) -> list[Committed]:
    """Take up the frames of `data` (the whole segment) behind those that `segment` has; return what is new."""
    known = len(segment.commits)
    while (frame := _next(segment, data)) is not None:
        for entry in entries_of(path, frame):
            if isinstance(entry, Opened):
                raise corrupt_store(path, f"begins twice, at byte {segment.last.end}")
            segment.commits.append(entry)
        segment.last = frame
    last = segment.last
    segment.rest = data[last.end : room_end(segment.opened.size)].rstrip(b"\0")
    segment.has_successor = has_successor(data, segment.opened.size)
    segment.proof = (
        bool(segment.rest) and frames.find(data, last.salt, last.end, last.sequence + 1) is not None
    )
    return segment.commits[known:]


def _next(segment: Segment, data: bytes) -> frames.Frame | None:
    last = segment.last
    frame = frames.parse(data, last.end)
    if frame is None or frame.salt != last.salt or frame.previous != last.checksum:
        return None
    return frame if frame.sequence == last.sequence + 1 else None


def entries_of(path: str, frame: frames.Frame) -> list[Opened | Committed]:
    """Return what a whole frame of the segment at `path` says; raises Corrupt where that is nothing known."""
    try:
        return list(decode_entries(frame.payload))
    except UNDECODABLE as error:
        raise corrupt_store(path, f"has a batch that is none, before byte {frame.end} ({error})") from error
