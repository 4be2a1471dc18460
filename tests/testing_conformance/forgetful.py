"""A replica that forgets on crash: what it is owed is kept in the memory of the process that owes it."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from holdfast.errors import NotOpen
from holdfast.store import Change, CommitId, Store, open_store
from holdfast.store.wrappers.base import Wrapper
from holdfast.system import system_ids


class Forgetful(Wrapper):
    """Acknowledges what the primary has, and passes it on behind the caller's back."""

    def __init__(self, inner: Store, replica: Store) -> None:
        super().__init__(inner)
        self._replica = replica
        self._owed: asyncio.Queue[tuple[Sequence[Change], CommitId]] = asyncio.Queue()
        self._following: asyncio.Task[None] | None = None

    async def open(self) -> None:
        await self.inner.open()
        if self._following is None:
            await self._replica.open()
            self._following = asyncio.create_task(self._follow())

    async def close(self) -> None:
        following, self._following = self._following, None
        if following is not None:
            await self._owed.join()
            following.cancel()
            await asyncio.wait({following})
            await self._replica.close()
        await self.inner.close()

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        if self._following is None:
            raise NotOpen("the store is not open")
        name = system_ids() if commit_id is None else commit_id
        await self.inner.commit(changes, commit_id=name, vital=vital)
        self.owe(changes, name)
        return name

    def owe(self, changes: Sequence[Change], name: CommitId) -> None:
        self._owed.put_nowait((changes, name))

    async def _follow(self) -> None:
        while True:
            changes, name = await self._owed.get()
            with suppress(Exception):
                await self._replica.commit(changes, commit_id=name)
            self._owed.task_done()


def forgetful(*, folder: str, namespace: str) -> Store:
    """Return a store of a primary and a replica."""
    return Forgetful(
        open_store(f"sqlite:///{folder}/state.db", namespace=namespace),
        open_store(replica_of(folder, namespace)),
    )


def replica_of(folder: str, namespace: str) -> str:
    return f"sqlite:///{folder}/replica.db?namespace={namespace}"
