"""Connections that are made when they are needed and again when they are gone: one for commits, a few for reads."""

import asyncio
from collections.abc import Sequence
from typing import Any

from holdfast.errors import NotOpen
from holdfast.store.backends.postgres.faults import NotNow, explained
from holdfast.store.backends.postgres.reaching import Reach
from holdfast.store.backends.postgres.session import Session
from holdfast.system import Clock

__all__ = ("CommitLine", "ReadLines")


class CommitLine:
    """The one connection that commits.

    What an earlier one has sent and nobody knows the end of is fenced off before the next is used: behind that, it
    either has been carried out, which can be seen, or never will be.
    """

    def __init__(self, reach: Reach, *, clock: Clock) -> None:
        self._reach = reach
        self._clock = clock
        self._session: Session | None = None
        self._unsettled: list[str] = []

    async def open(self) -> None:
        """Connect, making tables and namespace if need be."""
        self._session = await self._reach.session(create=True)

    async def session(self, within: float) -> Session:
        """Return a connection that is alive and fit, in at most that many seconds; raises what `Reach` does."""
        timeouts = self._reach.options.timeouts
        deadline = self._clock.monotonic() + within
        if self._session is not None and await self._session.lives(min(timeouts.connect, within)):
            return self._session
        left = max(deadline - self._clock.monotonic(), 0.001)
        session = await self._reach.session(within=min(timeouts.connect, left))
        await self._fence(session, max(deadline - self._clock.monotonic(), 0.001))
        self._session = session
        return session

    def doubt(self, session: Session) -> None:
        """Cut a connection whose commit may have happened, and fence it off before anything else is sent."""
        session.drop()
        self._unsettled.append(session.token)

    async def close(self) -> None:
        """Let go of the connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _fence(self, session: Session, within: float) -> None:
        if not self._unsettled:
            return
        namespace = self._reach.options.url.namespace
        try:
            await session.fetch(self._reach.statements.fence, namespace, self._unsettled, within=within)
        except BaseException as error:
            session.drop()
            if isinstance(error, Exception):
                raise explained(error, self._reach.place) from error
            raise
        self._unsettled = []


class ReadLines:
    """A few connections for reads, to the server that commits go to; a read that lost its one is asked once more."""

    def __init__(self, reach: Reach, *, clock: Clock) -> None:
        self._reach = reach
        self._clock = clock
        self._idle: list[Session] = []
        self._closed = False
        self._room = asyncio.Semaphore(reach.options.readers)

    async def fetch(self, statement: str, *arguments: object) -> Sequence[Any]:
        """Return the rows of a statement that changes nothing; raises Unavailable and what `Reach` does."""
        async with self._room:
            try:
                return await self._once(statement, *arguments)
            except NotNow as error:
                if error.late:
                    raise explained(error, self._reach.place) from error
                self._drop_idle()  # what one of them has met, the others have too
            try:
                return await self._once(statement, *arguments)
            except NotNow as error:
                raise explained(error, self._reach.place) from error

    async def close(self) -> None:
        """Let go of the connections, of those that are in use when they come back."""
        self._closed = True
        idle, self._idle = self._idle, []
        for session in idle:
            await session.close()

    async def _once(self, statement: str, *arguments: object) -> Sequence[Any]:
        session = await self._session()
        try:
            return await session.fetch(statement, *arguments, within=self._reach.options.timeouts.read)
        except NotNow:
            raise
        except Exception as error:
            raise explained(error, self._reach.place) from error
        finally:
            self._give_back(session)

    def _give_back(self, session: Session) -> None:
        if self._closed:
            session.drop()
        elif session.usable:
            self._idle.append(session)

    async def _session(self) -> Session:
        """Return one that is alive, at the server that the newest connection of this store went to."""
        if self._closed:
            raise NotOpen("the store was closed", url=self._reach.place)
        while self._idle:
            session = self._idle.pop()
            if session.address == self._reach.home and await session.lives(
                self._reach.options.timeouts.connect
            ):
                return session
            session.drop()
        return await self._reach.session()

    def _drop_idle(self) -> None:
        for session in self._idle:
            session.drop()
        self._idle.clear()
