"""The commits of several streams, in an order in which each stream is as it was: a commit is whole, or not yet due.

Streams say which commit made each event, and all of them are in the order of commits. So a commit is due once it is the
next one in every stream that it has events in.
"""

from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from itertools import takewhile
from typing import Final

from msgspec import Struct

from holdfast.store.base import Event, Store, Version

__all__ = ("Copy", "Merge")

PAGE: Final = 200


class Copy(Struct, frozen=True):
    """A commit's events; `alone` says that no other commit had its id, so that it can be used again."""

    version: Version
    events: Sequence[Event]
    alone: bool = True


class Merge:
    """Yields the commits of some streams, oldest first; `chosen` says how much of a page, from its start, is wanted.

    It counts each commit's events before, in memory. `twice` are ids that cannot be those of one commit each.
    """

    def __init__(self, store: Store, chosen: Callable[[Sequence[Event]], Awaitable[list[Event]]]) -> None:
        self.twice: set[Version] = set()
        self._store = store
        self._chosen = chosen
        self._counts: Counter[Version] = Counter()
        self._streams: list[_Cursor] = []

    async def add(self, stream: str, *, after: int) -> None:
        """Take a stream in, from behind event `after`."""
        start, last = after, after
        while page := [event async for event in self._store.read(stream, after=last, limit=PAGE)]:
            taken = await self._chosen(page)
            self._counts.update(event.version for event in taken)
            last += len(taken)
            if len(taken) < len(page):
                break
        if last > start:
            self._streams.append(_Cursor(self._store, stream, start, last))

    async def copies(self) -> AsyncIterator[Copy]:
        """Yield every commit once, when it is due."""
        waiting: dict[Version, list[_Cursor]] = {}
        found: Counter[Version] = Counter()
        moved = self._streams
        while moved or waiting:
            for cursor in moved:
                if run := await cursor.run():
                    version = run[0].version
                    waiting.setdefault(version, []).append(cursor)
                    found[version] += len(run)
            due = [version for version in waiting if found[version] >= self._counts[version]]
            alone = bool(due)
            if not due and waiting:  # an id that was used twice: one of its runs goes by itself
                due = [next(iter(waiting))]
                self.twice.update(due)
            moved = []
            for version in due:
                cursors = waiting.pop(version)
                events = [event for cursor in cursors for event in cursor.take()]
                self._counts[version] -= len(events)
                del found[version]
                moved += cursors
                yield Copy(version, events, alone=alone and version not in self.twice)


class _Cursor:
    """Where a stream has got to: its next events, a page at a time."""

    def __init__(self, store: Store, stream: str, after: int, last: int) -> None:
        self._store = store
        self._stream = stream
        self._after = after
        self._last = last
        self._events: deque[Event] = deque()

    async def run(self) -> list[Event]:
        """Return the next events that are of one commit; none at the end."""
        events = self._events
        while self._after < self._last and (not events or events[0].version == events[-1].version):
            limit = min(PAGE, self._last - self._after)
            events.extend(
                [event async for event in self._store.read(self._stream, after=self._after, limit=limit)]
            )
            self._after += limit
        return self._next()

    def take(self) -> list[Event]:
        """Return the same, and go on behind them."""
        run = self._next()
        for _ in run:
            self._events.popleft()
        return run

    def _next(self) -> list[Event]:
        events = self._events
        return list(takewhile(lambda event: event.version == events[0].version, events))
