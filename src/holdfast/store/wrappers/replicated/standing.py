"""Where a replica stands: its guard, which says how far it is and moves in the very commit that it counts.

So a commit is applied once, however often it is tried, by however many processes at a time: every commit expects the
guard where the one before has left it.
"""

import asyncio
from collections.abc import Sequence

from msgspec.structs import replace

from holdfast import points
from holdfast.errors import Conflict, Diverged, Unsupported
from holdfast.store.base import ABSENT, Change, CommitId, Put, Store, Version
from holdfast.store.guard import GUARD
from holdfast.store.wrappers.replicated.outbox import Outbox
from holdfast.store.wrappers.replicated.records import Aside, Owed, Primary, Replica, document, role_of
from holdfast.system import Ids

__all__ = ("Moved", "Standing", "Superseded")


class Moved(Exception):  # no failure: the position is read again
    """Another process has moved the replica on meanwhile."""


class Superseded(Exception):  # the primary is fenced then
    """The replica was promoted: it is the primary now."""


class Standing:
    """The position of the replica `store`, as it was seen or set last, None before; `outbox` is its primary's."""

    def __init__(self, outbox: Outbox, store: Store, *, ids: Ids) -> None:
        self.store = store
        self.outbox = outbox
        self.position: Replica | None = None
        self._version: Version = ""
        self._ids = ids

    async def reload(self) -> Replica:
        """Read the position anew and return it; raises Superseded, Diverged."""
        found = await self.look()
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
        """Make several commits, one behind the other, without moving the position; raises Moved.

        Not all under way at once: another process may copy the same in another order, and one of its commits, which
        has an id of these, would let pass what comes behind it here although what came before it was refused.
        """
        for commit_id, changes in commits:
            await self.move(self.at, changes, commit_id=commit_id)

    def fresh_id(self) -> CommitId:
        """Return an id that nobody else uses."""
        return self._ids()

    async def repeat(self, page: Sequence[Owed]) -> bool:
        """Make the commits of a page anew, all under way at once; False where another order, or process, was faster.

        Raises Diverged where the replica takes none of them.
        """
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

    async def look(self) -> Replica | None:
        """Return the position as it is now, None where the guard is absent; raises Superseded, Diverged."""
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

    async def claim(self) -> Replica:
        """Make an empty namespace this primary's replica; raises Diverged where it is not empty, Moved."""
        names = await self.store.names()
        if names.entities or names.streams:
            if await self.look() is not None:  # another process was faster, since this one looked
                raise Moved
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

    async def adopt(self, position: Replica) -> Replica:
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

    async def expect_owed(self) -> None:
        """Return where the primary still owes all that comes next; raises Diverged."""
        trimmed = await self.outbox.members.trimmed()
        position = await self.reload()  # after that: another process may apply for us, and trim
        if position.number < trimmed:
            raise Diverged(
                f"{self._here()} is at commit {position.number}, and its primary has dropped what came next, up to "
                f"{trimmed}: the replica was forgotten there, or has gone back itself. Re-seed it"
            )
        await self.outbox.members.register(position.name, self.store, at=position.number)

    def _here(self) -> str:
        return f"namespace {self.store.namespace!r} of {self.store.url}"
