"""Commits between being asked for and being durable: later ones are checked against them, no one sees them."""

import asyncio
from collections.abc import Callable

from holdfast.store.backends.file.entries import Committed
from holdfast.store.base import CommitId, Key, Version
from holdfast.store.changes import Added, Wrote

__all__ = ("Pending", "Staging")


class Pending:
    """A commit on its way to the disk, its journal line, and everyone who waits for it."""

    __slots__ = ("commit", "keys", "line", "waiters")

    def __init__(self, commit: Committed, line: bytes) -> None:
        self.commit = commit
        self.line = line
        self.keys: list[Key] = []
        self.waiters: list[asyncio.Future[None]] = []

    def durable(self) -> asyncio.Future[None]:
        """Return a future of the caller's own: cancelling it cancels nobody else's, nor the commit."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
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
    """The commits on their way, in order, and what the keys they touch will be."""

    def __init__(self) -> None:
        self.commits: dict[CommitId, Pending] = {}
        self._keys: dict[Key, tuple[Version | None, Pending]] = {}

    def find(self, key: Key) -> tuple[Version | None, Pending] | None:
        """Return what `key` will be, and the commit that makes it so; None where none touches it."""
        return self._keys.get(key)

    def add(self, pending: Pending) -> None:
        """Stage a commit behind all others."""
        commit = pending.commit
        self.commits[commit.commit_id] = pending
        for effect in commit.effects:
            if not isinstance(effect, Added):
                version = commit.commit_id if isinstance(effect, Wrote) else None
                key = Key(effect.entity_name, effect.entity_id)
                self._keys[key] = (version, pending)
                pending.keys.append(key)

    def settle(self, pending: Pending) -> None:
        """Take out a commit that is durable."""
        del self.commits[pending.commit.commit_id]
        for key in pending.keys:
            if self._keys[key][1] is pending:
                del self._keys[key]

    def clear(self) -> list[Pending]:
        """Take out all commits and return them, in order."""
        taken = list(self.commits.values())
        self.commits.clear()
        self._keys.clear()
        return taken
