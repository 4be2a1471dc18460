"""Backends that lie: each is real code with one idea changed. The level that owns the idea must catch it."""

import asyncio
import errno
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import msgspec

from holdfast.errors import EntityNotFound, Unavailable
from holdfast.store import ANY, Change, Check, CommitId, Delete, Key, Put, Record, Store, open_store
from holdfast.store.backends.memory import MemoryStore
from holdfast.store.base import Append, Durability
from holdfast.store.changes import check_commit_id, conflict, effects, expectations, meets
from holdfast.store.wrappers.base import Wrapper
from holdfast.testing.own_adapter import FourMethods

T = TypeVar("T")


def blind(change: Change) -> Change:
    if isinstance(change, Put):
        return Put(change.key, change.value, ANY)
    return Delete(change.key, ANY) if isinstance(change, Delete) else change


# ------------------------------------------------------------------------------ core


class IgnoresExpectations(Wrapper):
    """Expectations are not passed on."""

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        kept = [change for change in changes if not isinstance(change, Check)]
        return await self.inner.commit([blind(change) for change in kept], commit_id=commit_id)


class WrongOrder(Wrapper):
    """Ids are sorted as people would sort them."""

    async def scan(
        self, entity_name: str, *, after: str | None = None, limit: int | None = None
    ) -> AsyncIterator[Record]:
        found = [record async for record in self.inner.scan(entity_name, after=after)]
        found.sort(key=lambda record: record.key.entity_id.casefold())
        for record in found[:limit]:
            yield record


class Mangles(Wrapper):
    """Values are made storable first."""

    def mangled(self, value: Any) -> Any:
        raise NotImplementedError

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        return await self.inner.commit([self._change(change) for change in changes], commit_id=commit_id)

    def _change(self, change: Change) -> Change:
        if isinstance(change, Put):
            return Put(change.key, self.mangled(change.value), change.expect)
        return Append(change.stream, self.mangled(change.event)) if isinstance(change, Append) else change


class WholeFloats(Mangles):
    """1.0 becomes 1, as in JavaScript."""

    def mangled(self, value: Any) -> Any:
        return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


class Tuples(Mangles):
    """A tuple is taken, and comes back as a list."""

    def mangled(self, value: Any) -> Any:
        return list(value) if isinstance(value, tuple) else value


class NanToNone(Mangles):
    """What JSON has no number for becomes null."""

    def mangled(self, value: Any) -> Any:
        return None if isinstance(value, float) and value - value != 0 else value


# ------------------------------------------------------------------------------ atomic


class Serial(MemoryStore):
    """Commits one after the other, with an await in the middle of each: harmless by itself."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._turn = asyncio.Lock()

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        self._check_open()
        commit_id = self._ids() if commit_id is None else commit_id
        check_commit_id(commit_id)
        staged = effects(changes)
        doing = asyncio.ensure_future(self._do(changes, staged, commit_id))
        doing.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(doing)

    async def _do(self, changes: Sequence[Change], staged: Any, commit_id: CommitId) -> CommitId:
        async with self._turn:
            if commit_id in self._recent:
                return commit_id
            await self._act(changes, staged, commit_id)
            return commit_id

    async def _act(self, changes: Sequence[Change], staged: Any, commit_id: CommitId) -> None:
        await asyncio.sleep(0)
        self._expected(changes)
        self._apply(commit_id, staged)

    def _expected(self, changes: Sequence[Change]) -> None:
        for key, expect in expectations(changes):
            found = self._table.version(key)
            if not meets(found, expect):
                raise conflict(key, expect, found)


class Torn(Serial):
    """The changes of a commit are made one after the other, while others may read."""

    async def _act(self, changes: Sequence[Change], staged: Any, commit_id: CommitId) -> None:
        self._expected(changes)
        head = self.head
        for effect in staged:
            self._apply(commit_id, [effect])
            self.head = head
            await asyncio.sleep(0)
        self._apply(commit_id, [])


class Dirty(Serial):
    """Changes first, looks whether it may then, and takes it back if not."""

    async def _act(self, changes: Sequence[Change], staged: Any, commit_id: CommitId) -> None:
        touched = [change.key for change in changes if isinstance(change, Put | Delete)]
        before = {key: self._table.record(key) for key in touched}
        events = {name: list(found) for name, found in self._streams.items()}
        head, expected = self.head, expectations(changes)
        versions = {key: self._table.version(key) for key, _ in expected}
        self._apply(commit_id, staged)
        await asyncio.sleep(0)
        for key, expect in expected:
            if not meets(versions[key], expect):
                self._undo(before, events, head, commit_id)
                raise conflict(key, expect, versions[key])

    def _undo(self, before: Any, events: Any, head: int, commit_id: str) -> None:
        for key, record in before.items():
            self._table.delete(key)
            if record is not None:
                self._apply(record.version, effects([Put(key, record.value)]))
        self._streams, self.head = events, head
        self._recent._since.pop(commit_id, None)


class CacheFirst(Wrapper):
    """A cache that is filled before the backend has written."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self._cache: dict[Key, Any] = {}

    async def get(self, *keys: Key) -> list[Record | None]:
        found = await self.inner.get(*keys)
        return [
            Record(key, *self._cache[key]) if key in self._cache else record
            for key, record in zip(keys, found, strict=True)
        ]

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        puts = {change.key: (change.value, commit_id) for change in changes if isinstance(change, Put)}
        effects(changes)
        self._cache |= puts
        try:
            await asyncio.sleep(0)
            return await self.inner.commit(changes, commit_id=commit_id, vital=vital)
        finally:
            for key in puts:
                self._cache.pop(key, None)


