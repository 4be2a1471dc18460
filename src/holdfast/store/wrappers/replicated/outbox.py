"""The primary's side: what replicas are owed, recorded in the commit itself, and dropped once all of them have it.

The order is the store's own: each commit appends an event without a value to one stream, and the store numbers
it. So commits of several processes are in one order and none waits for another; a counter of ours would make them
conflict. What a commit changed is a record beside it, which is deleted once it is no longer owed.
"""

from collections.abc import Sequence
from typing import Final

from holdfast import points
from holdfast.errors import Conflict, Diverged, InvalidKey, Unavailable, Unsupported
from holdfast.store.base import (
    ABSENT,
    Append,
    Change,
    Check,
    CommitId,
    Delete,
    Event,
    Key,
    Put,
    Record,
    Store,
    Version,
)
from holdfast.store.changes import Effect, Wrote, effects
from holdfast.store.guard import GUARD
from holdfast.store.workers import worker_key
from holdfast.store.wrappers.replicated.members import Members, Trimmed
from holdfast.store.wrappers.replicated.records import (
    LOSS,
    MEMBERS,
    ORDER,
    OWED,
    Aside,
    Fenced,
    Loss,
    Owed,
    Primary,
    Replica,
    document,
    is_ours,
    loss_of,
    owed_document,
    owed_of,
    role_of,
)
from holdfast.system import Clock, Ids

__all__ = ("WORKERS", "Outbox")

WORKERS: Final = worker_key("").entity_name


def _is_heartbeat(effect: Effect) -> bool:
    """Whether this only says that a process is alive: a replica has what it said first, which stands still there.

    There are tens of thousands a day, and whoever takes over from a replica waits out the lease in any case.
    """
    return isinstance(effect, Wrote) and effect.entity_name == WORKERS


