"""The world of one run: its time, all that is to happen in it, the chances it takes, and the trace of what happened.

Everything happens one thing after the other, in an order that follows from the seed alone.
"""

import hashlib
import random
from collections import Counter, deque
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Final, Protocol

from holdfast.errors import HoldfastError

__all__ = ("Deed", "Gone", "Stuck", "World")

MOST: Final = 400_000
"""Deeds in one run: more than any run needs that comes to an end."""


class Gone(BaseException):
    """Raised in a process that was killed, by everything through which it could still reach the world."""


class Stuck(HoldfastError):
    """A run that does not come to its end."""


class Deed(Protocol):
    """Something that is to happen, unless it is called off; `asyncio.Handle` is one."""

    def cancelled(self) -> bool:
        """Whether it was called off."""

    def _run(self) -> None: ...


class Owner(Protocol):
    """Whose deed it is: it may be dead, or asleep, when the deed is due."""

    def perform(self, deed: Deed) -> None:
        """Let it happen, unless that cannot be any more."""


class World:
    """Time, and what happens in it. `over` ends a run; `counts` are of whatever anybody counts, `told` of the trace."""

    def __init__(self, seed: str, *, trace: bool = False) -> None:
        self.seed = seed
        self.now = 0.0
        self.told = 0
        self.over = False
        self.running: Owner | None = None
        self.counts: Counter[str] = Counter()
        self.trace: list[str] | None = [] if trace else None
        self._digest = hashlib.blake2b(digest_size=8)
        self._numbers = count()
        self._due: list[tuple[float, int, Owner | None, Deed | Callable[[], object]]] = []
        self._ready: deque[tuple[Owner, Deed]] = deque()

    def chance(self, name: str) -> random.Random:
        """Return a source of chances of its own: what others draw changes nothing in it."""
        return random.Random(f"{self.seed}/{name}")  # noqa: S311  # repeatable on purpose

    def tell(self, who: str, what: str) -> None:
        """Add a line to the trace, kept or not: the digest is over all of them."""
        self.told += 1
        line = f"{self.now:.6f} {who} {what}"
        self._digest.update(line.encode())
        if self.trace is not None:
            self.trace.append(line)

    @property
    def digest(self) -> str:
        """A number for all that has happened: two runs with the same one are the same."""
        return self._digest.hexdigest()

    def soon(self, owner: Owner, deed: Deed) -> None:
        """Let a deed happen next, behind those that are next already."""
        self._ready.append((owner, deed))

    def at(self, when: float, owner: Owner, deed: Deed) -> None:
        """Let a deed of somebody happen at a time."""
        heappush(self._due, (when, next(self._numbers), owner, deed))

    def after(self, seconds: float, act: Callable[[], object]) -> None:
        """Let something happen to the world itself."""
        heappush(self._due, (self.now + seconds, next(self._numbers), None, act))

    def end(self) -> None:
        """Forget all that was still to happen."""
        self._due.clear()
        self._ready.clear()

    def run(self, *, limit: float) -> None:
        """Let things happen until the world is `over`; raises Stuck where it never is, or not in `limit` seconds."""
        for _ in range(MOST):
            if self.over:
                return
            if self._ready:
                owner, deed = self._ready.popleft()
                owner.perform(deed)
            else:
                self._next(limit)
        raise Stuck(f"still going on after {MOST} deeds, at {self.now:.3f} s")

    def _next(self, limit: float) -> None:
        if not self._due:
            raise Stuck(f"nothing is left to happen, at {self.now:.3f} s")
        when, _, owner, deed = heappop(self._due)
        if owner is not None and deed.cancelled():  # type: ignore[union-attr]
            return
        self.now = max(self.now, when)
        if self.now > limit:
            raise Stuck(f"not at its end after {limit:.0f} s")
        if owner is None:
            deed()  # type: ignore[operator]
        else:
            owner.perform(deed)  # type: ignore[arg-type]