# ------------------------------------------------------------------------------ concurrent


class LooksFirst(Wrapper):
    """Looks whether all is as expected, and then writes over whatever has come between.

    It writes once nobody looks, so that those who come at once all look before one of them writes: on any machine.
    """

    kinds: tuple[type, ...] = (Put, Delete, Check)

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self._looking = 0

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        looked = [one for one in changes if isinstance(one, self.kinds)]
        effects(changes)
        expected = [(one.key, one.expect) for one in looked]  # type: ignore[union-attr]
        for (_, expect), record in zip(
            expected, await self._found([key for key, _ in expected]), strict=True
        ):
            if not meets(None if record is None else record.version, expect):
                return await self.inner.commit(
                    changes, commit_id=commit_id
                )  # which says so, or that it was done
        kept = [
            blind(one) if one in looked else one for one in changes if one not in looked or not _check(one)
        ]
        return await self.inner.commit(kept, commit_id=commit_id)

    async def _found(self, keys: Sequence[Key]) -> list[Record | None]:
        self._looking += 1
        try:
            found = await self.inner.fresh(*keys)
        finally:
            self._looking -= 1
        while self._looking:  # noqa: ASYNC110  # an event would wake up some before others look
            await asyncio.sleep(0)
        return found


class ChecksFirst(LooksFirst):
    """Only what a commit checks and does not change is looked at beforehand, without a lock."""

    kinds = (Check,)


def _check(change: Change) -> bool:
    return isinstance(change, Check)


class FreshIds(Wrapper):
    """Sends a commit of unknown outcome again by itself, under another id."""

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        for number in range(5):
            tried = commit_id if number == 0 else f"{commit_id}-{number}"
            try:
                await self.inner.commit(changes, commit_id=tried)
            except Unavailable:
                await asyncio.sleep(0.005)
            else:
                return commit_id or ""
        return await self.inner.commit(changes, commit_id=commit_id)


class StaleCache(Wrapper):
    """Keeps what it has read until it writes itself: what another process commits is not seen."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self._cache: dict[Key, Record | None] = {}
        self._writing = 0

    async def _get(self, get: Any, keys: Sequence[Key]) -> list[Record | None]:
        cache = self._cache
        if self._writing or not all(key in cache for key in keys):
            found: list[Record | None] = await get(*keys)
            if self._writing:
                return found
            cache.update(zip(keys, found, strict=True))
        return [
            record and Record(record.key, deepcopy(record.value), record.version)
            for record in map(cache.get, keys)
        ]

    async def open(self) -> None:
        self._cache = {}
        await super().open()

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        self._writing += 1
        try:
            return await self.inner.commit(changes, commit_id=commit_id)
        finally:
            self._cache = {}
            self._writing -= 1


class OffByOne(Wrapper):
    """One connection: requests and answers in order. Who is cancelled leaves his answer to the next one."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self._turn = asyncio.Lock()
        self._answers: asyncio.Queue[asyncio.Future[Any]] = asyncio.Queue()

    async def _get(self, get: Any, keys: Sequence[Key]) -> list[Record | None]:
        found: list[Record | None] = await self._asked(lambda: get(*keys))
        return found

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        return await self._asked(lambda: self.inner.commit(changes, commit_id=commit_id))

    async def _asked(self, act: Callable[[], Awaitable[T]]) -> T:
        async with self._turn:
            task = asyncio.ensure_future(act())
            task.add_done_callback(self._answers.put_nowait)
            answer = await self._answers.get()
            result: T = answer.result()
            return result


