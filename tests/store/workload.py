"""A small workload of every kind of change, and what must be true of a store after any accident in it."""

import asyncio
import itertools
from contextlib import suppress
from typing import Any

from msgspec import Struct, field

from holdfast.errors import Corrupt, HoldfastError, StoreFull, Unavailable
from holdfast.store import Append, Change, Delete, Key, Put
from holdfast.store.backends.file.disk import Disk
from holdfast.store.backends.file.store import FileStore
from holdfast.testing.simulation.disk import SimulatedDisk
from holdfast.testing.simulation.files import all_lost

BASE_DIR = "/srv/bot/data"


class QuickClock:
    """A clock whose waiting takes no time."""

    def __init__(self) -> None:
        self._count = itertools.count(1)

    def now(self) -> int:
        return 1_700_000_000_000 + next(self._count)

    def monotonic(self) -> float:
        return next(self._count) / 1000

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class Ids:
    """Ids in order; two runs of one store must not share them, so each has a name."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._count = itertools.count(1)

    def __call__(self) -> str:
        return f"{self._run}{next(self._count)}"


_runs = itertools.count(1)


def store_on(disk: Disk, **options: Any) -> FileStore:
    """Return a file store on that disk that checkpoints all the time, in small segments."""
    defaults: dict[str, Any] = {
        "segment_bytes": 2048, "flush_seconds": 0.0, "checkpoint_seconds": 0.0, "clock": QuickClock(),
        "ids": Ids(f"run{next(_runs)}-"),
    }  # fmt: skip
    return FileStore(BASE_DIR, disk=disk, **{**defaults, **options})


class Told(Struct):
    """What the callers were told about each commit."""

    acknowledged: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)
    submitted: int = 0


def changes(number: int) -> list[Change]:
    """Return the changes of commit number `number`: a put, at times a delete and a second folder, and an event."""
    found: list[Change] = [
        Put(Key("signal.one", f"S{number % 3}"), {"number": number, "text": "x" * (number % 5) * 40}),
        Append("history.one", number),
    ]
    if number % 4 == 3:
        found.append(Delete(Key("signal.one", f"S{(number + 1) % 3}")))
    if number % 2:
        found.append(Put(Key("risk", "All"), number))
    return found


def model(numbers: list[int]) -> dict[Key, Any]:
    """Return what the records are after those commits, in that order."""
    records: dict[Key, Any] = {}
    for number in numbers:
        for change in changes(number):
            if isinstance(change, Put):
                records[change.key] = change.value
            elif isinstance(change, Delete):
                records.pop(change.key, None)
    return records


async def work(store: FileStore, told: Told, *, commits: int = 12, together: int = 3) -> None:
    """Open the store, commit one by one and several at once, and close it; an accident ends it early."""

    async def one(number: int) -> None:
        told.submitted = max(told.submitted, number)
        try:
            await store.commit(changes(number))
        except StoreFull:
            told.refused.add(number)
        except Unavailable as error:
            if not error.unknown:
                told.refused.add(number)
        else:
            told.acknowledged.add(number)

    with suppress(HoldfastError):  # an accident during open: nothing was acknowledged
        await store.open()
        for first in range(1, commits + 1, together):
            if (first // together) % 2:
                await asyncio.gather(*(one(number) for number in range(first, first + together)))
            else:
                for number in range(first, first + together):
                    await one(number)
            await asyncio.sleep(0.0005)  # lets the housekeeping get on; nothing depends on how far
    with suppress(HoldfastError):
        await store.close()


async def faults(disk: SimulatedDisk, told: Told, **options: Any) -> list[str]:
    """Return what is wrong with the store on `disk`: nothing, if it keeps its promises.

    What the recovered store shows must also survive a power cut at once, and so must its next commit.
    """
    try:
        async with store_on(disk, **options) as store:
            shown, found = await _compare(store, told)
            first = SimulatedDisk.after_cut(disk.snapshot(), all_lost)
            await store.commit([Put(Key("after", "x"), told.submitted)])
            second = SimulatedDisk.after_cut(disk.snapshot(), all_lost)
        async with store_on(first, **options) as store:
            again, _ = await _compare(store, told)
            if again != shown:
                found.append(f"shown after recovery and lost by the next cut: {shown} became {again}")
        async with store_on(second, **options) as store:
            if (await store.get(Key("after", "x")))[0] is None:
                found.append("acknowledged after recovery and lost by the next cut")
    except Corrupt as error:
        return [f"Corrupt: {error}"]
    return found


async def _compare(store: FileStore, told: Told) -> tuple[list[int], list[str]]:
    """Return the commits that are there, and what is wrong with that."""
    present = [event.value async for event in store.read("history.one")]
    found = []
    if lost := told.acknowledged - set(present):
        found.append(f"acknowledged and lost: {sorted(lost)}")
    if undead := told.refused & set(present):
        found.append(f"refused and there: {sorted(undead)}")
    if len(set(present)) < len(present):
        found.append(f"twice: {present}")
    records = {}
    for name in (await store.names()).entities:
        async for record in store.scan(name):
            records[record.key] = record.value
    records.pop(Key("after", "x"), None)
    if records != model(present):
        found.append(f"torn: {records} is not what {present} make")
    return present, found
