"""A primary and its replicas in tests: what they hold, a workload of every kind of change, a store that is down."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from holdfast.errors import Unavailable
from holdfast.store import Append, Change, CommitId, Delete, Key, Put, Record, Store
from holdfast.store.wrappers.base import Wrapper
from holdfast.store.wrappers.replicated import Replicated
from holdfast.store.wrappers.replicated.records import is_ours
from tests.store.contract import everything

A, B = Key("signal.one", "BTCUSDT"), Key("risk", "all")


class Down(Wrapper):
    """A store that cannot be reached while `down`; counts the `commits` that reach it."""

    down = False
    commits = 0

    async def open(self) -> None:
        self._check()
        await super().open()

    async def get(self, *keys: Key) -> list[Record | None]:
        self._check()
        return await super().get(*keys)

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        self._check()
        self.commits += 1
        return await super().commit(changes, commit_id=commit_id, vital=vital)

    def _check(self) -> None:
        if self.down:
            raise Unavailable("it is down", unknown=False)


async def held(store: Store) -> dict[str, Any]:
    """Return all that a store holds, versions included, without what replication keeps there."""
    names = await store.names()
    return {
        "records": {
            r.key: (r.value, r.version)
            for n in names.entities if not is_ours(n) for r in await everything(store.scan(n))
        },
        "streams": {s: await everything(store.read(s)) for s in names.streams if not is_ours(s)},
    }  # fmt: skip


def some(number: int) -> list[Change]:
    """Return the changes of a commit: every kind there is."""
    changes: list[Change] = [
        Put(Key("signal.one", f"S{number % 5}"), {"n": number, "x": [1.0, -0.0, None]}),
        Append("history.one", number),
        Append("history.two", [number, number]),
    ]
    if number % 3 == 0:
        changes.append(Delete(Key("signal.one", f"S{(number + 1) % 5}")))
    if number % 4 == 0:
        changes += [Append("history.one", "again"), Put(B, number)]
    return changes


async def write(store: Store, count: int, *, first: int = 0, together: int = 16) -> None:
    for start in range(first, first + count, together):
        numbers = range(start, min(start + together, first + count))
        await asyncio.gather(*(store.commit(some(number)) for number in numbers))


async def equal(store: Replicated, replica: Store) -> None:
    assert await store.caught_up()
    [verified] = await store.verify()
    assert verified.equal, verified
    assert await held(store) == await held(replica)


def pair(folder: Path, kind: str = "sqlite") -> tuple[str, str]:
    one, two = folder / "one", folder / "two"
    return (
        (f"sqlite:///{one}.db", f"sqlite:///{two}.db") if kind == "sqlite" else (f"file:{one}", f"file:{two}")
    )
