"""The first copy of a primary into an empty replica, while the primary goes on, resumable at any instant.

What is copied is what was there when the copy began (`Member.start`): all later commits are owed, and applied on top. A
commit is copied whole, under its own id, as far as it still shows: its events, and the records that it was the last to
write. So versions are the same on both sides, and a copy that was cut off goes on with the commits that are not there.
A record that is written while the copy is made comes with the commit that wrote it; so the copy is one state of the
primary only once it has come to where the primary was when the last record was read.
"""

from collections.abc import Container, Sequence
from typing import Final

from msgspec.structs import replace

from holdfast import points
from holdfast.store.base import Append, Change, CommitId, Event, Key, Put, Store, Version
from holdfast.store.wrappers.replicated.merging import Copy, Merge
from holdfast.store.wrappers.replicated.outbox import WORKERS
from holdfast.store.wrappers.replicated.records import ORDER, Member, Replica, is_ours
from holdfast.store.wrappers.replicated.standing import Standing

__all__ = ("COPIED", "seed")

PAGE: Final = 500
TOGETHER: Final = 64
COPIED: Final = "holdfast-copied-"
"""What the id of a commit begins with that could not be copied under its own, because that was used twice."""


async def seed(standing: Standing, position: Replica) -> None:
    """Copy all that the primary holds, from where an earlier try got to; raises Moved where another process copies."""
    member = await standing.outbox.members.register(position.name, standing.store)
    if position.state == "claimed":
        start = {"state": "copying", "number": member.start, "last": member.start_commit}
        await standing.move(replace(position, **start))
    await Copying(standing, member).run()
    whole = await standing.outbox.length()
    await standing.move(replace(standing.at, state="following", whole=whole, known=whole))
    points.reached("replicated.seeded")


class Copying:
    """A copy under way; it holds in memory the ids and keys of what is to be copied, and values of a few commits."""

    def __init__(self, standing: Standing, member: Member) -> None:
        self._standing = standing
        self._source: Store = standing.outbox.store
        self._keys: dict[Version, list[Key]] = {}
        self._owed: set[CommitId] = set()
        self._seen = member.start
        self._ready: list[tuple[CommitId, list[Change]]] = []

    async def run(self) -> None:
        """Copy every commit that still shows: those with events in the order of their streams, then the others."""
        names = await self._source.names()
        for name in names.entities:
            if not is_ours(name):
                await self._index(name)
        merge = Merge(self._source, self._of_old)
        for stream in names.streams:
            if not is_ours(stream):
                await merge.add(stream, after=await self._standing.store.last_number(stream))
        async for copy in merge.copies():
            await self._with_events(copy)
        await self._flush()
        await self._others(merge.twice)

    async def _index(self, name: str) -> None:
        after: str | None = None
        while found := [(r.key, r.version) async for r in self._source.scan(name, after=after, limit=PAGE)]:
            await self._look()
            for key, version in found:
                if version not in self._owed:
                    self._keys.setdefault(version, []).append(key)
            after = found[-1][0].entity_id

    async def _of_old(self, page: Sequence[Event]) -> list[Event]:
        """Return the events of a page that were there when the copy began: they come before all others."""
        await self._look()
        newer = (place for place, event in enumerate(page) if event.version in self._owed)
        return list(page[: next(newer, len(page))])

    async def _look(self) -> None:
        """Take note of the commits that are owed, and so are not to be copied."""
        async for event in self._source.read(ORDER, after=self._seen):
            self._owed.add(event.version)
            self._seen = event.number

    async def _with_events(self, copy: Copy) -> None:
        """Put a commit on its way, with those of its records that nobody has written since."""
        keys = self._keys.pop(copy.version, []) if copy.alone else []
        records = [record for record in await self._source.get(*keys) if record] if keys else []
        changes: list[Change] = [Put(r.key, r.value) for r in records if r.version == copy.version]
        # A heartbeat moves a record on, and is not owed: what it is now is copied later.
        beaten = [r.key for r in records if r.version != copy.version and r.key.entity_name == WORKERS]
        self._keys.setdefault("", []).extend(beaten)
        changes += [Append(event.stream, event.value) for event in copy.events]
        self._ready.append((copy.version if copy.alone else self._fresh_id(), changes))
        if len(self._ready) >= TOGETHER:
            await self._flush()

    async def _others(self, twice: Container[Version]) -> None:
        """Copy the records of commits without events, or whose events were there, but for what is there already."""
        commits = list(self._keys.items())
        for first in range(0, len(commits), TOGETHER):
            some = commits[first : first + TOGETHER]
            keys = [key for _, written in some for key in written]
            ours, theirs = await self._source.get(*keys), await self._standing.store.get(*keys)
            await self._look()
            missing: dict[Version, list[Change]] = {}
            for record, other in zip(ours, theirs, strict=True):
                known = record is None or record.version in self._owed
                if record is not None and not known and (other is None or other.version != record.version):
                    missing.setdefault(record.version, []).append(Put(record.key, record.value))
            for version, puts in missing.items():
                self._ready.append((self._fresh_id() if version in twice else version, puts))
            await self._flush()

    def _fresh_id(self) -> CommitId:
        return f"{COPIED}{self._standing.fresh_id()}"

    async def _flush(self) -> None:
        ready, self._ready = self._ready, []
        if ready:
            await self._standing.move_all(ready)
            points.reached("replicated.copied")
