"""The replicas as their primary knows them: how far each is for certain, and what none of them is owed any more."""

from typing import TYPE_CHECKING, Final

from holdfast import points
from holdfast.errors import Conflict
from holdfast.store.base import ABSENT, Change, Delete, Expect, Key, Put, Record, Store
from holdfast.store.guard import GUARD
from holdfast.store.wrappers.replicated.records import (
    MEMBERS,
    ORDER,
    OWED,
    TRIMMED,
    Member,
    document,
    member_of,
)

if TYPE_CHECKING:
    from holdfast.store.wrappers.replicated.outbox import Outbox

__all__ = ("Members", "Trimmed")

TRIM: Final = 256


class Trimmed(Exception):  # no failure: the reader looks again, for another one may have applied it
    """What was asked for is no longer owed to anybody."""


class Members:
    """The replicas of the primary whose `outbox` this is; every change here expects that it still is one."""

    def __init__(self, outbox: "Outbox") -> None:
        self._outbox = outbox
        self._store = outbox.store

    async def known(self) -> dict[str, Record]:
        """Return the records of all replicas, by name."""
        return {record.key.entity_id: record async for record in self._store.scan(MEMBERS)}

    async def one(self, name: str) -> Member | None:
        """Return what is known of a replica, None where there is none of that name."""
        [record] = await self._store.get(Key(MEMBERS, name))
        return None if record is None else member_of(record)

    async def acknowledged_by(self, replica: Store) -> int | None:
        """Return how far the replica at that URL is for certain, None for one that never was there."""
        known = [member_of(record) for record in (await self.known()).values()]
        place = (replica.url, replica.namespace)
        return max((one.acknowledged for one in known if (one.url, one.namespace) == place), default=None)

    async def register(self, name: str, replica: Store, *, at: int | None = None) -> Member:
        """Owe a replica everything from now on, or behind commit `at`; a known one is left as it is.

        Raises Trimmed where what is behind `at` is gone.
        """
        while True:
            known = await self.one(name) or await self._registered(name, replica, at)
            if known is not None:
                return known

    async def _registered(self, name: str, replica: Store, at: int | None) -> Member | None:
        """Register a replica; None where another one was registered, or something trimmed, at the same time."""
        trimmed, expect = await self._trimmed()
        start = await self._outbox.length() if at is None else at
        if start < trimmed:
            raise Trimmed
        member = Member(
            url=replica.url, namespace=replica.namespace, start=start, start_commit=await self._outbox.commit_at(start),
            acknowledged=start,
        )  # fmt: skip
        # TRIMMED is written too: whoever counted the replicas without this one must count again.
        puts = [Put(Key(MEMBERS, name), document(member), ABSENT), Put(TRIMMED, trimmed, expect)]
        try:
            await self._store.commit([*puts, self._outbox.check])
        except Conflict as error:
            if error.key == GUARD:
                raise
            return None
        points.reached("replicated.registered")
        return member

    async def forget(self, name: str) -> None:
        """Owe a replica nothing more; one that is unknown is no error."""
        await self._store.commit([Delete(Key(MEMBERS, name)), self._outbox.check])
        await self.tidy()

    async def acknowledge(self, name: str, number: int) -> None:
        """Note that a replica has all up to `number`, and drop what no replica is owed any more."""
        [record] = await self._store.get(Key(MEMBERS, name))
        if record is None:
            return
        member = member_of(record)
        if number > member.acknowledged:
            known = document(member) | {"acknowledged": number}
            try:
                await self._store.commit([Put(record.key, known, record.version), self._outbox.check])
            except Conflict as error:
                if error.key == GUARD:
                    raise
                return  # another process notes the same: what it has not, the next acknowledgement will
            points.reached("replicated.acknowledged")
        await self.tidy()

    async def tidy(self) -> None:
        """Drop what no replica is owed any more, unless another process is at it."""
        try:
            await self.trim()
        except Conflict as error:
            if error.key == GUARD:
                raise

    async def trim(self, *, all: bool = False) -> None:
        """Drop what no replica is owed any more; raises Conflict where another process does."""
        # Read before the replicas: a new one writes this, too, and is noticed then.
        trimmed, expect = await self._trimmed()
        floors = [member_of(record).acknowledged for record in (await self.known()).values()]
        floor = await self._outbox.length() if all or not floors else min(floors)
        while trimmed < floor:
            limit = min(TRIM, floor - trimmed)
            events = [event async for event in self._store.read(ORDER, after=trimmed, limit=limit)]
            drop: list[Change] = [Delete(Key(OWED, event.version)) for event in events]
            trimmed = events[-1].number
            expect = await self._store.commit([*drop, Put(TRIMMED, trimmed, expect), self._outbox.check])
            points.reached("replicated.trimmed")

    async def trimmed(self) -> int:
        """Return up to which commit nothing is owed any more."""
        return (await self._trimmed())[0]

    async def _trimmed(self) -> tuple[int, Expect]:
        [record] = await self._store.get(TRIMMED)
        return (0, ABSENT) if record is None else (int(record.value), record.version)
