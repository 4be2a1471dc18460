"""A full store on adapters of four methods: `wait_for_init`, `read_value`, `has_value` and `write_value`.

Everything that an adapter cannot do (several rows at once, lists, streams, deleting, telling a repeated commit)
is done here, by rows of Holdfast's own beside the user's. Several rows change at once only after recovery.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

from holdfast import points
from holdfast.errors import InvalidKey, InvalidOption, NotOpen, StoreError, StoreInUse
from holdfast.persist.domains import DOMAINS, Ctor
from holdfast.persist.host import COPY, Host, Note
from holdfast.persist.once import finish
from holdfast.persist.owner import Owner, Ownership
from holdfast.persist.rack import Rack, declared, title
from holdfast.persist.rows import OWN, Row
from holdfast.persist.shelf import Shelf
from holdfast.persist.space import Space
from holdfast.store import Change, CommitId, Durability, Event, Key, Names, Record, Store
from holdfast.store.backends.file.disk import Disk
from holdfast.store.changes import check_commit_id, effects, expectations
from holdfast.store.codec import check_key, check_name, check_stream
from holdfast.system import Clock, Ids, SystemClock, system_ids

__all__ = ("AdapterStore",)

MAP: Final = "map"
HEARTBEAT: Final = 5.0
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
        self._disk = disk or Disk()
        self._heartbeat = heartbeat
        self._host = Host(base_dir, namespace, clock=self._clock, disk=self._disk)
        self._rack = self._new_rack()
        self.durability = self._rack.durability
        self._turns: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None
        self._space: Space | None = None
        self._ownership: Ownership | None = None
        self._beating: asyncio.Task[None] | None = None
        self._lost: StoreInUse | None = None

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
        if self._lost is not None:
            raise self._lost
        if self._space is None:
            raise NotOpen(
                "the store is not open: use `async with store`, or `await store.open()`", url=self.url
            )
        return self._space

    # ------------------------------------------------------------ opening and closing

    async def _open(self) -> None:
        if self._space is not None:
            return
        self._lost = None
        self._host.acquire()
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise

    async def _start(self) -> None:
        self._rack = self._new_rack()
        shelf = Shelf(self._rack, self.namespace)
        note = await self._noted(shelf)
        self._ownership = self._owner(shelf, note)
        await self._ownership.take()
        points.reached("adapter.owner-written")
        await shelf.put(shelf.own_row(MAP, note.map))
        points.reached("adapter.map-written")
        space = Space(shelf, clock=self._clock, ids=self._ids)
        await space.load()
        self._space, self.head = space, space.head
        self.durability = self._rack.durability
        self._beating = asyncio.ensure_future(self._beat_on(self._ownership))

    async def _close(self) -> None:
        if self._space is None:
            return
        self._space = None
        if self._ownership is not None and self._lost is None:
            # A courtesy: where it fails, whoever starts next on another machine watches the row for a while.
            with suppress(StoreError):
                await self._ownership.release()
                points.reached("adapter.released")
        await self._stop()

    async def _stop(self) -> None:
        if self._beating is not None:
            self._beating.cancel()
            self._beating = None
        try:
            await self._rack.close()
        finally:
            self._host.release()

    def _forget(self) -> None:
        # The event loop that it was open on is gone, and with it every connection.
        self._space = self._beating = None
        self._host.release()

    async def _noted(self, shelf: Shelf) -> Note:
        """Return what serves what, noted on this machine; refuses another map than the one that was noted."""
        served = self._rack.map
        row = await shelf.own(MAP)
        note = self._host.read()
        for place, known in (
            ("what it keeps there itself", row and row.value),
            (self._host.note, note and note.map),
        ):
            if known is not None and known != served:
                raise _other_map(place, known, served)
        if note is None:
            self._host.refuse_files()
            note = Note(self._ids(), served)
            self._host.write(note)
            points.reached("adapter.host-noted")
        return note

    def _owner(self, shelf: Shelf, note: Note) -> Ownership:
        async def read(row_id: str) -> Any:
            row = await shelf.own(row_id)
            return None if row is None else row.value

        async def write(row_id: str, value: Any) -> None:
            await shelf.put(shelf.own_row(row_id, value))

        pid, host = self._disk.process()
        me = Owner(process=self._ids(), place=note.place, host=host, pid=pid, every=self._heartbeat)
        return Ownership(me, read=read, write=write, clock=self._clock)

    async def _beat_on(self, ownership: Ownership) -> None:
        while True:
            await self._clock.sleep(self._heartbeat)
            try:
                await self._turn(lambda: self._beat(ownership))
            except StoreInUse as error:
                self._lost = error
                return
            except StoreError:
                continue  # a commit will say what is wrong with the adapter; the next beat tries again

    async def _beat(self, ownership: Ownership) -> None:
        if self._space is not None and self._ownership is ownership:
            await ownership.beat()

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


def _other_map(place: str, known: Any, served: dict[str, str]) -> InvalidOption:
    was = known if isinstance(known, dict) else {}
    others = [name for name in served if was.get(name) != served[name]]
    changed = "; ".join(f"{name} by {was.get(name, 'nothing')}, now by {served[name]}" for name in others[:2])
    more = f" (and {len(others) - 2} more)" if len(others) > 2 else ""
    message = (
        f"other adapters served this namespace, as {place} says: {changed or known}{more}. Register the same ones "
        f"(`adapter_name` keeps the name of a class that has moved), choose another base_dir, or {COPY}"
    )
    return InvalidOption(message, known=known, served=served)
