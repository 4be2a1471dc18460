"""When a commit id may be forgotten: ten minutes after it was seen, on a clock that cannot be set.

A row's own time stamp is wall time, and a clock that is set forward would make it look old at once. So a process
notes which head it saw when, on its monotonic clock, and forgets what is at or below a head seen eleven minutes ago.
What short-lived processes leave behind is bounded when a store is opened, by age *and* count together.
"""

import sqlite3
from collections import deque
from typing import Final

from holdfast.store.backends.sqlite.reading import Space
from holdfast.store.state import REMEMBERED_SECONDS

__all__ = ("Seen", "forget", "forget_leftovers")

MARGIN: Final = 60.0
EVERY: Final = 30.0
KEPT: Final = 100_000
DAY: Final = 24 * 3600 * 1000
AT_ONCE: Final = 2_000


class Seen:
    """The heads of a namespace that this process has seen, and when (monotonic seconds)."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()

    def note(self, head: int, now: float) -> None:
        """Take down that `head` was there at `now`."""
        if not self._marks or now - self._marks[-1][0] >= EVERY:
            self._marks.append((now, head))

    def forgettable(self, now: float) -> int:
        """Return the highest head whose commits are all older than what must be remembered; 0 for none."""
        while len(self._marks) > 1 and self._is_old(self._marks[1], now):
            self._marks.popleft()
        return self._marks[0][1] if self._marks and self._is_old(self._marks[0], now) else 0

    def _is_old(self, mark: tuple[float, int], now: float) -> bool:
        return now - mark[0] > REMEMBERED_SECONDS + MARGIN


def forget(connection: sqlite3.Connection, space: Space, head: int) -> None:
    """Forget the oldest commit ids up to `head`, some at a time, in the running transaction."""
    connection.execute(
        "DELETE FROM commits WHERE namespace = ?1 AND head IN "
        "(SELECT head FROM commits WHERE namespace = ?1 AND head <= ?2 ORDER BY head LIMIT ?3)",
        (space.number, head, AT_ONCE),
    )


def forget_leftovers(connection: sqlite3.Connection, space: Space, head: int, now: int) -> None:
    """Forget commit ids that are older than a day by wall time, and beyond the newest hundred thousand as well."""
    connection.execute(
        "DELETE FROM commits WHERE namespace = ? AND head <= ? AND at < ?",
        (space.number, head - KEPT, now - DAY),
    )
