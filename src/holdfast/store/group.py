"""Group commit: commits that wait while one batch is written are written together as the next.

For backends whose round trip or flush costs more than the commit itself. There is no linger: a commit that
comes alone goes alone, at once.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from holdfast.errors import NotOpen, Unavailable
from holdfast.store.base import Change, CommitId, Expect, Key
from holdfast.store.changes import Effect, check_commit_id, effects, expectations

__all__ = ("GroupCommit", "Outcome", "Request")

MOST: Final = 256

Outcome = Exception | None
"""What became of a commit: None where it is as durable as the store declares, else what to raise."""


class Request:
    """A commit that was asked for, checked and encoded; raises InvalidKey or InvalidValue when made."""

    __slots__ = ("answer", "commit_id", "effects", "expectations", "vital")

    def __init__(self, changes: Sequence[Change], commit_id: CommitId, *, vital: bool = False) -> None:
        check_commit_id(commit_id)
        self.commit_id = commit_id
        self.effects: list[Effect] = effects(changes)
        self.expectations: list[tuple[Key, Expect]] = expectations(changes)
        self.vital = vital
        self.answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settle(self, outcome: Outcome) -> None:
        """Answer whoever waits, unless he has given up."""
        if self.answer.done():
            return
        if outcome is None:
            self.answer.set_result(None)
        else:
            self.answer.set_exception(outcome)
            self.answer.exception()  # seen: a caller who is cancelled at this instant never asks


Write = Callable[[Sequence[Request]], Awaitable[Sequence[Outcome]]]


class GroupCommit:
    """Hands waiting commits to `write`, a batch at a time and in order; never two batches at once.

    `write` returns one outcome a request, in their order; where it raises, every request of the batch fails with
    that. A caller who is cancelled while his commit waits takes it back; once it is being written it goes on.
    """

    def __init__(self, write: Write, *, most: int = MOST) -> None:
        self._write = write
        self._most = most
        self._waiting: deque[Request] = deque()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def commit(self, request: Request) -> CommitId:
        """Return the request's commit id once it is written; raises what `write` says of it."""
        if self._closed:
            raise NotOpen("the store was closed")
        self._waiting.append(request)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="holdfast-group-commit")
        await request.answer
        return request.commit_id

    async def close(self) -> None:
        """Refuse new commits, and return when those that were asked for are answered.

        Also where the caller is cancelled meanwhile, who is told afterwards: what they use is not taken from them.
        """
        self._closed = True
        cancelled: asyncio.CancelledError | None = None
        while self._task is not None and not self._task.done():
            try:
                await asyncio.wait([self._task])
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled

    async def _run(self) -> None:
        try:
            while self._waiting:
                taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._most))]
                batch = [request for request in taken if not request.answer.done()]
                if batch:
                    await self._written(batch)
        finally:  # nothing waits here, unless this task was cancelled: nobody would come for them
            _fail(
                self._waiting, Unavailable("the commit was not begun: its task was cancelled", unknown=False)
            )
            self._waiting.clear()

    async def _written(self, batch: Sequence[Request]) -> None:
        try:
            for request, outcome in zip(batch, await self._write(batch), strict=True):
                request.settle(outcome)
        except Exception as error:
            _fail(batch, error)
        except BaseException:
            _fail(batch, Unavailable("the commit's task was cancelled while it was written", unknown=True))
            raise


def _fail(batch: Iterable[Request], error: Exception) -> None:
    for request in batch:
        request.settle(_copy(error))


def _copy(error: Exception) -> Exception:
    """Return an error with a traceback of its own, or the error itself where it cannot be made again."""
    try:
        each = type(error)(*error.args, **getattr(error, "facts", {}))
    except TypeError:
        return error
    each.__cause__ = error.__cause__
    return each
