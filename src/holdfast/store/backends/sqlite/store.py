"""`sqlite:///state.db`: one file, several processes and namespaces, durable through power loss."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Final

from holdfast.errors import InvalidOption, NotOpen, Unsupported
from holdfast.store.backends import network
from holdfast.store.backends.file.findings import Finding
from holdfast.store.backends.file.waiting import Patience
from holdfast.store.backends.sqlite import examining, reading
from holdfast.store.backends.sqlite.disk import SqliteDisk
from holdfast.store.backends.sqlite.live import Live, Options
from holdfast.store.base import Change, CommitId, Durability, Event, Key, Names, Record, Store
from holdfast.store.codec import check_key, check_name, check_stream
from holdfast.store.group import Request
from holdfast.store.lineage import Lineage
from holdfast.store.url import StoreUrl
from holdfast.system import Clock, Ids, SystemClock, system_ids

__all__ = ("SqliteStore", "from_url")

BUSY_TIMEOUT: Final = 5.0


class SqliteStore(Store):
    """A namespace in an SQLite file: an acknowledged commit survives power loss, and several processes may write.

    `read_only` never writes, makes nothing, and needs the store to be there. `busy_timeout` (s) is how long a commit
    waits for another process's; each one's takes milliseconds.
    """

    durability = Durability.POWER_LOSS
    shared = True

    def __init__(
        self,
        path: str,
        *,
        namespace: str = "default",
        read_only: bool = False,
        busy_timeout: float = BUSY_TIMEOUT,
        clock: Clock | None = None,
        ids: Ids = system_ids,
        disk: SqliteDisk | None = None,
    ) -> None:
        self.path = path
        self.url = f"sqlite:///{path}"
        self.namespace = namespace
        self._clock = clock or SystemClock()
        self._ids = ids
        self._disk = disk or SqliteDisk()
        self._options = Options(namespace, read_only, busy_timeout)
        self._lineage = Lineage()
        self._changing = asyncio.Lock()
        self._live: Live | None = None

    @property
    def head(self) -> int:  # type: ignore[override]
        """The highest number of a commit of the namespace that this process was told of."""
        return self._lineage.head

    async def open(self) -> None:
        """Open the file, making it if it is not there; opening an open store does nothing."""
        async with self._changing:
            if self._live is not None and not self._live.orphaned:
                self._live.check_home()
                return
            patience = Patience()
            self._lineage.begin()
            live = Live(self._disk, self.path, self._options, self._lineage, clock=self._clock, ids=self._ids)
            try:
                await live.start(patience)
                patience.tell()
            except BaseException:  # also where nobody is there any more to close it
                await live.stop(patience)
                raise
            self.durability, self.warnings = live.durability, live.warnings
            self._live = live

    async def close(self) -> None:
        """Finish running commits and let go of the file; closing a closed store does nothing."""
        async with self._changing:
            live = self._live
            if live is None:
                return
            if not live.orphaned:
                live.check_home()
            self._live = None
            patience = Patience()
            await live.stop(patience)
            patience.tell()

    async def get(self, *keys: Key) -> list[Record | None]:
        """Return the records of `keys` in their order, from one snapshot of what is durable; None is absent."""
        live = self._open_live()
        for key in keys:
            check_key(key)
        if not keys:
            return []
        found = await live.ask(partial(reading.records, keys=keys, least=self._lineage.head))
        self._lineage.head = max(self._lineage.head, found.head)
        return [reading.record(live.space, key, row) for key, row in zip(keys, found.rows, strict=True)]

    async def scan(
        self, entity_name: str, *, after: str | None = None, limit: int | None = None
    ) -> AsyncIterator[Record]:
        """Yield the records of an entity name by id, bytewise; a page at a time, each from a snapshot of its own."""
        check_name(entity_name, "entity_name")
        left, last = _unbounded(limit), after or ""
        while left > 0:
            live = self._open_live()
            size = min(left, reading.PAGE)
            rows = await live.ask(partial(reading.page, entity_name=entity_name, after=last, limit=size))
            for row in rows:
                last = reading.text(live.space, entity_name, row[0])
                key = Key(entity_name, last)
                yield Record(
                    key, reading.value(live.space, key, row[1]), reading.text(live.space, key, row[2])
                )
            left = left - len(rows) if len(rows) == size else 0

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> AsyncIterator[Event]:
        """Yield the events of a stream, oldest first, those numbered above `after` only."""
        check_stream(stream)
        left, last = _unbounded(limit), max(after, 0)
        while left > 0:
            live = self._open_live()
            size = min(left, reading.PAGE)
            rows = await live.ask(partial(reading.events, stream=stream, after=last, limit=size))
            for row in rows:
                last += 1
                yield reading.event(live.space, stream, last, row)
            left = left - len(rows) if len(rows) == size else 0

    async def names(self) -> Names:
        """Return the entity names that have records, and the streams that have events."""
        return await self._open_live().ask(reading.names)

    async def last_number(self, stream: str) -> int:
        """Return the number of a stream's newest event, 0 where it has none."""
        check_stream(stream)
        return await self._open_live().ask(partial(reading.last_number, stream=stream))

    async def examine(self) -> list[Finding]:
        """Return what is wrong with the file as a whole, by SQLite's own check of every page: beside whoever uses it.

        A snapshot is held meanwhile, about a second for each gigabyte.
        """
        return await self._open_live().ask(examining.examine)

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        """Make all changes or none; return when they survive a power cut.

        No room is kept for `vital` commits: on a full disk they are refused like all others.
        """
        live = self._open_live()
        if self._options.read_only:
            raise Unsupported(f"{self.url!r} is open for reading only; open it without mode=ro", url=self.url)
        return await live.commit(
            Request(changes, self._ids() if commit_id is None else commit_id, vital=vital)
        )

    def _open_live(self) -> Live:
        if self._live is None:
            message = "the store is not open: use `async with store`, or `await store.open()`"
            raise NotOpen(message, url=self.url)
        self._live.check_home()
        return self._live


