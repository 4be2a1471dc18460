"""Commits between being asked for and being durable: later ones are checked against them, no one sees them."""

import asyncio
from collections.abc import Callable, Sequence

from holdfast.store.backends.file.applying import records
from holdfast.store.backends.file.entries import Committed
from holdfast.store.base import CommitId, Key, Version

__all__ = ("Pending", "Staging")


class Pending:
    """A commit on its way to the disk, its journal line, what its keys will be, and everyone who waits for it."""

    __slots__ = ("changed", "commit", "line", "waiters")

    def __init__(self, commit: Committed, line: bytes) -> None:
        self.commit = commit
        self.line = line
        self.changed = records(commit)
        self.waiters: list[asyncio.Future[None]] = []

    def version(self, key: Key) -> Version | None:
        """Return what version a key of this commit will be at, None where it will be absent."""
        stored = self.changed[key]
        return None if stored is None else stored.version

    def durable(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
        """Return a future of the caller's own: cancelling it cancels nobody else's, nor the commit."""
        waiter: asyncio.Future[None] = loop.create_future()
        self.waiters.append(waiter)
        return waiter

    def succeed(self) -> None:
        """Tell everyone who waits that the commit is durable."""
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)

    def fail(self, error: Callable[[], Exception]) -> None:
        """Tell everyone who waits that it is not, as far as is known; each gets an error of its own."""
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_exception(error())


class Staging:
    """The commits on their way, in order, and which of them each key that they touch was last touched by."""

    def __init__(self) -> None:
        self.commits: dict[CommitId, Pending] = {}
        self._keys: dict[Key, Pending] = {}

    def find(self, key: Key) -> Pending | None:
        """Return the commit that will leave `key` as it will be; None where none touches it."""
        return self._keys.get(key)

    def add(self, pending: Pending) -> None:
        """Stage a commit behind all others."""
        self.commits[pending.commit.commit_id] = pending
        for key in pending.changed:
            self._keys[key] = pending

    def settle(self, batch: Sequence[Pending]) -> None:
        """Take out commits that are durable."""
        for pending in batch:
            del self.commits[pending.commit.commit_id]
            for key in pending.changed:
                if self._keys[key] is pending:
                    del self._keys[key]

    def clear(self) -> list[Pending]:
        """Take out all commits and return them, in order."""
        taken = list(self.commits.values())
        self.commits.clear()
        self._keys.clear()
        return taken
