"""The cache under reads, commits, failures and cancelling at random: every answer is one that may be given.

Two processes commit the same number to two keys. Whoever reads both through the cache finds them equal, finds nothing
that was overwritten more than `max_age` ago, and nothing older than what its own process was told is committed.
"""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest

from holdfast.errors import Unavailable
from holdfast.store import Change, CommitId, Key, Put, Record
from holdfast.store.backends.memory import MemoryStore
from holdfast.store.wrappers.base import Wrapper
from holdfast.store.wrappers.cached import Cached
from tests.store.contract import A, B
from tests.store.wrappers.doubles import Clock
from tests.store.wrappers.test_cached import Careless, Mixing

MAX_AGE = 5.0
TURNS = 60


class Jitter(Wrapper):
    """A backend that answers late, sometimes not at all, and whose time goes on meanwhile."""

    def __init__(self, inner: MemoryStore, rng: random.Random, clock: Clock) -> None:
        super().__init__(inner)
        self.rng = rng
        self.clock = clock
        self.history: list[tuple[float, int]] = [(clock.passed, 0)]

    async def get(self, *keys: Key) -> list[Record | None]:
        await self._late()
        found = await self.inner.get(*keys)
        await self._late()
        return found

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        await self._late()
        number = next(change.value for change in changes if isinstance(change, Put))
        done = await self.inner.commit(changes, commit_id=commit_id)
        self.history.append((self.clock.passed, number))
        await self._late()
        return done

    async def _late(self) -> None:
        for _ in range(self.rng.randrange(4)):
            self.clock.passed += self.rng.random() / 5
            await asyncio.sleep(0)
        if self.rng.random() < 0.05:
            raise Unavailable("cut", unknown=True)


class World:
    """One run from a seed; `faults` are the answers that may not be given."""

    def __init__(self, kind: type[Cached], seed: int) -> None:
        self.rng = random.Random(seed)
        self.clock = Clock()
        self.backend = Jitter(MemoryStore(clock=self.clock), self.rng, self.clock)
        self.cache = kind(self.backend, size=100, max_age=MAX_AGE, clock=self.clock)
        self.number = 0
        self.told = 0
        self.faults: list[str] = []

    async def run(self) -> list[str]:
        async with self.cache:
            await self.backend.inner.commit([Put(A, 0), Put(B, 0)])
            theirs = [self.read, self.read, lambda: self.write(self.backend)]
            await asyncio.gather(*(self.loop(do) for do in (*theirs, self.ours)))
        return self.faults

    async def loop(self, do: Any) -> None:
        for _ in range(TURNS):
            task = asyncio.ensure_future(do())
            for _ in range(self.rng.randrange(8)):
                await asyncio.sleep(0)
            if self.rng.random() < 0.1:
                task.cancel()
            with suppress(Unavailable, asyncio.CancelledError):
                await task

    async def ours(self) -> None:
        await (self.write(self.cache) if self.rng.random() < 0.2 else self.read())

    async def write(self, store: Wrapper) -> None:
        self.number += 1
        number = self.number
        await store.commit([Put(A, number), Put(B, number)])
        if store is self.cache:
            self.told = max(self.told, self.place(number))

    async def read(self) -> None:
        keys = self.rng.choice(([A], [B], [A, B], [B, A]))
        began, told = self.clock.passed, self.told
        found = [record.value for record in await self.cache.get(*keys) if record is not None]
        if len(set(found)) > 1:
            self.faults.append(f"torn: {found}")
        place = self.place(found[0])
        if place < told:
            self.faults.append(f"{found[0]} is from before what this process was told of")
        after = self.backend.history[place + 1 : place + 2]
        if after and after[0][0] <= began - MAX_AGE:
            self.faults.append(
                f"{found[0]} was overwritten {began - after[0][0]:.1f} s before it was asked for"
            )

    def place(self, number: int) -> int:
        """Return when a number was committed, in the order of the backend."""
        return next(i for i, (_, known) in enumerate(self.backend.history) if known == number)


def faults(kind: type[Cached], seeds: range) -> list[str]:
    return [f"seed {seed}: {fault}" for seed in seeds for fault in asyncio.run(World(kind, seed).run())]


def test_every_answer_may_be_given() -> None:
    assert faults(Cached, range(100)) == []


def test_the_cache_does_answer() -> None:
    world = World(Cached, 1)
    asyncio.run(world.run())
    assert world.cache.hits > 10


class Ageless(Cached):
    """Control: remembers for ever."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "max_age": 1e9})


@pytest.mark.parametrize(
    ("kind", "words"), [(Mixing, "torn"), (Careless, "was told of"), (Ageless, "was overwritten")]
)
def test_every_answer_may_be_given_control(kind: type[Cached], words: str) -> None:
    assert any(words in fault for fault in faults(kind, range(30)))
