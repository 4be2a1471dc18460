"""`holdfast store copy`: a portfolio from any store to any other, whole or unfinished and known to be so.

    check -> mark the target "copying" -> rounds of: bring the target up to the source; compare all of it
    -> a copy: mark the target "copy"
    -> a move: mark the source "moved" and take its leases away, compare again, take the mark off the target

Cut off anywhere, the same command goes on: streams from where the target's end, records where they differ. At every
instant at most one of the two is without a mark, so that at most one can be traded on.
"""

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from holdfast import points
from holdfast.errors import Corrupt, StoreInUse, StoreMissing
from holdfast.store.base import ABSENT, Delete, Expect, Put, Store
from holdfast.store.tools.comparing import compared
from holdfast.store.tools.contents import Fingerprint, Tell, fingerprint, untold
from holdfast.store.tools.leaving import leave, refuse_living
from holdfast.store.tools.mark import MARK, MARK_KEY, Mark, State, mark_of
from holdfast.store.tools.places import place_of
from holdfast.store.tools.refusing import (
    refuse_encrypted,
    refuse_itself,
    refuse_other_namespace,
    refuse_source,
    refuse_target,
)
from holdfast.store.tools.writing import Writer, settled
from holdfast.system import Clock, Ids, Processes, SystemClock, SystemProcesses, system_ids

__all__ = ("Copied", "copy")

ROUNDS: Final = 3
"""How often a source that changes meanwhile is followed, before whoever changes it has to be stopped."""


class Copied(Struct, frozen=True, kw_only=True):
    """What a copy came to: what the target holds now, and how much of it was `written` by this call.

    `mark` is that of the target: "copy", or "" where it is the portfolio now. A dry run has written nothing.
    `already`: the source had moved there before, so that nothing was compared; it may have been traded on since.
    """

    records: int
    events: int
    written: int
    head: int
    mark: str
    already: bool = False


async def copy(
    source: Store,
    target: Store,
    *,
    move: bool = False,
    dry_run: bool = False,
    clock: Clock | None = None,
    ids: Ids = system_ids,
    processes: Processes | None = None,
    tell: Tell = untold,
) -> Copied:
    """Make the target hold exactly the source's portfolio, at one instant, compared value by value.

    Both are opened and closed here. The target is empty, was begun by the same copy, or is where the source was moved
    from: then it is brought up to date. With `move` the target is the
    portfolio from then on and the source refuses to be traded on; else the target is a copy, and refuses. Raises
    StoreInUse where somebody trades or writes on either, InvalidOption for what makes no sense, Corrupt where the
    target did not keep what it was given, and what stores raise. Whatever it raises, the same call goes on later.
    """
    refuse_itself(source, target)
    # A heartbeat read from a cache stands still, and a mark read from one may be gone.
    source, target = source.uncached, target.uncached
    work = _Copy(
        source,
        target,
        clock=clock or SystemClock(),
        ids=ids,
        processes=processes or SystemProcesses(),
        tell=tell,
    )
    async with source:
        await refuse_encrypted(source)
        try:
            await target.open()
        except StoreMissing:
            if not dry_run:
                raise
            return await work.counted(missing=True, move=move)
        try:
            return await (work.counted(move=move) if dry_run else work.run(move=move))
        finally:
            await target.close()


