"""The heartbeat of a process that trades: the record of its worker, renewed by commits whose outcome may be unknown."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from holdfast.errors import Conflict, StoreError
from holdfast.store.base import ABSENT, Change, Expect, Key, Put, Store, Version
from holdfast.store.workers import WORKER, Worker, worker_key
from holdfast.system import Clock, Ids

__all__ = ("Heart",)


class Beat(Struct, frozen=True):
    """A heartbeat as it was sent: its commit, and when this began."""

    changes: tuple[Change, ...]
    commit_id: str
    worker: Worker
    since: float


class Heart:
    """Beats for one worker at a time: `id` names it, `version` is its record's, None while there is none."""

    def __init__(self, store: Store, worker: Worker, *, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._worker = worker
        self._clock = clock
        self._ids = ids
        self._since = 0.0
        self._unsettled: Beat | None = None
        self.id = ids()
        self.version: Version | None = None

    @property
    def key(self) -> Key:
        """The key of the worker's record."""
        return worker_key(self.id)

    @property
    def remaining(self) -> float:
        """Seconds for which nobody can take the worker for dead; 0 where this is not certain."""
        if self.version is None:
            return 0.0
        return max(0.0, self._worker.lease - (self._clock.monotonic() - self._since))

    def restart(self) -> None:
        """Be another worker from now on."""
        self.id, self.version, self._unsettled = self._ids(), None, None

    async def beat(self, others: Sequence[Change] = ()) -> Version:
        """Commit the next heartbeat, with other changes, behind one whose outcome is unknown.

        Raises what a commit raises.
        """
        if self._unsettled is not None:
            await self._settle(self._unsettled)
        expect: Expect = ABSENT if self.version is None else self.version
        worker = replace(self._worker, beat=self._worker.beat + 1)
        changes = (Put(self.key, WORKER.to_document(worker), expect), *others)
        # From before it is sent: whoever reads it later watches it for at least as long.
        return await self._settle(Beat(changes, self._ids(), worker, self._clock.monotonic()))

    async def _settle(self, beat: Beat) -> Version:
        """Commit a heartbeat; one that may have happened is sent again, under its id, before anything else."""
        again, self._unsettled = self._unsettled is beat, beat
        try:
            version = await self._store.commit(beat.changes, commit_id=beat.commit_id, vital=True)
        except StoreError as error:
            # A repetition that certainly did nothing says nothing of the try before; only a Conflict does.
            if isinstance(error, Conflict) or not (again or error.facts.get("unknown", False)):
                self._unsettled = None
            raise
        self._unsettled, self._worker, self.version, self._since = None, beat.worker, version, beat.since
        return version
