"""An open namespace: what it durably holds, what is on its way there, and how a commit gets from one to the other.

Everything here runs on the event loop. Reads see the durable state only; a commit is checked against what is
staged as well, and a refusal that rests on something staged is told only once that is durable.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from holdfast.errors import NotOpen, StoreError, StoreFull, Unavailable
from holdfast.store.backends.file.applying import extend
from holdfast.store.backends.file.checkpoint import Snapshot
from holdfast.store.backends.file.disk import Disk
from holdfast.store.backends.file.entries import Committed, encode_entry
from holdfast.store.backends.file.faults import explain
from holdfast.store.backends.file.findings import broken
from holdfast.store.backends.file.opening import Opening
from holdfast.store.backends.file.staging import Pending, Staging
from holdfast.store.backends.file.waiting import Patience
from holdfast.store.backends.file.writer import Writer
from holdfast.store.base import ANY, Change, CommitId, Expect, Key, Version
from holdfast.store.changes import (
    Effect,
    check_commit_id,
    conflict,
    effects,
    expectations,
    meets,
)
from holdfast.store.state import Recent, Stored
from holdfast.system import Clock, Ids, Threads

__all__ = ("Live",)

Mismatch = tuple[Key, Expect, Version | None, Pending | None]


class Live:
    """The durable state of a namespace that this process writes."""

    def __init__(
        self, opening: Opening, disk: Disk, root: str, *, clock: Clock, ids: Ids, threads: Threads,
        wake: Callable[[], None],
    ) -> None:  # fmt: skip
        loaded = opening.loaded
        self.table = loaded.table
        self.streams = loaded.streams
        self.broken = loaded.broken
        self.head = loaded.head
        self.full: StoreFull | None = None
        self.uncovered_bytes = 0
        self._staged = loaded.head
        self._dirty = dict(loaded.touched)
        self._segment = opening.journal.segment
        self._root = root
        self._clock = clock
        self._session = ids()
        self._count = 0
        self._wake = wake
        self._disk = disk
        self._pid = disk.pid()
        self._loop = asyncio.get_running_loop()
        self._staging = Staging()
        self._recent = Recent()
        # All of them as of now: a clock that was set meanwhile must not make a retry a second commit.
        self._recent.add_all(loaded.recent, clock.monotonic())
        self._failure: BaseException | None = None
        self._writer = Writer(
            opening.journal, self._loop, threads,
            settled=self._settled, refused=self._refused, failed=self._failed,
        )  # fmt: skip

    @property
    def failed(self) -> bool:
        """Whether a write or flush failed: nothing is committed any more."""
        return self._failure is not None

    @property
    def uncovered(self) -> bool:
        """Whether there is anything that no checkpoint covers."""
        return self.uncovered_bytes > 0 or bool(self._dirty)

    async def commit(self, changes: Sequence[Change], commit_id: CommitId | None, vital: bool) -> CommitId:
        """Make all changes or none, and return when they are durable."""
        self.check_alive()
        done = effects(changes)
        if commit_id is None:
            commit_id = self._fresh_id()
        else:
            check_commit_id(commit_id)
            if commit_id in self._recent:
                return commit_id
            first = self._staging.commits.get(commit_id)
            if first is not None:
                await first.durable(self._loop)
                return commit_id
        mismatch = self._mismatch(changes)
        if mismatch is not None and await self._vanished(mismatch):
            return await self.commit(changes, commit_id, vital)
        if self.full is not None and not vital:
            raise StoreFull(str(self.full), **self.full.facts)
        await self._stage(commit_id, done).durable(self._loop)
        return commit_id

    def take_dirty(self) -> dict[Key, Stored | None]:
        """Return what changed since this was last asked."""
        dirty, self._dirty = self._dirty, {}
        return dirty

    def put_back(self, changed: Mapping[Key, Stored | None]) -> None:
        """Have `changed` taken again: what was to be done with it failed."""
        self._dirty = {**changed, **self._dirty}

    def snapshot(self, *, clean: bool = False) -> Snapshot:
        """Return what a checkpoint of this instant has to cover."""
        self.uncovered_bytes = 0
        zero = self._clock.now() - int(self._clock.monotonic() * 1000)
        tails = {name: list(stream.tail) for name, stream in self.streams.items() if stream.tail}
        segment = self._segment + 1 if clean else self._segment
        return Snapshot(self.head, segment, tails, self._recent.copy(), zero, clean)

    def fail(self, error: BaseException) -> None:
        """Take no more commits; those on their way to the journal still come to their own end."""
        self._failure = self._failure or error

    async def finish(self, patience: Patience) -> None:
        """Return when every commit on its way has come to its end and the writer has stopped."""
        while self._staging.commits:
            waiters = [pending.durable(self._loop) for pending in self._staging.commits.values()]
            await patience.end(*waiters)
            for waiter in waiters:
                waiter.exception()  # its own caller gets it; this one only waits
        self.stop()

    def stop(self) -> None:
        """Return when what was submitted is written and the writer has stopped, though nobody be told."""
        self._writer.stop()

    @property
    def orphaned(self) -> bool:
        """Whether the event loop that this lives on was closed, so that nobody can be told anything."""
        return self._loop.is_closed() and self._disk.pid() == self._pid

    def check_alive(self) -> None:
        """Raise Unavailable if the store has failed, NotOpen if it was opened elsewhere."""
        if self._failure is not None:
            raise self._unavailable(unknown=False)
        self.check_home()

    def check_home(self) -> None:
        """Raise NotOpen in another process or on another event loop than the one that opened the store."""
        if self._disk.pid() != self._pid:
            message = f"the store was opened by process {self._pid} and cannot be used in a fork of it; open it there"
            raise NotOpen(message, pid=self._pid)
        if asyncio.get_running_loop() is not self._loop:
            message = f"the store was opened on another event loop ({self._loop!r}); use it there, or open it anew here"
            raise NotOpen(message, loop=self._loop)

    def _fresh_id(self) -> CommitId:
        """Return an id that no one else uses: a random one for this opening, and a count."""
        self._count += 1
        return f"{self._session}-{self._count}"

    def _mismatch(self, changes: Sequence[Change]) -> Mismatch | None:
        """Return the first key that is not as expected; raises Corrupt before that for one that is broken."""
        for key, expect in expectations(changes):
            if key in self.broken:
                raise broken(key, self.broken[key])
            if expect is ANY:
                continue
            staged = self._staging.find(key)
            found = self.table.version(key) if staged is None else staged.version(key)
            if not meets(found, expect):
                return key, expect, found, staged
        return None

    async def _vanished(self, mismatch: Mismatch) -> bool:
        """Raise Conflict once it is certain; True if the commit that stood in the way was refused after all."""
        key, expect, found, staged = mismatch
        if staged is not None and not await self._became_durable(staged):
            return True
        raise conflict(key, expect, found)

    async def _became_durable(self, pending: Pending) -> bool:
        try:
            await pending.durable(self._loop)
        except StoreFull:
            return False
        except Unavailable as error:  # whether that one happened is unknown; this one did not
            raise self._unavailable(unknown=False) from error
        return True

    def _stage(self, commit_id: CommitId, done: list[Effect]) -> Pending:
        self._staged += 1
        commit = Committed(self._staged, commit_id, self._clock.now(), done)
        pending = Pending(commit, encode_entry(commit))
        self._staging.add(pending)
        self._writer.submit(pending)
        return pending

    def _settled(self, batch: Sequence[Pending], segment: int) -> None:
        now = self._clock.monotonic()
        self._segment = segment
        changed: dict[Key, Stored | None] = {}
        self._staging.settle(batch)
        for pending in batch:
            changed.update(pending.changed)
            extend(self.streams, pending.commit)
            self.uncovered_bytes += len(pending.line)
            pending.succeed()
        self._recent.add_all([pending.commit.commit_id for pending in batch], now)
        self.head = batch[-1].commit.number
        self.table.update(changed)
        self._dirty.update(changed)
        self._wake()

    def _refused(self, batch: Sequence[Pending], error: Exception) -> None:
        assert isinstance(error, StoreFull)
        self.full = error
        for pending in self._staging.clear():
            pending.fail(lambda: StoreFull(str(error), **error.facts))
        self._staged = self.head
        self._writer.resume()
        self._wake()

    def _failed(self, batch: Sequence[Pending], error: Exception) -> None:
        self._failure = self._failure or error
        written = set(map(id, batch))
        for pending in self._staging.clear():
            unknown = id(pending) in written
            pending.fail(lambda unknown=unknown: self._unavailable(unknown=unknown))  # type: ignore[misc]

    def _unavailable(self, *, unknown: bool) -> Unavailable:
        cause = self._failure
        reason = explain(cause, self._root) if isinstance(cause, OSError) else cause
        error = Unavailable(
            f"the store has failed and must be opened anew: {reason}", unknown=unknown, path=self._root
        )
        error.__cause__ = cause.__cause__ if isinstance(cause, StoreError) and cause.__cause__ else cause
        return error
