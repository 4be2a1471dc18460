"""The workers of a namespace: a record with a heartbeat for each process that trades, and who trades what.

    holdfast.worker / {id}                 a process that trades, with its heartbeat
    holdfast.owner.{strategy} / {symbol}   which worker trades it; changes only with its ownership

Whether a worker lives is judged by whoever watches: at once where this machine knows that the process is dead,
else by a heartbeat that stands still for its lease's time on the watcher's own monotonic clock. Clocks of
different machines are never compared.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from holdfast.store.base import Key, Record, Store, Version
from holdfast.store.codec import Schema
from holdfast.system import Clock, Process, Processes

__all__ = (
    "OWNER",
    "WORKER",
    "Owner",
    "Seating",
    "Watch",
    "Worker",
    "described",
    "named",
    "owner_key",
    "worker_key",
    "worker_of",
)

Seating = tuple[str, str]
"""A strategy and a symbol."""


class Worker(Struct, frozen=True, kw_only=True):
    """A process that trades: who it is, since when (ms), and how long (s) it counts as alive after a beat."""

    process: Process
    since: int
    lease: float
    beat: int = 0


class Owner(Struct, frozen=True, kw_only=True):
    """Who trades a strategy on a symbol: the id of a worker."""

    worker: str


WORKER: Final = Schema(Worker, "worker", 1)
OWNER: Final = Schema(Owner, "owner", 1)


class Watched(Struct, frozen=True):
    """A worker's heartbeat as it was last seen to change, and when, on this process's clock."""

    version: Version
    since: float


class Watch:
    """Judges which workers live, over as many looks as that takes."""

    def __init__(self, store: Store, *, clock: Clock, processes: Processes) -> None:
        self._store = store
        self._clock = clock
        self._processes = processes
        self._watched: dict[str, Watched] = {}
        self._ended: set[str] = set()

    def end(self, name: str) -> None:
        """Note that a worker of this process is no more: nobody beats under that id again."""
        self._ended.add(name)

    async def record(self, name: str) -> Record | None:
        """Return a worker's record; None where it has let go, or was taken for dead."""
        [record] = await self._store.get(worker_key(name))
        return record

    async def alive(self, name: str) -> bool | None:
        """Return whether a worker is alive, None where that must still be watched."""
        record = await self.record(name)
        if record is None or name in self._ended:
            return False
        worker, now = WORKER.from_document(record.value), self._clock.monotonic()
        if self._processes.is_dead(worker.process):
            return False
        seen = self._watched.setdefault(name, Watched(record.version, now))
        if seen.version == record.version:
            return False if now - seen.since >= worker.lease else None
        self._watched[name] = Watched(record.version, now)
        return True


def owner_key(seat: Seating) -> Key:
    """Return the key of the record that says who trades a strategy on a symbol."""
    strategy, symbol = seat
    return Key(f"holdfast.owner.{strategy}", symbol)


def worker_key(name: str) -> Key:
    """Return the key of a worker's heartbeat."""
    return Key("holdfast.worker", name)


def worker_of(record: Record) -> str:
    """Return the worker that an owner record names."""
    return OWNER.from_document(record.value).worker


def described(*, pid: int, host: str, since: int) -> str:
    """Return what messages call a process; without its number it is just another one."""
    who = f"process {pid} on {host}" if pid else "another process"
    return who + (
        f" (since {datetime.fromtimestamp(since / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC)" if since else ""
    )


def named(keys: Iterable[Key]) -> str:
    """Return what messages call the seats of owner records."""
    return ", ".join(f"{key.entity_name.removeprefix('holdfast.owner.')} on {key.entity_id}" for key in keys)
