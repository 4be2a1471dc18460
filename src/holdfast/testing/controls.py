"""Negative controls: designs that lose or double orders, to show that the proof would notice.

Each function breaks this process, on purpose, in one way. A child of the nursery calls it as a patch:
`nursery.live(…, patches=["holdfast.testing.controls:without_look_up"])`.
"""

from collections import Counter
from typing import Any, Final

from holdfast import points
from holdfast.runtime.live.ledger import Ledger
from holdfast.runtime.live.orders import Orders
from holdfast.store.backends.file import store as file_store
from holdfast.store.backends.file.disk import Disk

__all__ = ("CONTROLS", "EFFECT_FIRST", "HONEST_DISK", "LYING_DISK", "NO_LOOK_UP", "BufferedDisk", "LyingDisk")

NO_LOOK_UP: Final = "holdfast.testing.controls:without_look_up"
EFFECT_FIRST: Final = "holdfast.testing.controls:effect_before_commit"
HONEST_DISK: Final = "holdfast.testing.controls:buffered_disk"
LYING_DISK: Final = "holdfast.testing.controls:lying_disk"

HONEST_FLUSHES: Final = 4

CONTROLS: Final = (NO_LOOK_UP, EFFECT_FIRST, LYING_DISK)
"""The patches that must not go unnoticed."""


def without_look_up() -> None:
    """Take every order that may have been sent for one that was not: after a crash it is sent again."""

    async def not_found(*_: Any) -> None:
        return None

    Orders._find = not_found  # type: ignore[method-assign,assignment]


def effect_before_commit() -> None:
    """Send an order before its intent is committed, as most bots do."""
    commit = Ledger.commit

    async def send_first(self: Ledger, drafts: Any, *arguments: Any, **options: Any) -> None:
        for seat, draft in drafts:
            intent = draft.book.row.intent if draft.book.row is not None else None
            known = seat.book.row.intent if seat.book is not None and seat.book.row is not None else None
            if intent is not None and intent.order is not None and known is None:
                await _BROKER[-1].submit(intent.order)
                here = points.reached  # a point of the runtime, not one of this module
                here("orders.sent")
        await commit(self, drafts, *arguments, **options)
        for seat, _ in drafts:
            seat.unsent = None  # it has been sent, so it is looked for

    init = Orders.__init__

    def remember(self: Orders, broker: Any, *arguments: Any, **options: Any) -> None:
        _BROKER.append(broker)
        init(self, broker, *arguments, **options)

    Orders.__init__ = remember  # type: ignore[method-assign]
    Ledger.commit = send_first  # type: ignore[method-assign]


_BROKER: list[Any] = []


class BufferedDisk(Disk):
    """A disk with a volatile cache: what is written is on it once it is flushed, or its file closed."""

    def __init__(self) -> None:
        self._cache: dict[int, list[tuple[bytes, int]]] = {}

    def write(self, fd: int, data: bytes, offset: int) -> None:
        """Keep what is written in the cache."""
        self._cache.setdefault(fd, []).append((bytes(data), offset))

    def flush(self, fd: int) -> None:
        """Write the cache out, and flush that."""
        self._out(fd)
        super().flush(fd)

    def flush_all(self, path: str) -> bool:
        """Write the whole cache out, and flush that."""
        for fd in list(self._cache):
            self._out(fd)
        return super().flush_all(path)

    def close(self, fd: int) -> None:
        """Write the cache out, and close the file."""
        self._out(fd)
        super().close(fd)

    def _out(self, fd: int) -> None:
        for data, offset in self._cache.pop(fd, ()):
            super().write(fd, data, offset)


class LyingDisk(BufferedDisk):
    """A disk that flushes a file a few times and then only says so: what a journal without `fdatasync` amounts to."""

    def __init__(self) -> None:
        super().__init__()
        self._flushes: Counter[int] = Counter()

    def flush(self, fd: int) -> None:
        """Flush, so that there is something; after some times do nothing, and say that it is done."""
        self._flushes[fd] += 1
        if self._flushes[fd] <= HONEST_FLUSHES:
            super().flush(fd)

    def close(self, fd: int) -> None:
        """Write the cache out, and close the file."""
        del self._flushes[fd]
        super().close(fd)


def buffered_disk() -> None:
    """Let file stores be on a disk whose unflushed writes die with the process."""
    setattr(file_store, "Disk", BufferedDisk)  # noqa: B010  # it is no name of that module's own


def lying_disk() -> None:
    """Let file stores be on a disk that does not flush."""
    setattr(file_store, "Disk", LyingDisk)  # noqa: B010
