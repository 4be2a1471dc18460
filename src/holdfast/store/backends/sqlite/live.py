"""An open namespace: one thread that writes, one that reads, and what this process knows of the file.

Reading has a thread and connection of its own, so that no `get` waits behind a flush: SQLite's WAL lets readers see
the last commit while the next one is written.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar

from msgspec import Struct

from holdfast.errors import NotOpen
from holdfast.store.backends.file.waiting import Patience
from holdfast.store.backends.sqlite import reading, writing
from holdfast.store.backends.sqlite.connection import checkpoint, connect
from holdfast.store.backends.sqlite.disk import SqliteDisk
from holdfast.store.backends.sqlite.place import Place
from holdfast.store.backends.sqlite.reading import Space
from holdfast.store.backends.sqlite.remembering import Seen
from holdfast.store.backends.sqlite.worker import Worker
from holdfast.store.base import CommitId, Durability
from holdfast.store.deciding import Decision
from holdfast.store.group import GroupCommit, Outcome, Request
from holdfast.store.lineage import Lineage
from holdfast.system import Clock, Ids

__all__ = ("Live", "Options")

T = TypeVar("T")
Connection = sqlite3.Connection

PAGES: Final = 1000
"""Pages of WAL between checkpoints, estimated."""


class Options(Struct, frozen=True):
    """How a store is opened."""

    namespace: str
    read_only: bool
    busy_timeout: float


class Live:
    """The open file; everything public runs on the event loop that started it."""

    def __init__(
        self, disk: SqliteDisk, path: str, options: Options, lineage: Lineage, *, clock: Clock, ids: Ids
    ) -> None:
        self._disk = disk
        self._options = options
        self._lineage = lineage
        self._clock = clock
        self._ids = ids
        self._pid = disk.pid()
        self._loop = asyncio.get_running_loop()
        self._place = place = Place(disk, disk.absolute(path))
        self._reader = Worker("holdfast-sqlite-read", place, self._reading)
        self._writer = Worker("holdfast-sqlite-write", place, self._writing)
        self._group = GroupCommit(self._write)
        self._seen = Seen()
        self._pages = 0
        self.space = Space(0, options.namespace, place.path)
        self.durability = Durability.NONE
        self.warnings: tuple[str, ...] = ()

    async def start(self, patience: Patience) -> None:
        """Make and open the file, and find the namespace in it, to the end however often the caller is cancelled."""
        worker, enter = (self._reader, self._find) if self._options.read_only else (self._writer, self._enter)
        self.space = await worker.finish(enter, patience)
        await self._reader.finish(lambda _: None, patience)  # so that its first question does not wait for it
        self._seen.note(self._lineage.head, self._clock.monotonic())
        self.durability = self._place.durability()
        if self.durability < Durability.POWER_LOSS:
            self.warnings = (
                f"{self._place.path} is in memory (tmpfs): a power cut or reboot loses all of it",
            )

    async def stop(self, patience: Patience) -> None:
        """Finish what was asked for and close both connections, the writing one last: it tidies up."""
        try:
            if not self.orphaned:
                await self._group.close()
        finally:
            await self._reader.stop(patience)
            await self._writer.stop(patience)

    async def ask(self, question: Callable[[Connection, Space], T]) -> T:
        """Return the answer to a question, from one snapshot of what is durable."""

        def work(connection: Connection) -> T:
            self._place.check()
            return question(connection, self.space)

        with self._lineage.telling():
            return await self._reader.run(work)

    async def commit(self, request: Request) -> CommitId:
        """Return the request's commit id once it is durable."""
        return await self._group.commit(request)

    @property
    def orphaned(self) -> bool:
        """Whether the event loop that this lives on was closed, so that nobody can be told anything."""
        return self._loop.is_closed() and self._disk.pid() == self._pid

    def check_home(self) -> None:
        """Raise NotOpen in another process or on another event loop than the one that opened the store."""
        if self._disk.pid() != self._pid:
            message = f"the store was opened by process {self._pid} and cannot be used in a fork of it; open it there"
            raise NotOpen(message, pid=self._pid)
        if asyncio.get_running_loop() is not self._loop:
            message = f"the store was opened on another event loop ({self._loop!r}); use it there, or open it anew here"
            raise NotOpen(message, loop=self._loop)

    async def _write(self, batch: Sequence[Request]) -> list[Outcome]:
        now = self._clock.monotonic()
        work = partial(
            self._written, batch=batch, least=self._lineage.head, wall=self._clock.now(),
            forgettable=self._seen.forgettable(now),
        )  # fmt: skip
        patience = Patience()  # never told: whoever waits for this batch wants to know what became of it
        with self._lineage.telling():
            outcomes, decision = await self._writer.finish(work, patience)
        self._note(decision, self._clock.monotonic())
        if self._pages >= PAGES:
            self._pages = 0
            self._writer.submit(partial(checkpoint, kind="FULL"))  # the next batch goes behind it
        return outcomes

    def _written(
        self, connection: Connection, *, batch: Sequence[Request], least: int, wall: int, forgettable: int
    ) -> tuple[list[Outcome], Decision]:
        self._place.check()
        result = writing.write(connection, self.space, batch, least=least, now=wall, forgettable=forgettable)
        if result[1].commits:
            self._place.check(unknown=True)
        return result

    def _note(self, decision: Decision, now: float) -> None:
        if decision.commits:
            commit_id, head = decision.commits[-1]
            self._lineage.acknowledged(commit_id, head, now)
        self._lineage.head = max(self._lineage.head, decision.head)
        self._seen.note(decision.head, now)
        size = sum(len(new[0]) for new in decision.written.values() if new is not None)
        size += sum(len(new.value) for new in decision.events)
        self._pages += 4 + len(decision.commits) + size // 4096

    def _enter(self, connection: Connection) -> Space:
        """Find the namespace, or make it; then this is the same store as before, if there was one."""
        space = writing.enter(connection, self._options.namespace, self._place.path, self._clock.now())
        self._check_lineage(connection, space)
        return space

    def _find(self, connection: Connection) -> Space:
        space = reading.find_space(connection, self._options.namespace, self._place.path)
        self._check_lineage(connection, space)
        return space

    def _check_lineage(self, connection: Connection, space: Space) -> None:
        newest = self._lineage.newest(self._clock.monotonic())
        remembers = newest is None or reading.remembers(connection, space, newest)
        head = reading.head_of(connection, space, 0)
        self._lineage.check(head, remembers=remembers, url=f"sqlite:///{space.path}")

    def _reading(self) -> Connection:
        return connect(self._place, busy_timeout=self._options.busy_timeout, read_only=True)

    def _writing(self) -> Connection:
        """Return a connection that writes; after the first one the file has to be there."""
        first = not self.space.number
        if first:
            self._place.make(self._ids)
        connection = connect(self._place, busy_timeout=self._options.busy_timeout)
        try:
            if not first:
                self._check_lineage(connection, self.space)
        except BaseException:
            connection.close()
            raise
        return connection
