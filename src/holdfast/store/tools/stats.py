"""How much there is in a store, by name, read once and never held in memory."""

import msgspec
from msgspec import Struct

from holdfast.store.base import Store
from holdfast.store.tools.contents import Tell, untold

__all__ = ("Count", "Stats", "count")


class Count(Struct, frozen=True, kw_only=True):
    """How many records or events a name has, the bytes of their JSON, and the version of the last one.

    The last of a stream is its newest; of an entity name, the one whose id is last.
    """

    name: str
    kind: str
    count: int
    bytes: int
    version: str


class Stats(Struct, frozen=True, kw_only=True):
    """What there is in a namespace, and what its store declares, as found."""

    url: str
    namespace: str
    head: int
    durability: str
    atomicity: str
    shared: bool
    warnings: tuple[str, ...]
    counts: tuple[Count, ...]


_encode = msgspec.json.Encoder().encode


async def count(store: Store, *, tell: Tell = untold) -> Stats:
    """Count an open store's records and events, also while a run uses it."""
    names = await store.names()
    counts = [await _entities(store, name, tell) for name in names.entities]
    counts += [await _events(store, stream, tell) for stream in names.streams]
    return Stats(
        url=store.url,
        namespace=store.namespace,
        head=store.head,
        durability=store.durability.name,
        atomicity=store.atomicity,
        shared=store.shared,
        warnings=store.warnings,
        counts=tuple(counts),
    )


async def _entities(store: Store, name: str, tell: Tell) -> Count:
    number, size, version = 0, 0, ""
    async for record in store.scan(name):
        number, size, version = number + 1, size + len(_encode(record.value)), record.version
        tell("counted", 1)
    return Count(name=name, kind="entities", count=number, bytes=size, version=version)


async def _events(store: Store, stream: str, tell: Tell) -> Count:
    number, size, version = 0, 0, ""
    async for event in store.read(stream):
        number, size, version = number + 1, size + len(_encode(event.value)), event.version
        tell("counted", 1)
    return Count(name=stream, kind="stream", count=number, bytes=size, version=version)
