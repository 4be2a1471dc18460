"""The Redis store: commits grouped into scripts, reads from one instant, lists by index and page."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from holdfast import points
from holdfast.errors import Corrupt, InvalidOption, NotOpen, Unsupported
from holdfast.store.backends import network
from holdfast.store.backends.redis import scripts
from holdfast.store.backends.redis.committing import Committing, Waits
from holdfast.store.backends.redis.errors import unasked
from holdfast.store.backends.redis.layout import wanted
from holdfast.store.backends.redis.routes import OPTIONS, route_of
from holdfast.store.backends.redis.session import Session
from holdfast.store.base import Change, CommitId, Durability, Event, Key, Names, Record, Store
from holdfast.store.codec import check_key, check_name, check_stream, decode
from holdfast.store.group import GroupCommit, Request
from holdfast.store.url import StoreUrl
from holdfast.system import Clock, Ids

__all__ = ("RedisStore", "from_url")

PAGE: Final = 500


class RedisStore(Store):
    """A namespace on a Redis server, sentinels' master or cluster; several processes may have it open.

    `durability` is what the server's settings were found to be at the newest connection. With `?mode=ro` it is only
    read, makes nothing, and may be a server that commits would not be safe on: a replica, or one that evicts keys.
    """

    durability = Durability.NONE
    shared = True

    def __init__(self, url: StoreUrl, *, clock: Clock, ids: Ids) -> None:
        self.url = url.text
        self.namespace = url.namespace
        self._ids = ids
        timeouts = network.timeouts(url)
        route = route_of(url, timeout=timeouts.connect)
        self._read_only = url.options.get("mode") == "ro"
        self._session = Session(
            url.text, url.namespace, route, timeouts, clock=clock, ids=ids, read_only=self._read_only
        )
        self._committing = Committing(self._session, Waits.of(url), timeouts, clock)
        self._group: GroupCommit | None = None
        self._changing = asyncio.Lock()

    async def open(self) -> None:
        """Connect, refuse a server that cannot keep promises, bind the namespace; raises what is the matter."""
        async with self._changing:
            if self._group is not None:
                return
            try:
                await self._session.open()
                self._committing.check()
            except BaseException:
                await self._session.close()
                raise
            self._found()
            self._group = GroupCommit(self._write)

    async def close(self) -> None:
        """Finish running commits, and disconnect."""
        async with self._changing:
            group, self._group = self._group, None
            if group is None:
                return
            try:
                await group.close()
            finally:  # also where closing is cancelled
                await self._session.close()

    async def get(self, *keys: Key) -> list[Record | None]:
        """Return the records of `keys` in their order, all read by one script; None is absent."""
        self._opened()
        for key in keys:
            check_key(key)
        if not keys:
            return []
        names, asked = wanted(keys, self._session.layout)
        versions, values = await self._columns(scripts.GET, names, asked)
        if len(versions) != len(keys):
            raise unasked((versions, values), self.url)
        return [
            _record(key, version, value) if version or value else None
            for key, version, value in zip(keys, versions, values, strict=True)
        ]

    async def scan(
        self, entity_name: str, *, after: str | None = None, limit: int | None = None
    ) -> AsyncIterator[Record]:
        """Yield the records of an entity name by id, in pages that are one instant each."""
        self._opened()
        check_name(entity_name, "entity_name")
        layout = self._session.layout
        keys = (
            layout.meta,
            layout.versions(entity_name),
            layout.values(entity_name),
            layout.ids(entity_name),
        )
        start, left = _after(after), limit
        while count := _page(left):
            ids, versions, values = await self._columns(scripts.SCAN, keys, start, count)
            for entity_id, version, value in zip(ids, versions, values, strict=True):
                yield _record(Key(entity_name, _text(entity_id, keys[-1])), version, value)
            if len(ids) < count:
                return
            start, left = b"(" + ids[-1], None if left is None else left - count

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> AsyncIterator[Event]:
        """Yield the events of a stream, oldest first, in pages; raises Corrupt where one is missing."""
        self._opened()
        check_stream(stream)
        keys = (self._session.layout.meta, self._session.layout.events(stream))
        number, left = min(max(after, 0), 2**63 - 1), limit
        while count := _page(left):
            columns = await self._columns(scripts.EVENTS, keys, number + 1, count)
            for found, version, value in zip(*columns, strict=True):
                number += 1
                if found != b"%d-0" % number:
                    raise _gap(stream, number, found)
                yield _event(Key(stream, str(number)), number, version, value)
            if len(columns[0]) < count:
                return
            left = None if left is None else left - count

    async def names(self) -> Names:
        """Return the entity names that have records, and the streams that have events."""
        self._opened()
        layout = self._session.layout
        return Names(await self._index(layout.entities), await self._index(layout.streams))

    async def last_number(self, stream: str) -> int:
        """Return the number of a stream's newest event, 0 where it has none, at once."""
        self._opened()
        check_stream(stream)
        layout = self._session.layout
        (found,) = await self._columns(scripts.LAST, (layout.meta, layout.events(stream)))
        if found and not re.fullmatch(rb"[0-9]{1,19}-0", found[0]):
            raise unasked(found, self.url)
        return int(found[0].partition(b"-")[0]) if found else 0

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        """Make all changes or none, with whatever else waits in one script; a repeated id changes nothing.

        `vital` may go beyond the server's maxmemory.
        """
        group = self._opened()
        if self._read_only:
            raise Unsupported(
                f"{self.url} is open for reading only (mode=ro); open it without that", url=self.url
            )
        request = Request(changes, self._ids() if commit_id is None else commit_id, vital=vital)
        self._committing.admit(request)
        return await group.commit(request)

    async def _write(self, batch: Sequence[Request]) -> Sequence[Exception | None]:
        points.reached("redis.sending")
        outcomes = await self._committing.write(batch)
        points.reached("redis.answered")
        self._found()
        return outcomes

    async def _index(self, key: str) -> tuple[str, ...]:
        found: list[str] = []
        start: bytes | str = "-"
        while True:
            (names,) = await self._columns(scripts.INDEX, (self._session.layout.meta, key), start, PAGE)
            found += [_text(name, key) for name in names]
            if len(names) < PAGE:
                return tuple(found)
            start = b"(" + names[-1]

    async def _columns(
        self, script: scripts.Script, keys: Sequence[str], *arguments: bytes | str | int
    ) -> list[list[bytes]]:
        """Return the columns that a reading script answers with; names hold no NUL, nor does JSON."""
        self._opened()
        answer = await self._session.read(
            scripts.Call(script, keys, (*self._session.binding.known, *arguments))
        )
        self._found()
        _, count, *parts = answer
        if any(type(piece) is not bytes for part in parts if isinstance(part, list) for piece in part):
            raise unasked(answer, self.url)
        joined = [b"\0".join(part) if isinstance(part, list) else part for part in parts]
        columns = [column.split(b"\0") if count or column else [] for column in joined]
        if any(len(column) != count for column in columns):
            reason = "a stored value or name holds NUL, which JSON and names never do"
            raise Corrupt(f"{self.url}: {reason} (in {keys[-1]})", key=None, reason=reason)
        return columns

    def _found(self) -> None:
        self.head = max(self.head, self._session.lineage.head)
        if self._session.findings is not None:
            self.durability = self._session.findings.durability
            self.warnings = self._session.findings.warnings

    def _opened(self) -> GroupCommit:
        if self._group is None:
            raise NotOpen(
                "the store is not open: use `async with store`, or `await store.open()`", url=self.url
            )
        return self._group


