"""A full store on adapters of four methods: `wait_for_init`, `read_value`, `has_value` and `write_value`.

Everything that an adapter cannot do (several rows at once, lists, streams, deleting, telling a repeated commit)
is done here, by rows of Holdfast's own beside the user's. Several rows change at once only after recovery.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from holdfast.errors import InvalidKey, InvalidOption, NotOpen
from holdfast.persist.domains import DOMAINS, Ctor
from holdfast.persist.host import Host
from holdfast.persist.once import finish
from holdfast.persist.rack import Rack, declared, title
from holdfast.persist.rows import OWN, Row
from holdfast.persist.shelf import Shelf
from holdfast.persist.space import Space
from holdfast.persist.tenancy import HEARTBEAT, Tenancy
from holdfast.store import Change, CommitId, Durability, Event, Key, Names, Record, Store
from holdfast.store.backends.file.disk import Disk
from holdfast.store.changes import check_commit_id, effects, expectations
from holdfast.store.codec import check_key, check_name, check_stream
from holdfast.system import Clock, Ids, SystemClock, system_ids

__all__ = ("AdapterStore",)

CHUNK: Final = 64

T = TypeVar("T")


class AdapterStore(Store):
    """A namespace whose rows are kept by adapters, one callable `(entity_name, base_dir)` per domain.

    A domain without one is served by the *signal* adapter. `durability` is the weakest that they declare;
    `warnings` says, for people, what they cannot give. One process at a time: on one machine by a lock, across
    machines by a heartbeat, which detects a second process and cannot stop it.
    """

    atomicity = "recovery"

    def __init__(
        self,
        ctors: Mapping[str, Ctor],
        *,
        base_dir: str = "./logs/data",
        namespace: str = "default",
        clock: Clock | None = None,
        ids: Ids = system_ids,
        disk: Disk | None = None,
        heartbeat: float = HEARTBEAT,
    ) -> None:
        _check(ctors)
        check_name(namespace, "namespace")
        self.url = f"adapters:{title(ctors['signal'])}"
        self.namespace = namespace
        self._ctors = dict(ctors)
        self._base_dir = base_dir
        self._clock = clock or SystemClock()
        self._ids = ids
        disk = disk or Disk()
        host = Host(base_dir, namespace, clock=self._clock, disk=disk)
        self._tenancy = Tenancy(host, clock=self._clock, ids=ids, disk=disk, heartbeat=heartbeat)
        self._rack = self._new_rack()
        self.durability = self._rack.durability
        self._turns: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None
        self._space: Space | None = None

    @property
    def warnings(self) -> tuple[str, ...]:  # type: ignore[override]
        """What these adapters cannot give, a sentence each, for a run to say at its start."""
        said = [
            "Adapters of four methods cannot fence: a second process on another machine is noticed, not stopped."
        ]
        for domain, ctor in sorted(self._ctors.items()):
            if declared(ctor) == Durability.NONE:
                said.append(f"The {domain} adapter {title(ctor)} declares no durability (`durability = …`).")
        return tuple(said)

    async def open(self) -> None:
        """Take the namespace and finish what a crash interrupted; opening an open store does nothing.

        Raises StoreInUse, InvalidOption where other adapters served it before, Corrupt, Unavailable.
        """
        try:
            await self._turn(self._open)
        except asyncio.CancelledError:
            await self._turn(self._close)  # opened for nobody: who was to close it has gone
            raise

    async def close(self) -> None:
        """Finish running commits and let go of everything; closing a closed store does nothing."""
        await self._turn(self._close)

    async def get(self, *keys: Key) -> list[Record | None]:
        """Return the records of `keys` in their order, from one snapshot; None is absent.

        Raises Corrupt for what is there and unreadable, missing, or older than it was.
        """
        self._opened()
        for key in keys:
            _check_key(key)
        return await self._turn(lambda: self._get(keys))

    async def scan(
        self, entity_name: str, *, after: str | None = None, limit: int | None = None
    ) -> AsyncIterator[Record]:
        """Yield the records of an entity name by id, as they are when the first one is asked for."""
        self._opened()
        check_name(entity_name, "entity_name")
        for record in await self._turn(lambda: self._scan(entity_name, after, limit)):
            yield record

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> AsyncIterator[Event]:
        """Yield the events of a stream, oldest first, those that are there when the first one is asked for."""
        self._opened()
        check_stream(stream)
        start, last = max(after, 0), await self.last_number(stream)
        stop = last if limit is None else min(last, start + max(limit, 0))
        for first in range(start + 1, stop + 1, CHUNK):
            numbers = range(first, min(first + CHUNK, stop + 1))
            for event in await self._turn(partial(self._events, stream, numbers)):
                yield event

    async def names(self) -> Names:
        """Return the entity names that have records, and the streams that have events."""
        self._opened()
        return await self._turn(self._names)

    async def last_number(self, stream: str) -> int:
        """Return the number of a stream's newest event, 0 where it has none."""
        self._opened()
        check_stream(stream)
        return await self._turn(lambda: self._last_number(stream))

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        """Make all changes or none; where this is cancelled or fails halfway, they are finished before anything else.

        An adapter that fails raises Unavailable, `unknown=True`: repeat the commit with its id.
        """
        self._opened()
        name = self._ids() if commit_id is None else commit_id
        check_commit_id(name)
        staged, expected = effects(changes), expectations(changes)
        for key, _ in expected:
            _check_key(key)
        await self._turn(lambda: self._commit(staged, expected, name))
        return name

    # ------------------------------------------------------------ one at a time

    async def _turn(self, act: Callable[[], Awaitable[T]]) -> T:
        # To its end, also where the caller is cancelled: an adapter is never left in the middle of an answer.
        result: T = await finish(self._alone(act))
        return result

    async def _alone(self, act: Callable[[], Awaitable[T]]) -> T:
        loop = asyncio.get_running_loop()
        if self._turns is None or self._turns[0] is not loop:
            self._forget()
            self._turns = loop, asyncio.Lock()
        async with self._turns[1]:
            return await act()

    async def _get(self, keys: Sequence[Key]) -> list[Record | None]:
        space = await self._settled()
        rows = [await space.record(key) for key in keys]
        return [None if row is None else _record(row) for row in rows]

    async def _scan(self, entity_name: str, after: str | None, limit: int | None) -> list[Record]:
        space = await self._settled()
        ids = [i for i in await space.catalogue.ids(entity_name) if after is None or i > after]
        chosen = ids if limit is None else ids[: max(limit, 0)]
        rows = [await space.record(Key(entity_name, entity_id)) for entity_id in chosen]
        return [_record(row) for row in rows if row is not None]

    async def _events(self, stream: str, numbers: range) -> list[Event]:
        space = await self._settled()
        rows = [(number, await space.event(stream, number)) for number in numbers]
        return [Event(stream, number, row.value, row.version) for number, row in rows]

    async def _names(self) -> Names:
        return (await self._settled()).catalogue.names()

    async def _last_number(self, stream: str) -> int:
        return await (await self._settled()).number(stream)

    async def _commit(self, staged: Sequence[Any], expected: Sequence[Any], commit_id: CommitId) -> None:
        space = self._opened()
        try:
            await space.commit(staged, expected, commit_id)
        finally:
            self.head = space.head

    async def _settled(self) -> Space:
        space = self._opened()
        await space.settle()
        self.head = space.head
        return space

    def _opened(self) -> Space:
        if self._tenancy.lost is not None:
            raise self._tenancy.lost
        if self._space is None:
            raise NotOpen(
                "the store is not open: use `async with store`, or `await store.open()`", url=self.url
            )
        return self._space

    # ------------------------------------------------------------ opening and closing

    async def _open(self) -> None:
        if self._space is not None:
            return
        self._tenancy.lock()
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise

    async def _start(self) -> None:
        self._rack = self._new_rack()
        shelf = Shelf(self._rack, self.namespace)
        await self._tenancy.take(shelf, self._rack.map)
        space = Space(shelf, clock=self._clock, ids=self._ids)
        await space.load()
        self._space, self.head = space, space.head
        self.durability = self._rack.durability
        self._tenancy.beat(self._turn)

    async def _close(self) -> None:
        if self._space is None:
            return
        self._space = None
        await self._tenancy.leave()
        await self._stop()

    async def _stop(self) -> None:
        self._tenancy.stop()
        try:
            await self._rack.close()
        finally:
            self._tenancy.unlock()

    def _forget(self) -> None:
        # The event loop that it was open on is gone, and with it every connection.
        self._space = None
        self._tenancy.forget()
        self._tenancy.unlock()

    def _new_rack(self) -> Rack:
        return Rack(self._ctors, base_dir=self._base_dir, namespace=self.namespace)


def _check(ctors: Mapping[str, Ctor]) -> None:
    unknown = sorted(set(ctors) - set(DOMAINS))
    if unknown or "signal" not in ctors:
        wrong = f"{', '.join(unknown)} is no domain" if unknown else "no adapter serves the signals"
        raise InvalidOption(f"{wrong}; domains are {', '.join(DOMAINS)}", known=DOMAINS)


def _check_key(key: Key) -> None:
    check_key(key)
    if key.entity_name == OWN:
        raise InvalidKey(f"the entity name {OWN!r} is Holdfast's own", key=key, reason="reserved")


def _record(row: Row) -> Record:
    return Record(row.key, row.value, row.version)
