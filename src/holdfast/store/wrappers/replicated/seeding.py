"""The first copy of a primary into an empty replica, while the primary goes on, resumable at any instant.

Records are copied as they are found, some of them newer than where the copy began. What was committed since is
then applied on top, in order, which sets each to what it is to be; so the copy is one state of the primary only
once it has come to where the primary was when the last record was read. Events cannot be set twice: of each stream
exactly those are copied that were there when the copy began.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from holdfast import points
from holdfast.store.base import Append, Change, CommitId, Event, Put, Store
from holdfast.store.wrappers.replicated.records import ORDER, Member, Replica, is_ours

if TYPE_CHECKING:
    from holdfast.store.wrappers.replicated.follower import Follower

__all__ = ("COPIED", "seed")

PAGE: Final = 200
COPIED: Final = "holdfast-copied-"
"""What the ids of commits begin with that copied: records of several commits, so they have lost their versions."""


async def seed(follower: "Follower", position: Replica) -> None:
    """Copy all that the primary holds, from where an earlier try got to; raises Moved where another process copies."""
    member = await follower.outbox.register(position.name, follower.store)
    if position.state == "claimed":
        start = {"state": "copying", "number": member.start, "last": member.start_commit}
        await follower.move(replace(position, **start))
    copying = Copying(follower, member)
    await copying.streams()
    await copying.records()
    whole = await follower.outbox.length()
    await follower.move(replace(follower.at, state="following", cursor=None, whole=whole, known=whole))
    points.reached("replicated.seeded")


class Copying:
    """A copy under way, of what `member` does not get commit by commit."""

    def __init__(self, follower: "Follower", member: Member) -> None:
        self._follower = follower
        self._source: Store = follower.outbox.store
        self._ids: set[CommitId] = set()
        self._seen = member.start
        self._count = 0

    async def streams(self) -> None:
        """Copy of every stream what was in it when the copy began."""
        for stream in (await self._source.names()).streams:
            if not is_ours(stream):
                await self._stream(stream)

    async def _stream(self, stream: str) -> None:
        after = await self._follower.store.last_number(stream)
        while page := [event async for event in self._source.read(stream, after=after, limit=PAGE)]:
            old = await self._from_before(page)
            if old:
                await self._put([Append(stream, event.value) for event in old], self._follower.at)
            if len(old) < len(page):
                return
            after = page[-1].number

    async def _from_before(self, page: Sequence[Event]) -> list[Event]:
        """Return the events of a page that no commit has made since the copy began: they come before all others."""
        async for event in self._source.read(ORDER, after=self._seen):
            self._ids.add(event.version)
            self._seen = event.number
        newer = (place for place, event in enumerate(page) if event.version in self._ids)
        return list(page[: next(newer, len(page))])

    async def records(self) -> None:
        """Copy every record, as it is when it is read."""
        name, after = self._follower.at.cursor or ["", ""]
        for found in (await self._source.names()).entities:
            if found >= name and not is_ours(found):
                await self._records(found, after if found == name else None)

    async def _records(self, name: str, after: str | None) -> None:
        while page := [record async for record in self._source.scan(name, after=after, limit=PAGE)]:
            after = page[-1].key.entity_id
            puts = [Put(record.key, record.value) for record in page]
            await self._put(puts, replace(self._follower.at, cursor=[name, after]))

    async def _put(self, changes: Sequence[Change], position: Replica) -> None:
        await self._follower.copy(changes, position)
        points.reached("replicated.copied")
