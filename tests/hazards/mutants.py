"""Stores with one idea changed, around any real one: each is called as a patch by a child of the nursery."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from holdfast.store import ANY, Append, Change, CommitId, Store
from holdfast.store.base import Check, Delete, Put
from holdfast.store.changes import conflict, expectations, meets
from holdfast.store.wrappers.base import Wrapper
from holdfast.testing import workloads
from holdfast.testing.own_adapter import store_of


class FreshIds(Wrapper):
    """Commits each further try under an id of its own: a repeated one is not known again."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self._tries: Counter[str] = Counter()

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        assert commit_id is not None
        fresh = f"{commit_id}-try{self._tries[commit_id]}" if self._tries[commit_id] else commit_id
        self._tries[commit_id] += 1
        await self.inner.commit(changes, commit_id=fresh, vital=vital)
        return commit_id


class InTwo(Wrapper):
    """Commits the records first and the events after them."""

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        assert commit_id is not None
        first = [change for change in changes if not isinstance(change, Append)]
        second = [change for change in changes if isinstance(change, Append)]
        await self.inner.commit(first[:1], commit_id=f"{commit_id}-first", vital=vital)
        return await self.inner.commit([*first[1:], *second], commit_id=commit_id, vital=vital)


class CheckFirst(Wrapper):
    """Looks whether all is as expected, and then writes whatever has come between."""

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        expected = expectations(changes)
        records = await self.inner.get(*(key for key, _ in expected))
        for (key, expect), record in zip(expected, records, strict=True):
            found = None if record is None else record.version
            if not meets(found, expect):
                raise conflict(key, expect, found)
        return await self.inner.commit(
            [_blind(change) for change in changes if not isinstance(change, Check)],
            commit_id=commit_id,
            vital=vital,
        )


class AcknowledgesFirst(Wrapper):
    """Says that a commit is done, and does it a moment later."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self._later: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        assert commit_id is not None
        blind = [_blind(change) for change in changes if not isinstance(change, Check)]
        task = asyncio.create_task(self._do(blind, commit_id))
        self._later.add(task)
        task.add_done_callback(self._later.discard)
        return commit_id

    async def close(self) -> None:
        await asyncio.gather(*self._later)
        await super().close()

    async def _do(self, changes: Sequence[Change], commit_id: CommitId) -> None:
        async with self._turn:
            await asyncio.sleep(0.5)  # so long that a kill finds some undone, on however slow a machine
            await self.inner.commit(changes, commit_id=commit_id)


def _blind(change: Change) -> Change:
    if isinstance(change, Put):
        return Put(change.key, change.value, ANY)
    return Delete(change.key, ANY) if isinstance(change, Delete) else change


def fresh_ids() -> None:
    vars(workloads)["store_of"] = lambda url: FreshIds(store_of(url))


def in_two() -> None:
    vars(workloads)["store_of"] = lambda url: InTwo(store_of(url))


def check_first() -> None:
    vars(workloads)["store_of"] = lambda url: CheckFirst(store_of(url))


def acknowledges_first() -> None:
    vars(workloads)["store_of"] = lambda url: AcknowledgesFirst(store_of(url))
