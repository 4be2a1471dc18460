"""A workload that shows what a store loses, doubles or tears: a bank whose every commit touches several keys.

    prepare(url)                                                   # accounts, each with the same balance
    nursery.live(bank, {"url": url, "log": "a.log", …}, kills=…)   # in as many processes as the store lets in
    verdict = judged(url, logs)                                    # holdfast.testing.verdict

A writer moves amounts between accounts (two accounts, its own counter and one event of a stream, with everything it
read expected), or notes something without expecting anything. What it asks, and what it is told, goes into a log
that SIGKILL does not touch. A reader takes snapshots meanwhile and says which cannot be one.
"""

import asyncio
import os
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from holdfast.errors import Conflict, NotOpen, Unavailable
from holdfast.store import Append, Change, Check, Key, Put, Record, Store
from holdfast.testing.log import Log
from holdfast.testing.own_adapter import store_of

__all__ = ("ACCOUNTS", "BALANCE", "LEDGER", "account", "bank", "counter", "prepare")

ACCOUNTS: Final = 8
BALANCE: Final = 1_000
LEDGER: Final = "bank.ledger"
PAUSE: Final = 0.02
LIMIT: Final = 45.0
"""Seconds after which a process of the bank begins nothing more."""


def account(number: int) -> Key:
    """Return the key of an account: `{"balance": …, "moves": …}`."""
    return Key("bank.accounts", str(number))


def counter(writer: str) -> Key:
    """Return the key of what a writer has done: `{"transfers": …, "notes": …}`."""
    return Key("bank.writers", writer)


async def prepare(url: str) -> None:
    """Open the accounts, in one commit."""
    async with store_of(url) as store:
        await store.commit(
            [Put(account(i), {"balance": BALANCE, "moves": 0}) for i in range(ACCOUNTS)], commit_id="prepared"
        )


async def bank(
    *,
    url: str,
    log: str,
    writers: Sequence[str],
    stop: str,
    everyone: Sequence[str] = (),
    readers: int = 1,
    notes: float = 0.25,
    seed: int = 0,
    limit: float = LIMIT,
) -> dict[str, int]:
    """Write and read until the file `stop` is there: what a process of the bank does; returns how much it has done.

    A share of `notes` of the commits expects nothing. `everyone` are the writers of all processes, whose counters the
    readers look at. Every other writer opens its store anew where it fails (they share one, so all get to know it).
    """
    lines = Log(log)
    lines("process", detail=os.getpid())
    async with store_of(url) as store:
        until = Until(Path(stop), limit)
        work = [
            Writer(store, name, lines, notes=notes, seed=f"{seed}/{name}", reopens=bool(i % 2)).run(until)
            for i, name in enumerate(writers)
        ]
        work += [Reader(store, everyone or writers, lines).run(until) for _ in range(readers)]
        done = await asyncio.gather(*work)
    lines("ended")
    lines.close()
    return {"commits": sum(done[: len(writers)]), "snapshots": sum(done[len(writers) :])}


class Until:
    """Says when to end: at a file that somebody makes, or after a time."""

    def __init__(self, stop: Path, limit: float) -> None:
        self._stop = stop
        self._deadline = time.monotonic() + limit

    @property
    def over(self) -> bool:
        """Whether to end."""
        return self._stop.exists() or time.monotonic() > self._deadline