def _after(after: str | None) -> bytes | str:
    return "-" if after is None else b"(" + after.encode()


def _page(left: int | None) -> int:
    return PAGE if left is None else min(PAGE, max(left, 0))


def _record(key: Key, version: bytes, value: bytes) -> Record:
    _check_whole(key, version, value)
    return Record(key, _decoded(value, key), _text(version, str(key)))


def _event(key: Key, number: int, version: bytes, value: bytes) -> Event:
    _check_whole(key, version, value)
    return Event(key.entity_name, number, _decoded(value, key), _text(version, str(key)))


def _check_whole(key: Key, version: bytes, value: bytes) -> None:
    if not version or not value:
        missing = "version" if value else "value"
        raise Corrupt(f"{key} has no {missing}", key=key, reason=f"no {missing}")


def _text(data: bytes, where: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        reason = f"a stored name is not UTF-8: {data!r:.80}"
        raise Corrupt(f"{where}: {reason}", key=None, reason=reason) from error


def _decoded(value: bytes, key: Key) -> Any:
    try:
        return decode(value)
    except Corrupt as error:
        raise Corrupt(f"{key} is unreadable: {error}", key=key, reason=error.reason) from error


def _gap(stream: str, number: int, found: bytes) -> Corrupt:
    reason = f"event {number} is missing (found {found.decode(errors='replace')})"
    return Corrupt(f"stream {stream!r}: {reason}", key=None, reason=reason, stream=stream, number=number)


def from_url(url: StoreUrl, *, clock: Clock, ids: Ids) -> RedisStore:
    """Return the store of a `redis:`, `rediss:`, `unix:`, `redis+sentinel:` or `redis+cluster:` URL."""
    if url.options.get("mode", "rw") not in ("rw", "ro"):
        raise InvalidOption(f"mode={url.options['mode']!r} in {url.text!r}; known: ro, rw", option="mode")
    url.only("mode", *OPTIONS, *network.TIMEOUTS, *Waits.OPTIONS, *(("db",) if url.scheme == "unix" else ()))
    return RedisStore(url, clock=clock, ids=ids)
