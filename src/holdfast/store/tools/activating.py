"""`holdfast store activate`: a copy becomes the portfolio, or a move is undone, and the other place is left with it.

    look at the other place -> nobody alive there, nothing newer -> mark it "moved" to this one, take its leases away
    -> compare once more -> take the mark off this one

Cut off in between both places have a mark, so that neither can be traded on, and the same call goes on.
"""

from holdfast import points
from holdfast.errors import InvalidOption, NotActive, Unsupported
from holdfast.store.base import ABSENT, Delete, Put, Store
from holdfast.store.tools.comparing import differences
from holdfast.store.tools.contents import names_of
from holdfast.store.tools.leaving import leave, refuse_living
from holdfast.store.tools.mark import MARK, MARK_KEY, Mark, mark_of
from holdfast.store.tools.places import place_of
from holdfast.store.tools.refusing import refuse_encrypted
from holdfast.store.tools.writing import settled
from holdfast.system import Clock, Ids, Processes, SystemClock, SystemProcesses, system_ids

__all__ = ("activate",)


async def activate(
    store: Store,
    other: Store | None = None,
    *,
    give_up_newer: bool = False,
    clock: Clock | None = None,
    ids: Ids = system_ids,
    processes: Processes | None = None,
) -> Mark | None:
    """Take the mark off an open store and return it, None where there was none: from now on it can be traded on.

    `other` is the place that the mark is about; it is opened and closed here, and marked as moved to this one, so that
    it refuses to be traded on from then on. Raises StoreInUse where somebody trades there, NotActive where it was
    traded on since (`give_up_newer` does without what happened there). Without `other`, whoever does this knows that
    nobody trades it. Raises Unsupported for an unfinished copy.
    """
    [record] = await store.fresh(MARK_KEY)
    mark = mark_of(record)
    if mark is None or record is None:
        return None
    if mark.state == "copying":
        raise Unsupported(
            f"{store.url} is an unfinished copy of {mark.url}: finish it first, by the same command again",
            url=mark.url,
        )
    clock = clock or SystemClock()
    if other is not None:
        processes = processes or SystemProcesses()
        left = _Left(store.uncached, other.uncached, mark, clock=clock, ids=ids, processes=processes)
        async with other.uncached:
            await left.run(give_up_newer=give_up_newer)
    await settled(store, [Delete(MARK_KEY, record.version)], clock=clock, ids=ids)
    return mark


class _Left:
    """The other place, open, on its way to being one that nobody trades on."""

    def __init__(
        self, store: Store, other: Store, mark: Mark, *, clock: Clock, ids: Ids, processes: Processes
    ) -> None:
        if (place_of(other), other.namespace) != (mark.url, mark.namespace):
            raise InvalidOption(
                f"the other place of {store.url} is namespace {mark.namespace!r} of {mark.url}, and not "
                f"{other.namespace!r} of {place_of(other)}"
            )
        self._store, self._other, self._mark = store, other, mark
        self._clock, self._ids, self._processes = clock, ids, processes

    async def run(self, *, give_up_newer: bool) -> None:
        """Leave it where it can be traded on; raises what says that it must not be left."""
        await refuse_encrypted(self._other)
        theirs = mark_of((await self._other.fresh(MARK_KEY))[0])
        names = await names_of(self._other)
        if theirs is None and (names.entities or names.streams):
            await self._leave(give_up_newer=give_up_newer)
        elif theirs is not None and not self._is_this(theirs) and not give_up_newer:
            raise NotActive(
                f"{self._other.url} is marked {theirs.state!r} itself, of {theirs.url} ({theirs.namespace}): look who "
                "trades there. Nothing was changed; --give-up-newer does not look",
                state=theirs.state, url=theirs.url, namespace=theirs.namespace,
            )  # fmt: skip

    async def _leave(self, *, give_up_newer: bool) -> None:
        await refuse_living(self._other, clock=self._clock, processes=self._processes)
        if not give_up_newer:
            await self._refuse_newer()
        moved = Mark(
            state="moved", url=place_of(self._store), namespace=self._store.namespace, copy=self._mark.copy,
            head=self._other.head, at=self._clock.now(),
        )  # fmt: skip
        changes = [Put(MARK_KEY, MARK.to_document(moved), ABSENT)]
        await leave(self._other, changes, clock=self._clock, ids=self._ids, processes=self._processes)
        points.reached("activate.other-left")
        if (
            not give_up_newer
        ):  # whoever committed between the comparison and the mark commits nothing more now
            await self._refuse_what_was_in_between()

    async def _refuse_newer(self) -> None:
        wrong = await differences(self._store, self._other, most=1)
        if wrong:
            raise NotActive(
                f"{self._other.url} was traded on since, or is another portfolio ({wrong[0]}). Nothing was changed. Go "
                f"on there; or bring it to a new place (`holdfast store copy {self._other.url} NEW --move`); "
                "--give-up-newer trades on this one, and what happened there since is not in it",
                state="traded", url=self._other.url, namespace=self._other.namespace,
            )  # fmt: skip

    async def _refuse_what_was_in_between(self) -> None:
        try:
            await self._refuse_newer()
        except NotActive:
            [record] = await self._other.fresh(MARK_KEY)
            if record is not None:
                await settled(
                    self._other, [Delete(MARK_KEY, record.version)], clock=self._clock, ids=self._ids
                )
            raise

    def _is_this(self, theirs: Mark) -> bool:
        """Whether the other place's own mark is about this one: it is refused there, and nobody else has it."""
        return (theirs.url, theirs.namespace) == (place_of(self._store), self._store.namespace)
