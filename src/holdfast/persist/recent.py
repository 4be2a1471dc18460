"""Which commits were made lately, so that one that is repeated changes nothing.

The newest ids stand in the redo entity, which every commit writes anyway. When they become many, the next commit
moves them to a page of their own, into the place of a page that is old enough, or a new one.
"""

from typing import Final

from msgspec import Struct

__all__ = ("Entry", "Recent", "Tail", "page_id")

REMEMBERED: Final = 20 * 60_000  # twice the promise, in wall time: clocks are set now and then
PAGE: Final = 64

Entry = tuple[str, int]


class Tail(Struct, frozen=True):
    """The newest commit ids with their times (ms), and when the newest one of each page was made."""

    entries: tuple[Entry, ...] = ()
    pages: tuple[int, ...] = ()


class Recent:
    """The ids of recent commits."""

    def __init__(self, tail: Tail | None = None) -> None:
        self.tail = tail or Tail()
        self._since: dict[str, int] = {}
        self._add(self.tail.entries)

    def __contains__(self, commit_id: str) -> bool:
        return commit_id in self._since

    def pages(self, now: int) -> list[int]:
        """Return which pages hold ids that are still to be remembered."""
        return [page for page, newest in enumerate(self.tail.pages) if newest >= now - REMEMBERED]

    def load(self, entries: list[Entry]) -> None:
        """Remember the ids of a page."""
        self._add(tuple((commit_id, at) for commit_id, at in entries))

    def staged(self, commit_id: str, now: int) -> tuple[Tail, int | None]:
        """Return the tail as it will be with one more commit, and the page the old one moves to, if it does."""
        if len(self.tail.entries) < PAGE:
            return Tail((*self.tail.entries, (commit_id, now)), self.tail.pages), None
        page = self._free(now)
        newest = max(at for _, at in self.tail.entries)
        return Tail(
            ((commit_id, now),), (*self.tail.pages[:page], newest, *self.tail.pages[page + 1 :])
        ), page

    def adopt(self, tail: Tail) -> None:
        """Take the tail of a commit that was made, and forget what is older than needs be."""
        self.tail = tail
        self._add(tail.entries[-1:])
        newest = tail.entries[-1][1]
        while next(iter(self._since.values())) < newest - REMEMBERED:
            del self._since[next(iter(self._since))]

    def _free(self, now: int) -> int:
        old = [page for page, newest in enumerate(self.tail.pages) if newest < now - REMEMBERED]
        return old[0] if old else len(self.tail.pages)

    def _add(self, entries: tuple[Entry, ...]) -> None:
        self._since.update(entries)


def page_id(page: int) -> str:
    """Return the id of the row that holds a page."""
    return f"commits-{page}"
