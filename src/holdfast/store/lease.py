"""Who may trade, where several processes can open one store: a lease on each (strategy, symbol).

A fence and a clock. The fence: every commit of a run checks its own owner records, so that one which has lost
them commits nothing more. The clock: a fence stops writes, not sends, so nothing is sent unless the lease has
longer to run than the request can take; it runs from before the last heartbeat was sent. (M. Kleppmann, "How to do
distributed locking", 2016, on why a lease without a fence is no mutual exclusion.)
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Any, Final, Self

from holdfast import points
from holdfast.errors import Conflict, LeaseHeld, LeaseLost, StoreError, Unavailable
from holdfast.store.base import ABSENT, Change, Check, Delete, Put, Record, Store, Version
from holdfast.store.heart import Heart
from holdfast.store.hold import Hold, Waiting
from holdfast.store.workers import (
    OWNER,
    WORKER,
    Owner,
    Seating,
    Watch,
    Worker,
    described,
    named,
    owner_key,
    worker_key,
    worker_of,
)
from holdfast.system import Clock, Ids, Processes

__all__ = ("LEASE_SECONDS", "POINTS", "Lease")

POINTS: Final = ("lease.taken", "lease.renewed", "lease.released")
"""The crash points of a lease, in no order."""

LEASE_SECONDS: Final = 10.0
BEATS: Final = 4
"""Heartbeats in a lease's time: three may be late, and nothing is lost."""