class Outbox:
    """What the namespace of `store` owes its replicas; `replication` and `epoch` say which history that is."""

    def __init__(self, store: Store, *, clock: Clock, ids: Ids) -> None:
        self.store = store
        self.replication = ""
        self.epoch = 0
        self.before: tuple[int, CommitId | None] = (0, None)
        self.members = Members(self)
        self._version: Version = ""
        self._clock = clock
        self._ids = ids

    async def begin(self) -> None:
        """Make the namespace a primary where it is nothing yet: from now on, no commit goes past this wrapper.

        Raises Unavailable (`retryable=False`) where another one was promoted, Unsupported where it is a replica.
        """
        record = await self._guard()
        if record is None:
            await self._enable()
            record = await self._guard()
        if record is None:
            raise self._ended()
        role = role_of(record.value)
        if not isinstance(role, Primary):
            raise self._refused(role)
        self.take(role, record.version)

    def take(self, role: Primary | Fenced, version: Version) -> None:
        """Believe what the guard said, in that version."""
        self.replication, self.epoch, self._version = role.replication, role.epoch, version
        if isinstance(role, Primary):
            self.before = role.before_number, role.before_commit

    async def _enable(self) -> None:
        role = Primary(replication=self._ids(), since=self._clock.now())
        try:
            await self.store.commit([Put(GUARD, document(role), ABSENT)])
        except Unsupported:
            return  # another process was faster: its guard counts
        points.reached("replicated.enabled")

    # ------------------------------------------------------------ a commit

    def owing(self, changes: Sequence[Change], commit_id: CommitId) -> list[Change]:
        """Return the changes with what makes them owed; raises InvalidKey or InvalidValue as every store does."""
        found = effects(changes)
        for change in changes:
            name = change.stream if isinstance(change, Append) else change.key.entity_name
            if is_ours(name):
                raise InvalidKey(f"{name!r} is replication's own", name=name, reason="reserved")
        if all(_is_heartbeat(effect) for effect in found):
            return [*changes, self.check]
        owed = owed_document(found, self._clock.now())
        return [*changes, self.check, Put(Key(OWED, commit_id), owed, ABSENT), Append(ORDER, None)]

    @property
    def check(self) -> Check:
        """What every commit of a primary expects: that it still is one."""
        return Check(GUARD, self._version)

    async def refusal(self) -> Exception:
        """Return why a commit was refused by the guard."""
        record = await self._guard()
        role = None if record is None else role_of(record.value)
        return self._ended() if role is None or isinstance(role, Primary) else self._refused(role)

    async def fence(self, url: str, namespace: str) -> None:
        """Refuse every later commit here, of all processes, because the replica at `url` is the primary now."""
        role = Fenced(
            replication=self.replication, epoch=self.epoch, url=url, namespace=namespace, at=self._clock.now()
        )
        try:
            await self.store.commit([Put(GUARD, document(role), self._version)])
        except Conflict as error:
            if error.key != GUARD:
                raise
            return  # somebody else has set it: `refusal` says to what
        points.reached("replicated.fenced")

    # ------------------------------------------------------------ what is owed

    async def length(self) -> int:
        """Return how many commits there were that changed anything."""
        return await self.store.last_number(ORDER)

    async def commit_at(self, number: int) -> CommitId | None:
        """Return the id of the commit of that number, None where there is none."""
        found = [event.version async for event in self.store.read(ORDER, after=number - 1, limit=1)]
        return found[0] if number and found else None

    async def age(self, number: int) -> float | None:
        """Return how many seconds ago commit `number` was made; None where it is no longer owed."""
        commit_id = await self.commit_at(number)
        [record] = [None] if commit_id is None else await self.store.get(Key(OWED, commit_id))
        return None if record is None else max(self._clock.now() - owed_of(number, record).at, 0) / 1000

    async def page(self, number: int, last: CommitId | None, limit: int) -> list[Owed]:
        """Return the commits behind that one, the oldest first; raises Trimmed where a record of them is gone.

        Raises Diverged where commit `number` is not `last` here: then whoever asks has another history.
        """
        events = await self.linked(number, last, limit)
        records = await self.store.get(*(Key(OWED, event.version) for event in events))
        if any(record is None for record in records):
            raise Trimmed
        return [
            owed_of(event.number, record) for event, record in zip(events, records, strict=True) if record
        ]

    async def linked(self, number: int, last: CommitId | None, limit: int) -> list[Event]:
        """Return the order behind commit `number`, which must be `last`; raises Diverged."""
        link = min(number, 1)
        found = [event async for event in self.store.read(ORDER, after=number - link, limit=limit + link)]
        if link and (not found or found[0].version != last):
            there = found[0].version if found else "absent"
            raise Diverged(
                f"commit {number} of the replica is {last}, and {there} in {self.store.url}: it has commits that its "
                "primary does not have (which was restored from a backup, or lost them in a failover). Compare them, "
                "then promote the replica, or re-seed it into an empty namespace",
                number=number,
                found=there,
                expected=last,
            )
        return found[link:]

    # ------------------------------------------------------------ what was lost, and the end

    async def loss(self) -> Loss | None:
        """Return what the promotion of this namespace may have lost, None where there is nothing or it was accepted."""
        [record] = await self.store.get(LOSS)
        return loss_of(record)

    async def accept(self) -> None:
        """Take a loss for dealt with: the exchange was asked, and the books are right."""
        await self.store.commit([Delete(LOSS), self.check])

    async def end(self) -> None:
        """End the replication: what is owed is dropped, and anybody may commit again."""
        for name in await self.members.known():
            await self.store.commit([Delete(Key(MEMBERS, name)), self.check])
        await self.members.trim(all=True)
        await self.store.commit([Delete(GUARD, self._version)])

    async def _guard(self) -> Record | None:
        [record] = await self.store.get(GUARD)
        return record

    def _here(self) -> str:
        return f"namespace {self.store.namespace!r} of {self.store.url}"

    def _ended(self) -> Unavailable:
        message = (
            f"{self._here()}: its replication was ended, or set up anew, by another process: open it again"
        )
        return Unavailable(message, unknown=False, retryable=True)

    def _refused(self, role: Replica | Fenced | Aside) -> Exception:
        if isinstance(role, Fenced):
            return Unavailable(
                f"{self._here()} is no longer the primary: {role.url} (namespace {role.namespace!r}) was promoted. "
                "Open that one; this one takes no more commits",
                unknown=False, retryable=False, url=role.url, namespace=role.namespace,
            )  # fmt: skip
        if isinstance(role, Replica):
            return Unsupported(f"{self._here()} is a replica: open its primary, or promote it first")
        return Unsupported(f"{self._here()} was set aside ({role.reason}); {role.url} took its place")