def from_url(url: StoreUrl, *, clock: Clock, ids: Ids) -> SqliteStore:
    """Return the store of `sqlite:///state.db` (relative) or `sqlite:////var/lib/state.db` (absolute).

    Its options are `mode` (`rw` or `ro`) and `busy_timeout` (s). `sqlite:state.db` and `sqlite:/var/lib/state.db` mean
    the same files.
    """
    options = url.only("mode", "busy_timeout")
    mode = options.get("mode", "rw")
    if mode not in ("rw", "ro"):
        raise InvalidOption(f"mode={mode!r} in {url.text!r}; known: ro, rw", option="mode")
    return SqliteStore(
        _path(url), namespace=url.namespace, read_only=mode == "ro",
        busy_timeout=network.number(url, "busy_timeout", BUSY_TIMEOUT), clock=clock, ids=ids,
    )  # fmt: skip


def _path(url: StoreUrl) -> str:
    """Return the path, spelled as SQLAlchemy does: one slash after `sqlite://` belongs to the URL."""
    if url.host or url.username is not None:
        raise InvalidOption(
            f"{url.text!r} names a host; write sqlite:///{url.host or 'state.db'} for a relative path"
        )
    path = url.path.removeprefix("/") if url.raw.partition(":")[2].startswith("//") else url.path
    if path == ":memory:":
        raise InvalidOption(
            f"{url.text!r} would survive nothing; write memory: for a store in memory", url=url.text
        )
    if not path.rpartition("/")[2] or "\0" in path:
        raise InvalidOption(f"{url.text!r} names no file; write sqlite:///state.db", url=url.text)
    return path


def _unbounded(limit: int | None) -> int:
    return 2**62 if limit is None else limit
