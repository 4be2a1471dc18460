"""What a run holds of its store: the seats that nobody else trades while it runs.

`Hold` is that of a store which one process at a time can open; `holdfast.store.lease` is the one of all others.
"""

from collections.abc import Callable, Iterable
from typing import Self

from holdfast.errors import Conflict, LeaseLost
from holdfast.store.base import Change
from holdfast.store.workers import Seating

__all__ = ("Hold", "Waiting")

Waiting = Callable[[str], None]
"""What is told why somebody waits."""


class Hold:
    """What a run holds of a store that no other process can open: all seats, for as long as it runs."""

    async def take(
        self, seats: Iterable[Seating], *, wait: bool = False, waiting: Waiting = lambda reason: None
    ) -> None:
        """Become the one who trades these seats."""

    async def held_by_others(self, seats: Iterable[Seating]) -> set[Seating]:
        """Return which of these seats another, living process trades."""
        return set()

    def checks(self, seats: Iterable[Seating]) -> list[Change]:
        """Return what a commit about these seats must check."""
        return []

    def check(self) -> None:
        """Raise LeaseLost where somebody else has taken over."""

    def lost(self, error: Conflict) -> LeaseLost | None:
        """Return the LeaseLost that a Conflict amounts to, None where it is about something else."""

    async def ensure(self, seconds: float) -> None:
        """Return while nobody else can take the seats for longer than that."""

    async def retake(self) -> None:
        """Take all seats anew, in a store that has lost what was held in it."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None
