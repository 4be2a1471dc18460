"""A primary with replicas: commits block on the primary alone, and what replicas are owed is part of them."""

import asyncio
from collections.abc import Sequence
from typing import Final

from holdfast import points
from holdfast.errors import Conflict, NotOpen, Unsupported, WentBack
from holdfast.store.base import Append, Change, Check, CommitId, Names, Store
from holdfast.store.changes import check_commit_id
from holdfast.store.guard import GUARD
from holdfast.store.wrappers.base import Wrapper
from holdfast.store.wrappers.replicated.follower import Follower
from holdfast.store.wrappers.replicated.outbox import Outbox
from holdfast.store.wrappers.replicated.promotion import set_aside
from holdfast.store.wrappers.replicated.records import Loss, is_ours, lost
from holdfast.store.wrappers.replicated.status import Lag
from holdfast.store.wrappers.replicated.verifying import Verified, verify
from holdfast.system import Clock, Ids, SystemClock, system_ids

__all__ = ("Replicated",)

FIRST_CONTACT: Final = 2.0
DRAIN: Final = 5.0

WARNING: Final = (
    "Replicas follow behind: one that is promoted while the primary is gone may lack its newest commits, and a run "
    "there halts and compares with the exchange."
)


class Replicated(Wrapper):
    """A store whose commits are repeated by replicas, in order, whatever dies meanwhile; reads go to the primary.

    Opening it makes the namespace a replicated one, from when on a commit past this wrapper is refused, in every
    process. It waits shortly for the replicas, and goes on without those that do not answer.
    """

    def __init__(
        self,
        primary: Store,
        replicas: Sequence[Store],
        *,
        clock: Clock | None = None,
        ids: Ids = system_ids,
        poll: float = 1.0,
    ) -> None:
        super().__init__(primary)
        self._replicas = list(replicas)
        self._clock = clock or SystemClock()
        self._ids = ids
        self._poll = poll
        self._changing = asyncio.Lock()
        self._outbox: Outbox | None = None
        self._following: list[tuple[Follower, asyncio.Task[None]]] = []
        self._loss: Loss | None = None
        self._told = False

    @property
    def warnings(self) -> tuple[str, ...]:  # type: ignore[override]
        """What weakens a promise: of the primary, and of these replicas as they are now."""
        told = [f.told for f, _ in self._following if f.told]
        return (*self.inner.warnings, WARNING, *told, *([] if self._loss is None else [lost(self._loss)]))

    @property
    def followers(self) -> tuple[Follower, ...]:
        """The replicas' followers, in the order of the replicas; none while the store is closed."""
        return tuple(follower for follower, _ in self._following)

    async def open(self) -> None:
        """Open the primary, and follow with the replicas; opening an open store does nothing.

        Raises what the primary's `open` raises, Unavailable (`retryable=False`) where a replica was promoted.
        """
        async with self._changing:
            if self._outbox is None:
                try:
                    await self._open()
                except BaseException:
                    await self._close()
                    raise

    async def _open(self) -> None:
        await self.inner.open()
        outbox = Outbox(self.inner, clock=self._clock, ids=self._ids)
        await outbox.begin()
        self._loss = await outbox.loss()
        self._outbox = outbox
        for store in self._replicas:
            self._follow(outbox, store)
        contacts = [asyncio.ensure_future(follower.contact.wait()) for follower in self.followers]
        try:
            if contacts:
                await asyncio.wait(contacts, timeout=FIRST_CONTACT)
        finally:
            for contact in contacts:
                contact.cancel()
        await outbox.begin()  # raises where a replica turned out to be the primary now

    def _follow(self, outbox: Outbox, store: Store) -> None:
        follower = Follower(outbox, store, clock=self._clock, ids=self._ids, poll=self._poll)
        task = asyncio.create_task(follower.run(), name="holdfast-replica")
        self._following.append((follower, task))

    async def close(self) -> None:
        """Let replicas that answer catch up, for a few seconds, and close everything; closing it twice does nothing."""
        async with self._changing:
            await self._close()

    async def _close(self) -> None:
        self._outbox = None
        following, self._following = self._following, []
        try:
            for follower, _ in following:
                follower.stop()
            answering = [task for f, task in following if f.contact.is_set() and f.error is None]
            if answering:
                await asyncio.wait(answering, timeout=DRAIN)
        finally:
            for _, task in following:
                task.cancel()
            await asyncio.gather(*(task for _, task in following), return_exceptions=True)
            for store in self._replicas:
                await store.close()
            await self.inner.close()

    async def names(self) -> Names:
        """Return the entity names and streams of the primary, without what replication keeps there."""
        found = await self.inner.names()
        entities = [name for name in found.entities if not is_ours(name)]
        return Names(tuple(entities), tuple([name for name in found.streams if not is_ours(name)]))

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        """Make all changes or none, on the primary, with what replicas are owed; as durable as there when it returns.

        Raises Unavailable (`retryable=False`) where another one was promoted meanwhile, and WentBack, once, where this
        one was and may lack commits (until `accept_loss`).
        """
        outbox = self._opened()
        self._tell_loss(changes)
        commit_id = self._ids() if commit_id is None else commit_id
        check_commit_id(commit_id)
        try:
            await self.inner.commit(outbox.owing(changes, commit_id), commit_id=commit_id, vital=vital)
        except Conflict as error:
            if error.key != GUARD:
                raise
            raise await outbox.refusal() from error
        points.reached("replicated.committed")
        for follower, _ in self._following:
            follower.wake()
        return commit_id

    # ------------------------------------------------------------ the replicas

    async def lag(self) -> list[Lag]:
        """Return how far each replica is behind, in their order."""
        outbox = self._opened()
        length = await outbox.length()
        return [await self._lag(outbox, follower, length) for follower in self.followers]

    async def _lag(self, outbox: Outbox, follower: Follower, length: int) -> Lag:
        position, error, store = follower.position, follower.error, follower.store
        number = await outbox.members.acknowledged_by(store) if position is None else position.number
        behind = None if number is None else max(length - number, 0)
        return Lag(
            url=store.url, namespace=store.namespace, commits=behind,
            seconds=await outbox.age(number + 1) if number is not None and behind else None if behind is None else 0.0,
            state="unknown" if position is None else position.state, error=None if error is None else str(error),
        )  # fmt: skip

    async def behind(self) -> tuple[str, ...]:
        """Return one sentence for each replica that lacks commits; those that follow are given a moment to catch up."""
        limit = self._clock.monotonic() + FIRST_CONTACT
        while True:
            lags = await self.lag()
            late = [one for one in lags if one.commits != 0]
            if not any(one.error is None and one.state == "following" for one in late):
                break
            if self._clock.monotonic() > limit:
                break
            await self._clock.sleep(0.01)
        return (*await self.inner.behind(), *(one.sentence for one in late))

    async def caught_up(self, *, seconds: float = 60.0) -> bool:
        """Wait until every replica has all that is committed now; False where one has not, in that time."""
        length = await self._opened().length()
        limit = self._clock.monotonic() + seconds
        while any(
            f.error is not None or f.position is None or not f.position.is_whole or f.position.number < length
            for f in self.followers
        ):
            if self._clock.monotonic() > limit:
                return False
            await self._clock.sleep(0.01)
        return True

    async def verify(self) -> list[Verified]:
        """Compare every replica with the primary, each key and event at one position of both, while others commit."""
        outbox = self._opened()
        return [await verify(outbox, follower, self._clock) for follower in self.followers]

    async def reseed(self, diverged: Store, fresh: Store) -> None:
        """Have `fresh`, which must be empty, take the place of a replica; that one is kept as it is and set aside.

        Nothing is overwritten: streams only grow, so what went its own way stays where it went. From now on, name
        `fresh` in the URL.
        """
        outbox = self._opened()
        number = next((n for n, (f, _) in enumerate(self._following) if f.store is diverged), None)
        if number is None:
            raise Unsupported(f"{diverged.url} is none of the replicas of this store")
        follower, task = self._following.pop(number)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        name = await set_aside(diverged, fresh, str(follower.error or "re-seeded"), clock=self._clock)
        await diverged.close()
        if name is not None:
            await outbox.members.forget(name)
        self._replicas[self._replicas.index(diverged)] = fresh
        self._follow(outbox, fresh)

    async def accept_loss(self) -> None:
        """Take what a promotion lost for dealt with: the exchange was asked, and the books are right."""
        await self._opened().accept()
        self._loss = None

    async def forget(self, name: str) -> None:
        """Owe the replica of that name (a key of `members`) nothing more: it is gone for good."""
        await self._opened().members.forget(name)

    def _opened(self) -> Outbox:
        if self._outbox is None:
            raise NotOpen(
                "the store is not open: use `async with store`, or `await store.open()`", url=self.url
            )
        return self._outbox

    def _tell_loss(self, changes: Sequence[Change]) -> None:
        """Raise once what a run is to halt for; the run that goes on after that has been told.

        Who trades here (Holdfast's own records) may be settled before: only its holder can halt a symbol.
        """
        if self._loss is not None and not self._told and any(_is_portfolio(change) for change in changes):
            self._told = True
            raise WentBack(
                lost(self._loss), known=self._loss.number + self._loss.at_least, found=self._loss.number
            )


def _is_portfolio(change: Change) -> bool:
    name = change.stream if isinstance(change, Append) else change.key.entity_name
    return not isinstance(change, Check) and not name.startswith("holdfast.")
