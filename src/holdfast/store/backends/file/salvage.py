"""What is still whole in a damaged segment of the journal: every frame stands for itself."""

from msgspec import Struct, field

from holdfast.errors import Corrupt
from holdfast.store.backends.file import frames
from holdfast.store.backends.file.disk import Disk
from holdfast.store.backends.file.entries import Committed, Opened
from holdfast.store.backends.file.layout import Layout
from holdfast.store.backends.file.replay import entries_of
from holdfast.store.backends.file.segments import MAGIC, room_end

__all__ = ("Salvaged", "salvage")


class Salvaged(Struct):
    """What a segment still says: how it began, if that is whole, and its commits; `whole` if all of it is."""

    opened: Opened | None = None
    commits: list[Committed] = field(default_factory=list)
    whole: bool = True


def salvage(disk: Disk, layout: Layout, index: int) -> Salvaged:
    """Return every commit of a segment that is whole, whatever is between them."""
    path = layout.segment(index)
    data = disk.read(path)
    end = len(MAGIC)
    result = Salvaged(whole=data.startswith(MAGIC))
    salt = _salt(data)
    while salt.strip(b"\0") and (frame := frames.find(data, salt, end, 0)) is not None:
        result.whole = result.whole and frame.end - len(frame.payload) - frames.HEADER_BYTES == end
        _take(result, path, frame)
        end = frame.end
    size = 0 if result.opened is None else result.opened.size
    rest = data[end : room_end(size)]
    result.whole = result.whole and result.opened is not None and len(data) >= size and not rest.strip(b"\0")
    return result


def _salt(data: bytes) -> bytes:
    """Return the salt of a segment's frames: of the first one, or of the next where that is damaged."""
    start = len(MAGIC)
    first = frames.parse(data, start)
    if first is None and len(data) >= start + frames.HEADER_BYTES:
        following = frames.parse(data, frames.claimed_end(data, start))
        return data[start : start + frames.SALT_BYTES] if following is None else following.salt
    return data[start : start + frames.SALT_BYTES]


def _take(result: Salvaged, path: str, frame: frames.Frame) -> None:
    try:
        entries = entries_of(path, frame)
    except Corrupt:
        result.whole = False
        return
    for entry in entries:
        if isinstance(entry, Opened):
            result.opened = entry
        else:
            result.commits.append(entry)
