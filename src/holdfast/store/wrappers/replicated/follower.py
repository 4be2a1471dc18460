"""A replica that follows its primary: it repeats each commit under its id, in order, and counts it in the same commit.

So a commit is applied once, however often it is tried, by however many processes at a time: the replica's guard is
its position, every commit expects it where the one before has left it. Versions are the same on both sides.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from holdfast import points
from holdfast.errors import (
    Conflict,
    Diverged,
    StoreError,
    StoreFull,
    Unavailable,
    Unsupported,
    WentBack,
)
from holdfast.store.base import ABSENT, Change, CommitId, Put, Store, Version
from holdfast.store.guard import GUARD
from holdfast.store.wrappers.replicated.outbox import Outbox, Trimmed
from holdfast.store.wrappers.replicated.records import Aside, Owed, Primary, Replica, document, role_of
from holdfast.store.wrappers.replicated.seeding import seed
from holdfast.system import Clock, Ids

__all__ = ("Follower", "Moved", "Superseded")

PAGE: Final = 64
TRIM_EVERY: Final = 256
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0

log = logging.getLogger("holdfast.replication")


class Moved(Exception):  # no failure: the position is read again
    """Another process has moved the replica on meanwhile."""


class Superseded(Exception):  # the primary is fenced then
    """The replica was promoted: it is the primary now."""


class Follower:
    """Keeps one replica up to date. `position` is the last one seen, `error` why it does not follow now."""

    def __init__(self, outbox: Outbox, store: Store, *, clock: Clock, ids: Ids, poll: float = 1.0) -> None:
        self.store = store
        self.outbox = outbox
        self.position: Replica | None = None
        self.error: Exception | None = None
        self.contact = asyncio.Event()
        self._version: Version = ""
        self._acknowledged = 0
        self._clock = clock
        self._ids = ids
        self._poll = poll
        self._wake = asyncio.Event()
        self._stopping = False

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

    # ------------------------------------------------------------ where it is

    async def attach(self) -> None:
        """Find out where the replica is; an empty one is claimed and copied. Raises Diverged, Superseded, Moved."""
        await self.store.open()
        position = await self._looked() or await self._claimed()
        if (position.replication, position.epoch) != (self.outbox.replication, self.outbox.epoch):
            position = await self._adopted(position)
        if position.state != "following":
            await seed(self, position)
        await self.outbox.linked(self.at.number, self.at.last, 0)
        await self._is_owed()
        self.error = None
        self.contact.set()

    async def reload(self) -> Replica:
        """Read the position anew and return it; raises Superseded, Diverged."""
        found = await self._looked()
        if found is None:
            raise Diverged(
                f"{self._here()} has lost what it was: its guard is gone, and it is not followed any further"
            )
        return found

    @property
    def at(self) -> Replica:
        """The position, which is known."""
        if self.position is None:
            raise Moved
        return self.position

    async def move(
        self, position: Replica, changes: Sequence[Change] = (), *, commit_id: CommitId | None = None
    ) -> None:
        """Make changes and set the position, in one commit that expects the position to be where it was seen last.

        Raises Moved where it is elsewhere.
        """
        commit_id = self._ids() if commit_id is None else commit_id
        try:
            await self.store.commit(
                [*changes, Put(GUARD, document(position), self._version)], commit_id=commit_id
            )
        except Conflict as error:
            if error.key != GUARD:
                raise
            raise Moved from error
        self.position, self._version = position, commit_id

    async def move_all(self, commits: Sequence[tuple[CommitId, Sequence[Change]]]) -> None:
        """Make several commits, in order and all under way at once, without moving the position; raises Moved."""
        position, version = document(self.at), self._version
        running = []
        for commit_id, changes in commits:
            running.append(self.store.commit([*changes, Put(GUARD, position, version)], commit_id=commit_id))
            version = commit_id
        results = await asyncio.gather(*running, return_exceptions=True)
        for failure in results:
            if isinstance(failure, Conflict) and failure.key == GUARD:
                raise Moved from failure
            if isinstance(failure, BaseException):
                raise failure
        self._version = version

    def fresh_id(self) -> CommitId:
        """Return an id that nobody else uses."""
        return self._ids()

    async def _looked(self) -> Replica | None:
        [record] = await self.store.get(GUARD)
        if record is None:
            return None
        role = role_of(record.value)
        if isinstance(role, Primary) and role.replication == self.outbox.replication:
            if role.epoch > self.outbox.epoch:
                raise Superseded
            raise Diverged(f"{self._here()} is a primary of this replication itself, of epoch {role.epoch}")
        if isinstance(role, Aside):
            raise Diverged(
                f"{self._here()} was set aside: {role.url} (namespace {role.namespace!r}) took its place"
            )
        if not isinstance(role, Replica) or role.replication != self.outbox.replication:
            raise Diverged(f"{self._here()} belongs to another replication: give this one an empty namespace")
        self.position, self._version = role, record.version
        return role

    async def _claimed(self) -> Replica:
        names = await self.store.names()
        if names.entities or names.streams:
            held = ", ".join((*names.entities, *names.streams)[:3])
            raise Diverged(
                f"{self._here()} is not empty ({held}, …), and none of it comes from this primary: nothing is "
                "overwritten. Give the replica an empty namespace"
            )
        role = Replica(replication=self.outbox.replication, epoch=self.outbox.epoch, name=self._ids())
        try:
            await self.store.commit([Put(GUARD, document(role), ABSENT)])
        except Unsupported as error:
            raise Moved from error  # another process was faster
        points.reached("replicated.claimed")
        return await self.reload()

    async def _adopted(self, position: Replica) -> Replica:
        """Take over a replica of the epoch before, where that ended: it has all that the promoted one has."""
        outbox = self.outbox
        ended = (outbox.epoch - 1, *outbox.before)
        if not position.is_whole or (position.epoch, position.number, position.last) != ended:
            raise Diverged(
                f"{self._here()} follows epoch {position.epoch} up to commit {position.number}, and this primary is of "
                f"epoch {outbox.epoch}, which began behind commit {outbox.before[0]}: re-seed it"
            )
        await self.move(replace(position, epoch=outbox.epoch, number=0, last=None, known=0, whole=0))
        return self.at

    async def _is_owed(self) -> None:
        """Return where the primary still has all that comes next; raises Diverged."""
        trimmed = await self.outbox.trimmed()
        position = await self.reload()  # after that: another process may apply for us, and trim
        if position.number < trimmed:
            raise Diverged(
                f"{self._here()} is at commit {position.number}, and its primary has dropped what came next, up to "
                f"{trimmed}: the replica was forgotten there, or has gone back itself. Re-seed it"
            )
        await self.outbox.register(position.name, self.store, at=position.number)

    # ------------------------------------------------------------ following

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
        self._acknowledged = self.at.number
        while not (await self.caught_up() and self._stopping):
            if not self._stopping:
                await self._idle()
        await self.acknowledge()

    async def caught_up(self, *, acknowledging: bool = True) -> bool:
        """Apply a page at a time until nothing is left; return True then. Memory holds one page."""
        together = PAGE
        while page := await self.outbox.page(self.at.number, self.at.last, together):
            together = PAGE if await self._applied(page) else 1
            self.error = None
            if acknowledging and self.at.number - self._acknowledged >= TRIM_EVERY:
                await self.acknowledge()
        return True

    async def acknowledge(self) -> None:
        """Tell the primary how far the replica is, so that it can let go of what is owed to nobody."""
        if self.position is not None:
            await self.outbox.acknowledge(self.position.name, self.position.number)
            self._acknowledged = self.position.number

    async def _applied(self, page: Sequence[Owed]) -> bool:
        """Repeat the commits of a page, all under way at once; False where another order, or process, was faster."""
        known = max(self.at.known, page[-1].number, await self.outbox.length())
        position, version, commits = self.at, self._version, []
        for owed in page:
            position = replace(position, number=owed.number, last=owed.commit_id, at=owed.at, known=known)
            changes = [*owed.changes(), Put(GUARD, document(position), version)]
            commits.append(self.store.commit(changes, commit_id=owed.commit_id))
            version = owed.commit_id
        results = await asyncio.gather(*commits, return_exceptions=True)
        points.reached("replicated.applied")
        failures = [result for result in results if isinstance(result, BaseException)]
        before = self.at.number
        await self.reload()
        for failure in failures:
            if not (isinstance(failure, Conflict) and failure.key == GUARD):
                raise failure
        if self.at.number == before:
            raise Diverged(
                f"{self._here()} does not take commit {page[0].number} ({page[0].commit_id}): it had a commit of that "
                "id before, or moves without being written to"
            )
        return not failures

    async def _idle(self) -> None:
        if self.at.number > self._acknowledged and not await self._woken():
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
                await self.outbox.tidy()  # nothing is owed to a replica that was never there
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
        self.error = error

    def _here(self) -> str:
        return f"namespace {self.store.namespace!r} of {self.store.url}"
