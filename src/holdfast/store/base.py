"""The waist: the one small contract between everything that trades and everything that stores.

Shapes are frozen msgspec Structs. Values are JSON documents (`None`, bool, int, float, str, list, dict with
str keys); what would not read back exactly is refused by `codec.encode` before anything is written.
"""

import enum
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from types import TracebackType
from typing import Any, Final, Self

from msgspec import Struct

__all__ = (
    "ABSENT", "ANY", "Append", "Change", "Check", "CommitId", "Delete", "Durability", "Event", "Expect",
    "Key", "Names", "Put", "Record", "Store", "Version",
)  # fmt: skip

CommitId = str
Version = CommitId


class Expectation(enum.Enum):
    """What a change may expect of a key instead of a version."""

    ANY = "any"
    ABSENT = "absent"

    def __repr__(self) -> str:
        return self.name


ANY: Final = Expectation.ANY
ABSENT: Final = Expectation.ABSENT
Expect = Version | Expectation


class Durability(enum.IntEnum):
    """What an acknowledged commit survives, as found on this store and not as hoped."""

    NONE = 0
    PROCESS_CRASH = 1
    POWER_LOSS = 2
    FAILOVER = 3

    def __str__(self) -> str:
        return self.name.lower().replace("_", " ")


class Key(Struct, frozen=True, order=True):
    """The name of a record: a kind of thing and its owner (`signal.my-strategy`), which one (`BTCUSDT`)."""

    entity_name: str
    entity_id: str


class Record(Struct, frozen=True):
    """A key's current value; `version` is the id of the commit that wrote it."""

    key: Key
    value: Any
    version: Version


class Event(Struct, frozen=True):
    """One entry of a stream; numbers start at 1 and have no gaps."""

    stream: str
    number: int
    value: Any
    version: Version


class Put(Struct, frozen=True):
    """Set the value of a key (None is a value: the key is then there, and empty)."""

    key: Key
    value: Any
    expect: Expect = ANY


class Delete(Struct, frozen=True):
    """Make a key absent; deleting what is absent is no error unless `expect` says so."""

    key: Key
    expect: Expect = ANY


class Append(Struct, frozen=True):
    """Add one event to the end of a stream."""

    stream: str
    event: Any


class Check(Struct, frozen=True):
    """Change nothing, but refuse the commit unless the key is as expected."""

    key: Key
    expect: Expect


Change = Put | Delete | Append | Check


class Names(Struct, frozen=True):
    """What a namespace holds: its entity names and its streams, each sorted."""

    entities: tuple[str, ...]
    streams: tuple[str, ...]


class Store(ABC):
    """One namespace of records and streams, changed by atomic commits.

    `durability` says what an acknowledged commit survives, `atomicity` whether several keys change at one
    instant ("commit") or are only whole again after recovery ("recovery"). `head` counts the namespace's
    commits and only grows. `shared` says whether several processes may have it open for writing at once.
    `warnings` name, one sentence each, what was found at `open` that weakens a promise (a server that loses
    acknowledged writes). A store is open between `open()` and `close()`; use it as `async with`.
    """

    url: str
    namespace: str
    durability: Durability
    atomicity: str = "commit"
    head: int = 0
    shared: bool = False
    warnings: tuple[str, ...] = ()

    @abstractmethod
    async def open(self) -> None:
        """Make the store usable, recovering whatever a crash left; opening an open store does nothing.

        After WentBack, closing and opening it is to go on from what is there.
        Raises StoreInUse, StoreMissing, FromTheFuture, Corrupt, StoreFull, Unavailable.
        """

    @abstractmethod
    async def close(self) -> None:
        """Finish running commits, let go of everything; closing a closed store does nothing."""

    @abstractmethod
    async def get(self, *keys: Key) -> list[Record | None]:
        """Return the records of `keys` in their order, from one consistent durable snapshot; None is absent.

        Each caller gets values of its own. Raises Corrupt for a key that is there and unreadable.
        """

    async def fresh(self, *keys: Key) -> list[Record | None]:
        """Return what `get` returns, read past every cache: what a decision rests on is read by this one."""
        return await self.get(*keys)

    @abstractmethod
    def scan(
        self, entity_name: str, *, after: str | None = None, limit: int | None = None
    ) -> AsyncIterator[Record]:
        """Yield the records of an entity name by id, bytewise (UTF-8), those after the id `after` only."""

    @abstractmethod
    def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> AsyncIterator[Event]:
        """Yield the events of a stream, oldest first, those numbered above `after` only."""

    @abstractmethod
    async def names(self) -> Names:
        """Return the entity names that have records, and the streams that have events."""

    @abstractmethod
    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        """Make all changes or none; return when the result is as durable as the store declares.

        A commit id that was committed in the last ten minutes changes nothing and is returned (after the
        first try's durability). Several changes of one commit to one key are refused (InvalidKey); several
        appends to one stream are numbered in their order. `vital` is for outcomes and exits: such a commit
        may use the room that new work is refused (StoreFull) on a full disk. Raises Conflict, InvalidKey,
        InvalidValue, StoreFull, Unavailable (`unknown=True` where it may have happened: repeat with the same
        id; `retryable=False` where a person must mend something first), WentBack.
        """

    @property
    def uncached(self) -> "Store":
        """This store as one that reads past every cache: what decides anything uses this one.

        Only its reads differ: it is opened, closed and committed to through the same wrappers, caches included.
        """
        return self

    @property
    def persist(self) -> Callable[[str, str], Any]:
        """What makes entity views of this store: `store.persist("signal", "./logs/data")` is a PersistBase.

        It can be registered wherever an adapter's class can.
        """
        from holdfast.persist.view import (
            persist_of,
        )  # the view knows the store; only this name knows the view

        return persist_of(self)

    async def last_number(self, stream: str) -> int:
        """Return the number of a stream's newest event, 0 where it has none."""
        number = 0
        async for event in self.read(stream):
            number = event.number
        return number

    async def behind(self) -> tuple[str, ...]:
        """Return one sentence for each copy of this store that lacks commits: what the end of a run tells."""
        return ()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