class Lease(Hold):
    """What a run holds where several processes can open the store: takes seats, keeps beating, lets go at the end.

    Use it as `async with`: the heart beats while inside. It commits to the store it was given.
    """

    def __init__(
        self, store: Store, *, clock: Clock, ids: Ids, processes: Processes, seconds: float = LEASE_SECONDS
    ) -> None:
        self._store = store
        self._clock = clock
        self._seconds = seconds
        worker = Worker(process=processes.this(), since=clock.now(), lease=seconds)
        self._heart = Heart(store, worker, clock=clock, ids=ids)
        self._owned: dict[Seating, Version] = {}
        self._retaking: set[Seating] = set()
        self._renewing = asyncio.Lock()
        self._watch = Watch(store, clock=clock, processes=processes)
        self._lost: LeaseLost | None = None
        self._keeping: asyncio.Task[None] | None = None

    @property
    def remaining(self) -> float:
        """Seconds for which nobody else can take the seats; 0 where this is not certain."""
        return self._heart.remaining if self._lost is None else 0.0

    def checks(self, seats: Iterable[Seating]) -> list[Change]:
        """Return what a commit about these seats must check: that they are still this run's; raises LeaseLost."""
        asked = list(seats)
        if missing := [owner_key(seat) for seat in asked if seat not in self._owned]:
            raise LeaseLost(f"{named(missing)}: this run has let go of it", key=missing[0])
        return [Check(owner_key(seat), self._owned[seat]) for seat in asked]

    def check(self) -> None:
        """Raise LeaseLost where a heartbeat has found that somebody else has taken over."""
        if self._lost is not None:
            raise self._lost

    def lost(self, error: Conflict) -> LeaseLost | None:
        """Return the LeaseLost that a Conflict amounts to, None where it is about something else."""
        mine = {owner_key(seat) for seat in self._owned} | {self._heart.key}
        if error.key not in mine:
            return None
        self._lost = LeaseLost(
            f"{named(map(owner_key, self._owned))}: another process trades this now. This run "
            f"had not shown for {self._seconds:g} s that it was alive; it sends nothing more",
            key=error.key,
        )
        return self._lost

    # ------------------------------------------------------------ taking

    async def take(
        self, seats: Iterable[Seating], *, wait: bool = False, waiting: Waiting = lambda reason: None
    ) -> None:
        """Become the owner of all of these seats, at one instant, or of none.

        A dead owner's are taken over: at once where this machine knows that it is dead, else when its heartbeat has
        stood still for its lease's time. A live one's raise LeaseHeld that names it, or with `wait` are waited for.
        `waiting` is told for whom and why, once each.
        """
        wanted = sorted(set(seats) - set(self._owned))
        told = set[str]()
        while wanted:
            records = await self._store.get(*map(owner_key, wanted))
            alive = False
            for held, certain in await self._living(records):
                alive = True
                if certain and not wait:
                    raise held
                reason = _waits_for(held, certain)
                if reason not in told:
                    told.add(reason)
                    waiting(reason)
            if not alive and await self._taken(wanted, records):
                return
            await self._clock.sleep(self._seconds / 20 if alive else 0)

    async def held_by_others(self, seats: Iterable[Seating]) -> set[Seating]:
        """Return which of these seats another, living process trades; watches a heartbeat where that is not sure."""
        wanted = sorted(set(seats) - set(self._owned))
        while True:
            records = await self._store.get(*map(owner_key, wanted))
            states = {worker: await self._watch.alive(worker) for worker in self._foreign(records)}
            if None not in states.values():
                break
            await self._clock.sleep(self._seconds / 20)
        owners = zip(wanted, records, strict=True)
        return {seat for seat, record in owners if record is not None and states.get(worker_of(record))}

    def _foreign(self, records: Sequence[Record | None]) -> list[str]:
        return sorted({worker_of(record) for record in records if record is not None} - {self._heart.id})

    async def _living(self, records: Sequence[Record | None]) -> list[tuple[LeaseHeld, bool]]:
        """Return the owners that are alive (True), and those that may be."""
        states = [(name, await self._watch.alive(name)) for name in self._foreign(records)]
        return [
            (await self._held(name, records), state is True) for name, state in states if state is not False
        ]

    async def _taken(self, wanted: Sequence[Seating], records: Sequence[Record | None]) -> bool:
        """Commit the new owners, and that the old ones were still dead; return False where one was not."""
        gone = {name: await self._watch.record(name) for name in self._foreign(records)}
        dead: list[Change] = []
        for name, record in gone.items():
            if record is None:
                dead.append(Check(worker_key(name), ABSENT))
            elif await self._watch.alive(name) is False:
                dead.append(Delete(worker_key(name), record.version))
            else:
                return False
        owner = OWNER.to_document(Owner(worker=self._heart.id))
        expects = [ABSENT if record is None else record.version for record in records]
        owners = [Put(owner_key(s), owner, e) for s, e in zip(wanted, expects, strict=True)]
        async with self._renewing:
            try:
                version = await self._heart.beat([*dead, *owners])
            except Conflict as error:
                if (lost := self.lost(error)) is not None:
                    raise lost from error
                return False  # somebody else was first, or is alive after all
        self._owned.update(dict.fromkeys(wanted, version))
        points.reached("lease.taken")
        return True

    async def _held(self, name: str, records: Sequence[Record | None]) -> LeaseHeld:
        keys = [r.key for r in records if r is not None and worker_of(r) == name]
        record = await self._watch.record(name)
        facts: dict[str, Any] = {"pid": 0, "host": "?", "since": 0}
        if record is not None:
            worker = WORKER.from_document(record.value)
            facts = {"pid": worker.process.pid, "host": worker.process.host, "since": worker.since}
        return LeaseHeld(
            f"{named(keys)} is traded by {described(**facts)}, which is alive: "
            "stop that one first, or wait for it (wait=True, --wait)",
            seats=named(keys),
            **facts,
        )

    # ------------------------------------------------------------ keeping

    async def renew(self) -> None:
        """Show that this process is alive; raises LeaseLost where it was taken for dead, and Unavailable."""
        async with self._renewing:
            self.check()
            try:
                await self._heart.beat()
            except Conflict as error:
                raise self.lost(error) or error from error
            points.reached("lease.renewed")

    async def ensure(self, seconds: float) -> None:
        """Return while nobody else can take the seats for longer than that; renews the lease where need be.

        Raises LeaseLost, and Unavailable where the store does not let the lease be renewed in time.
        """
        self.check()
        if self.remaining <= seconds:
            await self.renew()
        if self.remaining <= seconds:
            raise Unavailable(
                f"{self._store.url} is too slow to keep a lease of {self._seconds:g} s", unknown=False
            )

    async def retake(self) -> None:
        """Take all seats anew, in a store that has lost what was held in it; raises LeaseHeld.

        Where it fails (Unavailable), the next call is about the same seats.
        """
        async with self._renewing:  # a heartbeat under way would say afterwards what the store has lost
            self._retaking |= set(self._owned)
            self._owned = {}
            self._watch.end(self._heart.id)  # a store that still has it, or has it again, makes nobody wait
            self._heart.restart()
            self._lost = None
        await self.take(self._retaking)
        self._retaking = set()
        if self._keeping is not None and self._keeping.done():  # it had found that the lease was lost
            self._begin()

    async def __aenter__(self) -> Self:
        self._begin()
        return self

    def _begin(self) -> None:
        self._keeping = asyncio.create_task(self._keep(), name="holdfast-lease")

    async def __aexit__(self, *_: object) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])
        await self._release()

    async def _keep(self) -> None:
        """Beat until cancelled, or the lease is lost, which `check` and every commit then say."""
        log = logging.getLogger("holdfast.live")
        while self._lost is None:
            await self._clock.sleep(self._seconds / BEATS)
            try:
                if self._heart.version is not None:
                    await self.renew()
            except LeaseLost as error:  # the run's next step raises it, and so tells of it
                log.warning("%s", error)
            except StoreError as error:  # the store's own troubles are told where something is committed
                log.warning("no heartbeat: %s", error)

    async def _release(self) -> None:
        """Let others have the seats at once; where that fails the lease runs out by itself."""
        version = self._heart.version
        if version is None or self._lost is not None:
            return
        owners = [Delete(owner_key(seat), owned) for seat, owned in self._owned.items()]
        try:
            await self._store.commit([Delete(self._heart.key, version), *owners], vital=True)
            points.reached("lease.released")
        except StoreError as error:
            logging.getLogger("holdfast.live").warning("the lease is left to run out: %s", error)
        self._owned, self._heart.version = {}, None


def _waits_for(held: LeaseHeld, certain: bool) -> str:
    facts = held.facts
    who = described(pid=facts["pid"], host=facts["host"], since=facts["since"])
    return f"waiting for {who} to let go" if certain else f"watching whether {who} is still alive"
