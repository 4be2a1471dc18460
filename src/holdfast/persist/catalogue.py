"""What a namespace on adapters holds: an adapter of four methods cannot list, so Holdfast keeps the lists."""

from bisect import bisect_left
from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b
from typing import Any, Final

from msgspec import Struct

from holdfast.errors import Corrupt
from holdfast.persist.rows import OWN, typed
from holdfast.store import Key, Names
from holdfast.store.changes import Added, Effect, Removed, Wrote

__all__ = ("Catalogue",)

NAMES: Final = "names"
LONGEST: Final = 200

ReadOwn = Callable[[str], Awaitable[Any]]


class _Listed(Struct, frozen=True):
    """The value of the row of names."""

    entities: list[str]
    streams: list[str]


class Catalogue:
    """The entity names, the ids of each, and the streams; lists of ids are read when first needed.

    `read_own` returns the value of one of Holdfast's own rows, None where there is none.
    """

    def __init__(self, read_own: ReadOwn) -> None:
        self._read_own = read_own
        self._entities: set[str] = set()
        self._streams: set[str] = set()
        self._ids: dict[str, list[str]] = {}

    async def load(self) -> None:
        """Read the names of entities and streams."""
        found = typed(await self._read_own(NAMES), _Listed | None, Key(OWN, NAMES)) or _Listed([], [])
        self._entities, self._streams = set(found.entities), set(found.streams)

    def names(self) -> Names:
        """Return the entity names that have records, and the streams that have events."""
        return Names(tuple(sorted(self._entities)), tuple(sorted(self._streams)))

    def has_stream(self, stream: str) -> bool:
        """Whether the stream has events."""
        return stream in self._streams

    async def has(self, key: Key) -> bool:
        """Whether there is a record of that key."""
        ids = await self.ids(key.entity_name)
        at = bisect_left(ids, key.entity_id)
        return at < len(ids) and ids[at] == key.entity_id

    async def ids(self, entity_name: str) -> Sequence[str]:
        """Return the ids of an entity name, bytewise (which is the order of code points)."""
        if entity_name not in self._ids:
            self._ids[entity_name] = await self._read_ids(entity_name)
        return self._ids[entity_name]

    async def staged(self, effects: Sequence[Effect]) -> dict[str, Any]:
        """Return Holdfast's own rows that change with a commit, by id, as they will be after it."""
        after: dict[str, list[str]] = {}
        for effect in effects:
            if not isinstance(effect, Added):
                name = effect.entity_name
                after.setdefault(name, list(await self.ids(name)))
                _change(after[name], effect)
        rows: dict[str, Any] = {
            _row_id(name): [name, ids] for name, ids in after.items() if ids != self._ids[name]
        }
        entities = (self._entities | {name for name in after if after[name]}) - {
            n for n in after if not after[n]
        }
        streams = self._streams | {effect.stream for effect in effects if isinstance(effect, Added)}
        if (entities, streams) != (self._entities, self._streams):
            rows[NAMES] = {"entities": sorted(entities), "streams": sorted(streams)}
        return rows

    def adopt(self, rows: dict[str, Any]) -> None:
        """Take the rows of a commit that was made."""
        for row_id, value in rows.items():
            if row_id == NAMES:
                self._entities, self._streams = set(value["entities"]), set(value["streams"])
            else:
                name, ids = value
                self._ids[name] = ids

    async def _read_ids(self, entity_name: str) -> list[str]:
        if entity_name not in self._entities:
            return []
        key = Key(OWN, _row_id(entity_name))
        found = typed(await self._read_own(_row_id(entity_name)), tuple[str, list[str]] | None, key)
        if found is None or found[0] != entity_name:
            message = f"the list of the ids of {entity_name!r} is missing"
            raise Corrupt(message, key=key, reason="missing", path=None)
        ids: list[str] = found[1]
        return ids


def _change(ids: list[str], effect: Effect) -> None:
    if isinstance(effect, Added):
        return
    at = bisect_left(ids, effect.entity_id)
    there = at < len(ids) and ids[at] == effect.entity_id
    if isinstance(effect, Wrote) and not there:
        ids.insert(at, effect.entity_id)
    elif isinstance(effect, Removed) and there:
        del ids[at]


def _row_id(entity_name: str) -> str:
    # A prefix must not make a name too long that was not: then a hash stands for it, and the row says whose it is.
    if len(entity_name.encode()) <= LONGEST:
        return f"ids.{entity_name}"
    return f"ids-{blake2b(entity_name.encode(), digest_size=16).hexdigest()}"
