"""The entity view: documents by id, as a strategy's own code and adapters see them."""

import re
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Final, Self

from holdfast.errors import EntityNotFound, Unsupported
from holdfast.persist.domains import entity_key
from holdfast.persist.once import Once
from holdfast.persist.shared import SharedStore, file_store
from holdfast.store import Delete, Durability, Put, Store

__all__ = ("EntityId", "PersistBase", "natural")

EntityId = str | int
"""How an entity is called; 1 and "1" are one entity."""

CORE: Final = ("read_value", "has_value", "write_value")
_DIGITS: Final = re.compile("([0-9]+)")


class PersistBase:
    """The entities of one name in one folder; used as it is, it is the file store.

    Making one does no I/O. Instances on one folder share one open store, and so does a run on that folder; it
    is closed with the last of them (`close`, or `async with`), or at the end of the event loop.

    A subclass that overrides `wait_for_init`, `read_value`, `has_value` and `write_value`, each atomic on its
    own, can hold all state of a run: `PersistSignalAdapter.use_persist_signal_adapter(RedisPersist)`. It should
    say in `durability` what a write that returned survives, and may offer `keys` and `remove_value` too.
    """

    durability: Durability = Durability.NONE
    # Here and not in __init__, which a subclass may not call: a custom adapter never needs them.
    _once: Once | None = None
    _shared: SharedStore | None = None

    def __init__(self, entity_name: str, base_dir: str = "./logs/data") -> None:
        self.entity_name = entity_name
        self.base_dir = base_dir

    async def wait_for_init(self, initial: bool = False) -> None:
        """Make the entities usable and read each of them once; raises Corrupt for one that is unreadable.

        Done once per instance: concurrent callers share it, a failure is retried by the next. `initial` is True
        where the caller is the first to use these entities.
        """
        if self._is_custom():
            return
        self._once = self._once or Once()
        await self._once(self._validate)

    async def read_value(self, entity_id: EntityId) -> Any:
        """Return the entity, a value of the caller's own; raises EntityNotFound where it is absent."""
        store, name = await self._view()
        [record] = await store.get(entity_key(name, entity_id))
        if record is None:
            raise self._not_found(entity_id)
        return record.value

    async def has_value(self, entity_id: EntityId) -> bool:
        """Whether the entity is there, be it None; raises Corrupt where it is there and unreadable."""
        store, name = await self._view()
        [record] = await store.get(entity_key(name, entity_id))
        return record is not None

    async def write_value(self, entity_id: EntityId, entity: Any) -> None:
        """Set the entity, wholly or not at all; it is durable on return."""
        store, name = await self._view()
        await store.commit([Put(entity_key(name, entity_id), entity)])

    async def remove_value(self, entity_id: EntityId) -> None:
        """Make the entity absent; raises EntityNotFound where it already is."""
        self._needs_own("remove_value")
        store, name = await self._view()
        key = entity_key(name, entity_id)
        [record] = await store.get(key)
        if record is None:
            raise self._not_found(entity_id)
        await store.commit([Delete(key)])

    async def remove_all(self) -> None:
        """Make all entities absent, in one commit."""
        self._needs_own("remove_all")
        store, name = await self._view()
        found = [Delete(record.key) async for record in store.scan(name)]
        if found:
            await store.commit(found)

    async def keys(self) -> AsyncIterator[str]:
        """Yield the ids there are now, in natural order: `key2` before `key10`."""
        self._needs_own("keys")
        store, name = await self._view()
        for entity_id in sorted([record.key.entity_id async for record in store.scan(name)], key=natural):
            yield entity_id

    async def values(self) -> AsyncIterator[Any]:
        """Yield the entities in natural order of their ids."""
        async for entity_id in self.keys():
            try:
                value = await self.read_value(entity_id)
            except EntityNotFound:
                continue  # removed since its id was listed
            yield value

    async def filter(self, predicate: Callable[[Any], bool]) -> AsyncIterator[Any]:
        """Yield the entities of which `predicate` is true, in natural order of their ids."""
        async for value in self.values():
            if predicate(value):
                yield value

    async def take(self, count: int) -> AsyncIterator[Any]:
        """Yield the first `count` entities in natural order of their ids."""
        if count <= 0:
            return
        async for value in self.values():
            yield value
            count -= 1
            if count <= 0:
                return

    async def close(self) -> None:
        """Let go of the folder; it is closed when its last user has. The next use opens it again."""
        shared, self._shared, self._once = self._shared, None, None
        if shared is not None and shared.is_here:
            await shared.leave(self)

    async def __aenter__(self) -> Self:
        await self.wait_for_init()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _view(self) -> tuple[Store, str]:
        """Return the open store that holds the entities, and their entity name in it."""
        if self._shared is None or not self._shared.is_here:
            self._shared = self._share()
        store = await self._shared.join(self)
        self.durability = store.durability
        return store, self._name()

    def _share(self) -> SharedStore:
        return file_store(self.base_dir)

    def _name(self) -> str:
        return self.entity_name

    async def _validate(self) -> None:
        store, name = await self._view()
        async for _ in store.scan(name):
            pass

    def _is_custom(self) -> bool:
        return any(getattr(type(self), name) is not getattr(PersistBase, name) for name in CORE)

    def _needs_own(self, name: str) -> None:
        # An adapter's entities are in its own database: looking for them in local files would find none.
        if self._is_custom():
            raise Unsupported(f"{type(self).__name__} has no {name} of its own: write it to use this")

    def _not_found(self, entity_id: EntityId) -> EntityNotFound:
        key = entity_key(self._name(), entity_id)
        return EntityNotFound(f"there is no entity {key.entity_id!r} in {key.entity_name!r}", key=key)


def natural(text: str) -> tuple[list[str | int], str]:
    """Return what sorts ids in natural order: runs of digits count as numbers, `key2` before `key10`."""
    parts = _DIGITS.split(text)
    # Every second part is a run of digits, so that numbers only ever meet numbers.
    return [int(part) if at % 2 else part for at, part in enumerate(parts)], text