class _Copy:
    """One copy under way, between two open stores."""

    def __init__(
        self, source: Store, target: Store, *, clock: Clock, ids: Ids, processes: Processes, tell: Tell
    ) -> None:
        self._source, self._target = source, target
        self._clock, self._ids, self._tell = clock, ids, tell
        self._processes = processes
        self._id = ids()
        self._written = 0

    async def counted(self, *, move: bool, missing: bool = False) -> Copied:
        """Refuse what `run` would, and count; `missing`: there is no target yet."""
        [theirs], [ours] = (
            await self._source.get(MARK_KEY),
            [None] if missing else await self._target.get(MARK_KEY),
        )
        mark, begun = mark_of(theirs), mark_of(ours)
        if begun is None and not missing and _is_done(mark, self._target):
            return await self._done()
        await self._refuse(mark, begun, move=move, missing=missing)
        return await self._result(await fingerprint(self._source), "")

    async def run(self, *, move: bool) -> Copied:
        """Copy or move, or go on with it."""
        [theirs], [ours] = await self._source.get(MARK_KEY), await self._target.get(MARK_KEY)
        mark, begun = mark_of(theirs), mark_of(ours)
        if begun is None and _is_done(mark, self._target):
            return await self._done()
        moved = await self._refuse(mark, begun, move=move)
        version = await self._begin(begun, ABSENT if ours is None else ours.version)
        # A move changes nothing until somebody who still writes has been noticed.
        seen = await self._until_equal(version, rounds=1 if move and not moved else ROUNDS)
        if not (move or moved):
            return await self._copied(version, seen)
        if not moved:
            await self._leave(ABSENT if theirs is None else theirs.version)
        return await self._moved(version, seen)

    async def _refuse(
        self, mark: Mark | None, begun: Mark | None, *, move: bool, missing: bool = False
    ) -> bool:
        """Return whether the source was left already, by an earlier try of this move; raises what is in the way."""
        moved = refuse_source(self._source, mark, self._target, begun, move=move)
        if not missing:
            await refuse_target(self._source, self._target, begun)
        await refuse_other_namespace(self._source, self._target)
        if move and not moved:
            await refuse_living(self._source, clock=self._clock, processes=self._processes)
        return moved

    async def _done(self) -> Copied:
        """Return what is there of a move that was ended before; raises StoreMissing where nothing is."""
        seen = await fingerprint(self._target)
        if not seen.records and not seen.events:
            raise StoreMissing(
                f"{self._source.url} has moved to {self._target.url}, and nothing is there any more: "
                "`holdfast store activate` makes the old place the portfolio again",
                url=self._target.url,
            )
        return replace(await self._result(seen, ""), already=True)

    async def _begin(self, begun: Mark | None, expect: Expect) -> str:
        self._id = self._id if begun is None or begun.state == "moved" else begun.copy
        version = await self._put(self._target, self._mark("copying", self._source), expect)
        points.reached("copy.begun")
        return version

    async def _until_equal(self, version: str, *, rounds: int = ROUNDS) -> Fingerprint:
        """Bring the target up to the source until nothing has changed meanwhile; return what it then holds."""
        for _ in range(rounds):
            writer = Writer(
                self._source, self._target, version, clock=self._clock, ids=self._ids, tell=self._tell
            )
            before = await writer.run()
            self._written += writer.written
            after, wrong = await compared(self._source, self._target, tell=self._tell)
            points.reached("copy.compared")
            if before == after and not wrong:
                return after
            if before == after:
                listed = "; ".join(map(str, wrong[:5]))
                raise Corrupt(
                    f"{self._target.url} does not hold what it was given: {listed}. Somebody else writes there, or it "
                    "is broken: copy to an empty store",
                    key=None,
                    reason=listed,
                    path=None,
                )
        raise StoreInUse(
            f"{self._source.url} changes while it is copied, too often to be read twice alike, and a copy is as of one "
            f"instant: stop the run that uses it, or wait until it does less, then run this again; it goes on where it "
            f"was. {self._target.url} is an unfinished copy until then",
            pid=0,
            host="?",
            since=0,
        )

    async def _copied(self, version: str, seen: Fingerprint) -> Copied:
        await self._put(self._target, self._mark("copy", self._source), version)
        points.reached("copy.ended")
        return await self._result(seen, "copy")

    async def _leave(self, expect: Expect) -> None:
        mark = MARK.to_document(self._mark("moved", self._target))
        changes = [Put(MARK_KEY, mark, expect)]
        await leave(self._source, changes, clock=self._clock, ids=self._ids, processes=self._processes)
        points.reached("copy.source-marked")

    async def _moved(self, version: str, seen: Fingerprint) -> Copied:
        # Between the comparison and the mark somebody may have committed; after the mark he has no lease any more.
        if await fingerprint(self._source) != seen:
            seen = await self._until_equal(version)
        await settled(self._target, [Delete(MARK_KEY, version)], clock=self._clock, ids=self._ids)
        points.reached("copy.ended")
        return await self._result(seen, "")

    def _mark(self, state: State, other: Store) -> Mark:
        return Mark(
            state=state,
            url=place_of(other),
            namespace=other.namespace,
            copy=self._id,
            head=self._source.head,
            at=self._clock.now(),
        )

    async def _put(self, store: Store, mark: Mark, expect: Expect) -> str:
        change = Put(MARK_KEY, MARK.to_document(mark), expect)
        return await settled(store, [change], clock=self._clock, ids=self._ids)

    async def _result(self, seen: Fingerprint, mark: str) -> Copied:
        return Copied(
            records=seen.records, events=seen.events, written=self._written, head=self._source.head, mark=mark
        )


def _is_done(mark: Mark | None, target: Store) -> bool:
    """Whether a source's mark says that it has moved to this target."""
    if mark is None or mark.state != "moved":
        return False
    return (mark.url, mark.namespace) == (place_of(target), target.namespace)
