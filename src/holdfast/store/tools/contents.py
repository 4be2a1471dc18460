"""What of a namespace is its portfolio: everything but what belongs to the place that it is in.

Leases belong to processes, what replicas are owed and the guard to one primary, the mark to one of two places. The
binding to an exchange and account goes along.
"""

import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from holdfast.store.base import Event, Key, Names, Record, Store
from holdfast.store.tools.mark import MARK_KEY

__all__ = (
    "Fingerprint",
    "Seen",
    "Tell",
    "canonical",
    "event_at",
    "fingerprint",
    "is_lease",
    "names_of",
    "paged",
    "records_of",
    "untold",
)

LEASES: Final = ("holdfast.owner", "holdfast.worker")
LOCAL: Final = (*LEASES, "holdfast.namespace", "holdfast.replication")
PAGE: Final = 500

Tell = Callable[[str, int], None]
"""Told, as work goes on, which stage it is at and how many records and events more are done."""

canonical: Final[Callable[[Any], bytes]] = msgspec.json.Encoder(order="deterministic").encode
"""Return the bytes that two values share only if they are exactly equal (1, 1.0 and true are not)."""


def untold(stage: str, amount: int) -> None:
    """Tell nobody."""


async def names_of(store: Store) -> Names:
    """Return the names of entities and streams that belong to the portfolio."""
    found = await store.names()
    entities = [name for name in found.entities if not _is_of(LOCAL, name) and await _has_any(store, name)]
    return Names(tuple(entities), tuple(name for name in found.streams if not _is_of(LOCAL, name)))


def is_lease(name: str) -> bool:
    """Whether an entity name is about who trades now."""
    return _is_of(LEASES, name)


def _is_of(own: Sequence[str], name: str) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in own)


async def _has_any(store: Store, name: str) -> bool:
    if name != MARK_KEY.entity_name:
        return True
    return bool([record async for record in records_of(store, name)])


async def records_of(store: Store, name: str) -> AsyncIterator[Record]:
    """Yield the records of an entity name that belong to the portfolio, by id."""
    async for record in store.scan(name):
        if record.key != MARK_KEY:
            yield record


async def paged(store: Store, name: str) -> AsyncIterator[Record]:
    """Yield the same a page at a time, so that the store can be changed between two of them."""
    after: str | None = None
    while page := [record async for record in store.scan(name, after=after, limit=PAGE)]:
        for record in page:
            if record.key != MARK_KEY:
                yield record
        after = page[-1].key.entity_id


async def event_at(store: Store, stream: str, number: int) -> Event | None:
    """Return one event of a stream, None where it is not there."""
    found = [event async for event in store.read(stream, after=number - 1, limit=1)]
    return found[0] if found else None


class Fingerprint(Struct, frozen=True):
    """What a pass over a portfolio saw: the digest of all keys, versions and streams' lengths, and their counts.

    Two passes that see the same, one after the other, have seen one state: that of the instant between them.
    """

    digest: str
    records: int
    events: int


class Seen:
    """A fingerprint in the making; what it is given is in the order of the names, ids and streams."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._records = 0
        self._events = 0

    def record(self, key: Key, version: str) -> None:
        """Take a record."""
        self._records += 1
        self._hash.update(canonical(["record", key.entity_name, key.entity_id, version]))

    def stream(self, name: str, length: int) -> None:
        """Take a stream; what is in it already never changes."""
        self._events += length
        self._hash.update(canonical(["stream", name, length]))

    def fingerprint(self) -> Fingerprint:
        """Return it."""
        return Fingerprint(self._hash.hexdigest(), self._records, self._events)


async def fingerprint(store: Store) -> Fingerprint:
    """Pass over a portfolio and return what was seen of it."""
    seen, names = Seen(), await names_of(store)
    for name in names.entities:
        async for record in records_of(store, name):
            seen.record(record.key, record.version)
    for stream in names.streams:
        seen.stream(stream, await store.last_number(stream))
    return seen.fingerprint()