# ------------------------------------------------------------------------------ crash-safe


class AcknowledgesFirst(FourMethods):
    """Says that it is written, and writes a moment later."""

    _later: "ThreadPoolExecutor | None" = None
    _waiting: ClassVar[dict[str, Any]] = {}

    async def read_value(self, entity_id: str | int) -> Any:
        await self._settled()
        return await super().read_value(entity_id)

    async def has_value(self, entity_id: str | int) -> bool:
        await self._settled()
        return await super().has_value(entity_id)

    async def write_value(self, entity_id: str | int, value: Any) -> None:
        await self._settled()
        data, path = msgspec.json.encode(value), self._path(entity_id)
        kind = AcknowledgesFirst
        kind._later = kind._later or ThreadPoolExecutor(1)
        kind._waiting[str(self._folder)] = kind._later.submit(self._write, path, data)

    def _write(self, path: Path, data: bytes) -> None:
        time.sleep(0.004)
        part = path.with_suffix(".part")
        part.write_bytes(data)
        os.replace(part, path)

    async def _settled(self) -> None:
        waiting = self._waiting.get(str(self._folder))
        if waiting is not None:
            await asyncio.wrap_future(waiting)


class InPlace(FourMethods):
    """Writes over what is there."""

    async def write_value(self, entity_id: str | int, value: Any) -> None:
        self._path(entity_id).write_bytes(msgspec.json.encode(value))


class DeletesCorrupt(InPlace):
    """The same, and what it then cannot read it deletes: "no position"."""

    async def read_value(self, entity_id: str | int) -> Any:
        try:
            return await super().read_value(entity_id)
        except msgspec.DecodeError as error:
            self._path(entity_id).unlink()
            raise EntityNotFound("there was something, and it was no good") from error

    async def has_value(self, entity_id: str | int) -> bool:
        try:
            await self.read_value(entity_id)
        except EntityNotFound:
            return False
        return True


class FixedTemporary(FourMethods):
    """One name for what is not yet whole, which must not be there already."""

    async def write_value(self, entity_id: str | int, value: Any) -> None:
        data, part = msgspec.json.encode(value), self._folder / "new.part"
        try:
            fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            raise OSError(errno.EBUSY, "somebody else writes") from error
        os.write(fd, data)
        os.close(fd)
        os.replace(part, self._path(entity_id))


# ------------------------------------------------------------------------------ power-safe


class Durable(FourMethods):
    """Everything is flushed: what is written, its name, and every folder that was made. No lie yet."""

    durability = Durability.POWER_LOSS

    async def wait_for_init(self, initial: bool = False) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for folder in self._folder.parents[:3]:  # also where they are there: their flush may have failed
            self.flush_parent(folder)

    async def write_value(self, entity_id: str | int, value: Any) -> None:
        path = self._path(entity_id)
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            file.write(msgspec.json.encode(value))
            file.flush()
            self.flush_file(file.fileno())
        os.replace(part, path)
        self.flush_folder(self._folder)

    def flush_file(self, fd: int) -> None:
        os.fsync(fd)

    def flush_folder(self, folder: Path) -> None:
        fd = os.open(folder, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)

    def flush_parent(self, folder: Path) -> None:
        Durable.flush_folder(self, folder)


class NoFlush(Durable):
    """What is written is not flushed."""

    def flush_file(self, fd: int) -> None:
        pass


class NoFolderFlush(Durable):
    """A new name is not flushed."""

    def flush_folder(self, folder: Path) -> None:
        pass


class NoParentFlush(Durable):
    """A new folder's own name is not flushed."""

    def flush_parent(self, folder: Path) -> None:
        pass


# ------------------------------------------------------------------------------ how to get them


def on_sqlite(*, kind: str, folder: str, namespace: str) -> Store:
    """Return a liar around a real SQLite store."""
    made: Store = globals()[kind](open_store(f"sqlite:///{folder}/state.db", namespace=namespace))
    return made


def on_url(*, kind: str, url: str, namespace: str) -> Store:
    """Return a liar around a real store."""
    made: Store = globals()[kind](open_store(url, namespace=namespace))
    return made


def in_memory(kind: str) -> Callable[[str], Store]:
    """Return what makes a liar in memory: a memory store, or something around one."""
    found = globals()[kind]
    if issubclass(found, MemoryStore):
        return lambda namespace: found(namespace=namespace)
    return lambda namespace: found(MemoryStore(namespace=namespace))