class Writer:
    """Commits one transfer or note after the other; a commit whose outcome is unknown is repeated under its id."""

    def __init__(
        self,
        store: Store,
        name: str,
        log: Log,
        *,
        seed: str,
        notes: float = 0.25,
        reopens: bool = False,
    ) -> None:
        self._store = store
        self._name = name
        self._log = log
        self._random = random.Random(seed)  # noqa: S311  # repeatable on purpose
        self._share = notes
        self._reopens = reopens
        self._transfers = self._notes = self._asked = 0

    async def run(self, until: Until) -> int:
        """Commit until it is time to end; return how many commits were acknowledged."""
        while not until.over:
            try:
                await self._note(until) if self._random.random() < self._share else await self._transfer(
                    until
                )
            except (Unavailable, NotOpen) as error:  # of a read
                self._log("away", detail=str(error)[:200])
                await self._wait(error)
        return self._transfers + self._notes

    async def _note(self, until: Until) -> None:
        """Commit without any expectation: nothing but the commit's id keeps it from being counted twice."""
        commit_id, event = self._event("note")
        changes: list[Change] = [self._counted(notes=1), Append(LEDGER, event)]
        self._notes += await self._settled(changes, commit_id, until)

    async def _transfer(self, until: Until) -> None:
        one, other, third = self._random.sample(range(ACCOUNTS), 3)
        amount = self._random.randint(1, 50)
        records = await self._store.get(account(one), account(other), account(third))
        read = [_there(record) for record in records]
        saw = {record.key.entity_id: record.version for record in read}
        commit_id, event = self._event("transfer", by=[[one, -amount], [other, amount]], saw=saw)
        changes: list[Change] = [
            _moved(read[0], -amount),
            _moved(read[1], amount),
            Check(read[2].key, read[2].version),
            self._counted(transfers=1),
            Append(LEDGER, event),
        ]
        self._transfers += await self._settled(changes, commit_id, until)

    def _event(self, kind: str, **facts: Any) -> tuple[str, dict[str, Any]]:
        self._asked += 1
        commit_id = f"{self._name}-{self._asked}"
        return commit_id, {"id": commit_id, "writer": self._name, "kind": kind, **facts}

    def _counted(self, *, transfers: int = 0, notes: int = 0) -> Change:
        done = {"transfers": self._transfers + transfers, "notes": self._notes + notes}
        return Put(counter(self._name), done)

    async def _settled(self, changes: Sequence[Change], commit_id: str, until: Until) -> bool:
        """Return whether a commit counts; one whose outcome is unknown is repeated until it is known."""
        self._log("asked", commit_id)
        unknown = False
        while True:
            try:
                await self._store.commit(changes, commit_id=commit_id)
            except Conflict:
                self._log("refused", commit_id)
                return False
            except (Unavailable, NotOpen) as error:
                unknown = unknown or (isinstance(error, Unavailable) and error.unknown)
                self._log("unknown" if unknown else "failed", commit_id, str(error)[:200])
                if not unknown and (until.over or self._random.random() < 0.5):
                    self._log("refused", commit_id)  # it certainly did not happen: so it must not be there
                    return False
                await self._wait(error)
            else:
                self._log("acknowledged", commit_id)
                return True

    async def _wait(self, error: Exception) -> None:
        if getattr(error, "retryable", True) is False:
            raise error
        await asyncio.sleep(PAUSE)
        if self._reopens:
            try:
                await self._store.close()
                await self._store.open()
            except (Unavailable, NotOpen):  # the next use says so again
                return


class Reader:
    """Takes snapshots, and logs each that cannot be one: torn, or behind an earlier one."""

    def __init__(self, store: Store, writers: Sequence[str], log: Log) -> None:
        self._store = store
        self._writers = list(writers)
        self._log = log
        self._newest = [0] * len(self._writers)
        self._events = [0] * len(self._writers)
        self._after = 0

    async def run(self, until: Until) -> int:
        """Look until it is time to end; returns how often. What was seen is logged, since it must never be undone."""
        snapshots = 0
        while not until.over:
            try:
                self._compare(await self._snapshot())
                await self._follow()
                snapshots += 1
            except (Unavailable, NotOpen):
                await asyncio.sleep(PAUSE)
            await asyncio.sleep(0.001)
        return snapshots

    async def _snapshot(self) -> list[Record | None]:
        return await self._store.get(*map(account, range(ACCOUNTS)), *map(counter, self._writers))

    def _compare(self, records: Sequence[Record | None]) -> None:
        accounts = [_there(record).value for record in records[:ACCOUNTS]]
        done = [record.value if record else {"transfers": 0, "notes": 0} for record in records[ACCOUNTS:]]
        counts = [one["transfers"] + one["notes"] for one in done]
        total, moves = sum(one["balance"] for one in accounts), sum(one["moves"] for one in accounts)
        if total != ACCOUNTS * BALANCE or moves != 2 * sum(one["transfers"] for one in done):
            self._log("torn", detail=f"accounts {accounts}, writers {done}")
        if any(new < old for new, old in zip(counts, self._newest, strict=True)):
            self._log("back", detail=f"counters {counts} after {self._newest}")
        if any(new < old for new, old in zip(counts, self._events, strict=True)):
            self._log("torn", detail=f"counters {counts}, and the stream had {self._events} before")
        if counts != self._newest:
            self._log("seen", detail=dict(zip(self._writers, counts, strict=True)))
        self._newest = counts

    async def _follow(self) -> None:
        async for event in self._store.read(LEDGER, after=self._after):
            if event.number != self._after + 1 or event.value["id"] != event.version:
                self._log("torn", detail=f"event {event} after number {self._after}")
            self._after = event.number
            if event.value["writer"] in self._writers:
                self._events[self._writers.index(event.value["writer"])] += 1
        if any(events < seen for events, seen in zip(self._events, self._newest, strict=True)):
            self._log("torn", detail=f"the stream has {self._events}, and counters {self._newest} before")


def _there(record: Record | None) -> Record:
    if record is None:
        raise AssertionError("an account is gone")
    return record


def _moved(record: Record, amount: int) -> Put:
    value = record.value
    return Put(
        record.key, {"balance": value["balance"] + amount, "moves": value["moves"] + 1}, record.version
    )
