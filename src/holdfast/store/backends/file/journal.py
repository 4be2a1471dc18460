"""The journal: where a commit becomes durable. Append a frame, flush, and only then say so.

The next frame is written only after the flush of the one before returned: a good frame therefore proves that
all before it were acknowledged. After a failed write or flush nothing is tried again on that file.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

from msgspec import structs

from holdfast import points
from holdfast.store.backends.file import frames
from holdfast.store.backends.file.disk import Disk
from holdfast.store.backends.file.entries import Committed, Opened, encode_entry
from holdfast.store.backends.file.layout import FORMAT, Layout
from holdfast.store.backends.file.segments import MAGIC, SUCCESSOR, Spare, mark_successor
from holdfast.system import Ids

__all__ = ("FRAME_BYTES", "Journal")

FRAME_BYTES: Final = 1 << 20


class Journal:
    """The open journal of one process: it appends to one segment at a time. Used by one thread at a time."""

    def __init__(self, disk: Disk, layout: Layout, ids: Ids, spare: Spare) -> None:
        self._disk = disk
        self._layout = layout
        self._ids = ids
        self._spare = spare
        self._fd = -1
        self._size = self._offset = self._sequence = self._checksum = 0
        self._salt = b""
        self.segment = 0

    def start(self, segment: int, sequence: int, head: int, commits: Sequence[Committed]) -> None:
        """Begin segment number `segment` with all `commits` after `head`, flushed, under its own name."""
        self._sequence = sequence
        batches = [b"\n".join(lines) for lines in _batches([encode_entry(commit) for commit in commits])]
        room = sum(frames.HEADER_BYTES + len(batch) for batch in batches)
        self._begin(segment, Opened(FORMAT, segment, head + 1, base=True), batches, room)

    def go_on(self, segment: int, sequence: int, checksum: int, first: int) -> None:
        """Begin segment number `segment` behind the last one, where that ended; commits in it start at `first`."""
        self._sequence, self._checksum = sequence, checksum
        self._begin(segment, Opened(FORMAT, segment, first, base=False), [], 0)
        fd = self._disk.open(self._layout.segment(segment - 1), write=True)
        try:
            mark_successor(self._disk, fd)
        finally:
            self._disk.close(fd)

    def append(self, lines: Sequence[bytes], first: int) -> int:
        """Make the lines durable as one frame and return the segment it is in.

        Raises StoreFull before anything was written; after an OSError this journal must not be used again.
        """
        payload = b"\n".join(lines)
        need = frames.HEADER_BYTES + len(payload)
        if self._offset + need > self._size:
            following = self.segment + 1
            self._begin(following, Opened(FORMAT, following, first, base=False), [], need)
        self._write([payload])
        points.reached("journal.frame-written")
        self._disk.flush(self._fd)
        points.reached("journal.flushed")
        return self.segment

    def close(self) -> None:
        """Close the segment; everything appended is durable already."""
        if self._fd >= 0:
            self._disk.close(self._fd)
            self._fd = -1

    def _begin(self, segment: int, opened: Opened, batches: Sequence[bytes], room: int) -> None:
        """Go on in a new segment that is durable, and has its name, before the old one says so and is closed."""
        old = self._fd
        path = self._create(opened, batches, room)
        try:
            self._disk.flush(self._fd)  # a segment has its name only once its first frame is durable
            points.reached("segment.created")
            self._disk.rename(path, self._layout.segment(segment))
            self._disk.flush_folder(self._layout.journal)  # else a commit in it could lose its segment's name
            points.reached("segment.named")
            if old >= 0:
                mark_successor(self._disk, old)
        finally:
            if old >= 0:
                self._disk.close(old)
        self.segment = segment

    def _create(self, opened: Opened, batches: Sequence[bytes], room: int) -> str:
        """Write the beginning of a segment to a spare, and return its path."""
        longest = len(encode_entry(structs.replace(opened, size=1 << 62)))
        need = len(MAGIC) + frames.HEADER_BYTES + longest + room + len(SUCCESSOR)
        fd, path = self._spare.take(need)
        size = self._disk.size(fd)
        self._fd, self._size, self._offset = fd, size - len(SUCCESSOR), len(MAGIC)
        self._salt = hashlib.blake2b(self._ids().encode(), digest_size=frames.SALT_BYTES).digest()
        self._disk.write(fd, MAGIC, 0)
        self._write([encode_entry(structs.replace(opened, size=size)), *batches])
        return path

    def _write(self, payloads: Sequence[bytes]) -> None:
        for payload in payloads:
            frame, checksum = frames.pack(self._salt, self._sequence + 1, self._checksum, payload)
            self._disk.write(self._fd, frame, self._offset)
            self._sequence += 1
            self._checksum = checksum
            self._offset += len(frame)


def _batches(lines: Sequence[bytes]) -> list[list[bytes]]:
    batches: list[list[bytes]] = []
    size = FRAME_BYTES
    for line in lines:
        if size + len(line) > FRAME_BYTES:
            batches.append([])
            size = 0
        batches[-1].append(line)
        size += len(line)
    return batches
