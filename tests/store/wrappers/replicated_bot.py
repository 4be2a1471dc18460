"""The processes that the crash tests of replication kill, and the ways to break it that they must notice."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from holdfast import points
from holdfast.store import Change, CommitId, Put, open_store
from holdfast.store.changes import effects
from holdfast.store.guard import GUARD
from holdfast.store.wrappers.replicated import promote, replicated
from holdfast.store.wrappers.replicated.follower import Follower
from holdfast.store.wrappers.replicated.outbox import Outbox
from holdfast.store.wrappers.replicated.records import Owed, document
from holdfast.system import system_ids
from tests.store.wrappers.replicas import some

TOGETHER = 20


async def trade(
    primary: str, replica: str, folder: str, count: int, *, follow: bool = True
) -> dict[str, Any]:
    """Go on committing behind what was acknowledged, up to `count`, and say whether the replica is equal then.

    With `follow` False nobody waits for the replica: it is down.
    """
    acks = Path(folder) / "acks"
    done = len(acks.read_bytes()) if acks.exists() else 0
    async with replicated(open_store(primary), [open_store(replica)], poll=0.02) as store:
        with acks.open("ab", buffering=0) as told:
            for first in range(done, count, TOGETHER):
                # Those that were cut off are committed again, under their ids: whether they happened is not known.
                batch = range(first, min(first + TOGETHER, count))
                await asyncio.gather(*(store.commit(some(n), commit_id=f"c{n}") for n in batch))
                told.write(b"." * len(batch))
        if not follow:
            return {"equal": None}
        caught_up = await store.caught_up(seconds=150)
        [verified] = await store.verify() if caught_up else [None]
        return {
            "equal": verified is not None and verified.equal,
            "events": verified.events if verified else 0,
            "said": str(verified or store.followers[0].error),
        }


async def take_over(old: str, replica: str) -> dict[str, Any]:
    """Promote the replica."""
    done = await promote(open_store(replica), old=open_store(old))
    return {"epoch": done.epoch, "number": done.number, "loss": done.loss is not None}


# ------------------------------------------------------------ controls


def owed_in_memory() -> None:
    """What a replica is owed is known to the process that committed it, and to nobody else."""
    owed: list[Owed] = []

    def owing(self: Outbox, changes: Sequence[Change], commit_id: CommitId) -> list[Change]:
        owed.append(Owed(len(owed) + 1, commit_id, 0, effects(changes)))
        return [*changes, self.check]

    async def page(self: Outbox, number: int, last: CommitId | None, limit: int) -> list[Owed]:
        return owed[number : number + limit]

    async def linked(self: Outbox, number: int, last: CommitId | None, limit: int) -> list[Any]:
        return []

    async def length(self: Outbox) -> int:
        return len(owed)

    for made in (owing, page, linked, length):
        setattr(Outbox, made.__name__, made)


def counted_later() -> None:
    """A commit is applied first, under an id of its own, and counted in another commit."""

    async def applied(self: Follower, page: Sequence[Owed]) -> bool:
        for owed in page:
            [guard] = await self.store.get(GUARD)
            assert guard is not None
            version = await self.store.commit(
                [*owed.changes(), Put(GUARD, guard.value, guard.version)], commit_id=system_ids()
            )
            points.reached("replicated.applied")
            position = replace(self.standing.at, number=owed.number, last=owed.commit_id)
            await self.store.commit([Put(GUARD, document(position), version)])
            await self.standing.reload()
        return True

    Follower._applied = applied  # type: ignore[method-assign]


def not_fenced() -> None:
    """The old primary is drained and goes on."""

    async def fence(self: Outbox, url: str, namespace: str) -> None:
        pass

    Outbox.fence = fence  # type: ignore[method-assign]
