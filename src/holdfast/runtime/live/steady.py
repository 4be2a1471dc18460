"""The store as a run sees it: patient with one that is away for a while, and settling what is unknown.

Reads are asked again; a commit whose outcome is unknown is repeated under its id. Everybody is told of the trouble.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Final, TypeVar
from weakref import WeakKeyDictionary

from holdfast import points
from holdfast.errors import Conflict, NotOpen, Unavailable, WentBack
from holdfast.store import Change, CommitId, Event, Key, Names, Record, Store
from holdfast.store.wrappers.base import Wrapper
from holdfast.system import Clock, Ids

__all__ = ("Steady",)

T = TypeVar("T")

ATTEMPTS: Final = 8
FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 10.0
PAGE: Final = 500


_RENEWALS: Final[WeakKeyDictionary[Store, int]] = WeakKeyDictionary()
"""How often each store of this process was opened anew because it had gone back."""


class Steady(Wrapper):
    """A store that is asked again, with back-off, while it is Unavailable; raises that after bounded attempts.

    The user of the run opens and closes what is inside. Several runs of a process may use it: where one of them
    `renew`s it, nothing inside can tell the others any more that it went back, so this does (WentBack, until they
    `renew`).
    """

    def __init__(
        self,
        inner: Store,
        *,
        clock: Clock,
        ids: Ids,
        trouble: Callable[[Exception, bool], None] = lambda error, again: None,
        recovered: Callable[[float, Exception], None] = lambda seconds, error: None,
    ) -> None:
        super().__init__(inner)
        self.trouble = trouble
        self.recovered = recovered
        self._clock = clock
        self._ids = ids
        self._backend = _innermost(inner)
        self._renewals = self._renewed()

    def check(self) -> None:
        """Raise WentBack where another run has found that the store went back, and this one has not yet seen it."""
        if self._renewals != self._renewed():
            raise WentBack(
                f"{self.url} has lost acknowledged commits, as another run of this process was told: compare with "
                "the exchange"
            )

    def _renewed(self) -> int:
        return _RENEWALS.get(self._backend, 0)

    async def get(self, *keys: Key) -> list[Record | None]:
        """Return the records of `keys` in their order, from one consistent durable snapshot."""
        return await self.patiently(partial(self.inner.get, *keys))

    async def scan(
        self, entity_name: str, *, after: str | None = None, limit: int | None = None
    ) -> AsyncIterator[Record]:
        """Yield the records of an entity name by id, a page at a time."""
        while limit is None or limit > 0:
            size = PAGE if limit is None else min(PAGE, limit)
            page = await self.patiently(partial(self._records, entity_name, after, size))
            for record in page:
                yield record
            if len(page) < size:
                return
            after, limit = page[-1].key.entity_id, None if limit is None else limit - len(page)

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> AsyncIterator[Event]:
        """Yield the events of a stream, oldest first, a page at a time."""
        while limit is None or limit > 0:
            size = PAGE if limit is None else min(PAGE, limit)
            page = await self.patiently(partial(self._events, stream, after, size))
            for event in page:
                yield event
            if len(page) < size:
                return
            after, limit = page[-1].number, None if limit is None else limit - len(page)

    async def names(self) -> Names:
        """Return the entity names that have records, and the streams that have events."""
        return await self.patiently(self.inner.names)

    async def last_number(self, stream: str) -> int:
        """Return the number of a stream's newest event, 0 where it has none."""
        return await self.patiently(partial(self.inner.last_number, stream))

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        """Make all changes or none; an unknown outcome is settled by repeating the commit under its id."""
        commit_id = self._ids() if commit_id is None else commit_id
        return await self.patiently(partial(self.inner.commit, changes, commit_id=commit_id, vital=vital))

    async def renew(self) -> None:
        """Open what is inside anew, so that what it holds now is believed: after it went back."""
        if self._renewals == self._renewed():
            self._renewals = _RENEWALS[self._backend] = self._renewed() + 1
            await self.inner.close()
        self._renewals = self._renewed()
        await self.patiently(self.inner.open)

    async def patiently(self, act: Callable[[], Awaitable[T]]) -> T:
        """Return what `act` returns, done again while the store is away; raises the last Unavailable or NotOpen."""
        pause = FIRST_PAUSE
        away: tuple[float, Exception] | None = None
        for attempt in range(ATTEMPTS):
            self.check()
            try:
                done = await act()
            except Conflict:
                self.check()  # then it is no sign of somebody else
                self._back(away)
                raise
            except (Unavailable, NotOpen) as error:
                again = attempt < ATTEMPTS - 1 and error.facts.get("retryable", True)
                self.trouble(error, again)
                away = away or (self._clock.monotonic(), error)
                if not again:
                    raise
            else:
                self._back(away)
                return done
            await self._clock.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
            await self._reopen()
        raise AssertionError("unreachable")

    def _back(self, away: tuple[float, Exception] | None) -> None:
        if away is not None:
            since, error = away
            self.recovered(self._clock.monotonic() - since, error)

    async def _reopen(self) -> None:
        points.reached("live.store-reopening")
        try:
            # A store that failed (a flush, a lost disk) recovers by opening anew: never by trying the same file
            # again. A server's finds its way back by itself, and other runs of this process use it meanwhile.
            if not self.shared:
                await self.inner.close()
            await self.inner.open()
        except Unavailable as error:  # the next attempt says so again, and the last one raises
            self.trouble(error, True)

    async def _records(self, entity_name: str, after: str | None, limit: int) -> list[Record]:
        return [record async for record in self.inner.scan(entity_name, after=after, limit=limit)]

    async def _events(self, stream: str, after: int, limit: int) -> list[Event]:
        return [event async for event in self.inner.read(stream, after=after, limit=limit)]


def _innermost(store: Store) -> Store:
    """Return what the wrappers of a store are around: the same one for all who use it."""
    while isinstance(store, Wrapper):
        store = store.inner
    return store
