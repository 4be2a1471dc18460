"""Stores of another process, as a wrapper sees them: one that is held, and one that fails when it is told to."""

import asyncio
from collections.abc import Sequence

from holdfast.store import Change, CommitId, Key, Record
from holdfast.store.wrappers.base import Wrapper


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.passed = 1_000.0

    def now(self) -> int:
        return round(self.passed * 1_000)

    def monotonic(self) -> float:
        return self.passed

    async def sleep(self, seconds: float) -> None:
        self.passed += seconds
        await asyncio.sleep(0)


class Gate(Wrapper):
    """Answers late: a `get` or `commit` that has happened waits for `answer` while `held`; may then raise `fails`.

    `gets` counts. Nothing is faked: what is inside has done its work when the answer is held back.
    """

    def __init__(self, inner: Wrapper | object) -> None:
        super().__init__(inner)  # type: ignore[arg-type]
        self.gets = 0
        self.held = False
        self.fails: Exception | None = None
        self.happened = asyncio.Event()
        self.answer = asyncio.Event()

    async def get(self, *keys: Key) -> list[Record | None]:
        self.gets += 1
        found = await self.inner.get(*keys)
        await self._hold()
        return found

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        done = await self.inner.commit(changes, commit_id=commit_id, vital=vital)
        await self._hold()
        return done

    async def _hold(self) -> None:
        if self.held:
            self.happened.set()
            await self.answer.wait()
        if self.fails is not None:
            raise self.fails
