"""A replica that follows its primary: it repeats each commit under its id, in order, whatever fails meanwhile.

Versions are the same on both sides. What fails is told once, and tried again in longer and longer pauses.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from holdfast.errors import StoreError, StoreFull, Unavailable, WentBack
from holdfast.store.backends.network import REPEAT
from holdfast.store.base import Store
from holdfast.store.wrappers.replicated.members import Trimmed
from holdfast.store.wrappers.replicated.outbox import Outbox
from holdfast.store.wrappers.replicated.records import Owed, Replica
from holdfast.store.wrappers.replicated.seeding import seed
from holdfast.store.wrappers.replicated.standing import Moved, Standing, Superseded
from holdfast.system import Clock, Ids

__all__ = ("Follower",)

PAGE: Final = 64
TRIM_EVERY: Final = 256
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0

log = logging.getLogger("holdfast.replication")


class Follower:
    """Keeps one replica up to date; `standing` is where that is, `error` why it does not follow now."""

    def __init__(self, outbox: Outbox, store: Store, *, clock: Clock, ids: Ids, poll: float = 1.0) -> None:
        self.store = store
        self.outbox = outbox
        self.standing = Standing(outbox, store, ids=ids)
        self.error: Exception | None = None
        self.contact = asyncio.Event()
        self._first: Exception | None = None
        self._acknowledged = 0
        self._clock = clock
        self._poll = poll
        self._wake = asyncio.Event()
        self._stopping = False

    @property
    def position(self) -> Replica | None:
        """Where the replica was seen last, None before it was."""
        return self.standing.position

    @property
    def told(self) -> str:
        """What a person is to know while it does not follow; it changes with the kind of error alone. "" if it does."""
        if self.error is None:
            no_answer = f"Replica {self.store.url} does not follow: it has not answered yet"
            return "" if self.contact.is_set() else no_answer
        why = str(self._first).removesuffix(REPEAT)  # which is what it does
        return f"Replica {self.store.url} does not follow: {why}"

    def wake(self) -> None:
        """There is more to apply."""
        self._wake.set()

    async def run(self) -> None:
        """Follow until `stop`; whatever fails is tried again, in longer and longer pauses."""
        pause = FIRST_PAUSE
        while not self._stopping:
            try:
                await self._follow_or_fence()
            except (Moved, Trimmed):  # also where another process follows for us: look again
                await self._clock.sleep(FIRST_PAUSE)
            except Exception as error:  # also what should not happen: seen in `lag`, and tried again
                self._tell(error)
                await self._rest(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                pause = FIRST_PAUSE

    def stop(self) -> None:
        """Come to an end once all is applied."""
        self._stopping = True
        self._wake.set()

    async def attach(self) -> None:
        """Find out where the replica is; an empty one is claimed and copied. Raises Diverged, Superseded, Moved."""
        standing, outbox = self.standing, self.outbox
        await self.store.open()
        position = await standing.look() or await standing.claim()
        if (position.replication, position.epoch) != (outbox.replication, outbox.epoch):
            position = await standing.adopt(position)
        if position.state != "following":
            await seed(standing, position)
        await outbox.linked(standing.at.number, standing.at.last, 0)
        await standing.expect_owed()
        self.error = None
        self.contact.set()

    async def _follow_or_fence(self) -> None:
        try:
            await self._follow()
        except Superseded:
            # It was promoted while this primary could not be reached: what is acknowledged here from now on would
            # be in neither history, so nothing is.
            await self.outbox.fence(self.store.url, self.store.namespace)
            raise await self.outbox.refusal() from None

    async def _follow(self) -> None:
        await self.attach()
        self._acknowledged = self.standing.at.number
        while not (await self.caught_up() and self._stopping):
            if not self._stopping:
                await self._idle()
        await self.acknowledge()

    async def caught_up(self, *, acknowledging: bool = True) -> bool:
        """Apply a page at a time until nothing is left; return True then. Memory holds one page."""
        together = PAGE
        while page := await self.outbox.page(self.standing.at.number, self.standing.at.last, together):
            together = PAGE if await self._applied(page) else 1
            self.error = None
            if acknowledging and self.standing.at.number - self._acknowledged >= TRIM_EVERY:
                await self.acknowledge()
        return True

    async def acknowledge(self) -> None:
        """Tell the primary how far the replica is, so that it can let go of what is owed to nobody."""
        if self.position is not None:
            await self.outbox.members.acknowledge(self.position.name, self.position.number)
            self._acknowledged = self.position.number

    async def _applied(self, page: Sequence[Owed]) -> bool:
        return await self.standing.repeat(page)

    async def _idle(self) -> None:
        if self.standing.at.number > self._acknowledged and not await self._woken():
            await self.acknowledge()
        await self._woken()
        self._wake.clear()

    async def _woken(self) -> bool:
        try:
            await asyncio.wait_for(self._wake.wait(), self._poll)
        except TimeoutError:
            return False
        return True

    async def _rest(self, pause: float) -> None:
        self.contact.set()
        await self._opened_anew()
        if self.position is None and not self._stopping:
            try:
                await self.outbox.members.tidy()  # nothing is owed to a replica that was never there
            except StoreError as error:
                log.warning("%s", error)
        await self._clock.sleep(pause)

    async def _opened_anew(self) -> None:
        """Close a replica that failed, where only opening it again mends that; where it is then, its guard says."""
        failed = isinstance(self.error, Unavailable | StoreFull) and not self.store.shared
        try:
            if failed or isinstance(self.error, WentBack):
                await self.store.close()
        except StoreError as error:
            log.warning("%s", error)

    def _tell(self, error: Exception) -> None:
        if type(self.error) is not type(error):
            log.warning("replica %s does not follow: %s", self.store.url, error)
            self._first = error
        self.error = error
