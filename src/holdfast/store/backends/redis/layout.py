"""The keys of a namespace, all of one hash slot, and how commits are written down for the script.

    holdfast:{default}:meta                        hash: format, namespace, incarnation, head, its own clock
    holdfast:{default}:recent                      sorted set: commit ids by the namespace's clock
    holdfast:{default}:entities, …:streams         sorted sets: the names there are, bytewise
    holdfast:{default}:values:signal.my-strategy   hash: entity id -> JSON, exactly as encoded
    holdfast:{default}:versions:signal.my-strategy hash: entity id -> id of the commit that wrote it
    holdfast:{default}:ids:signal.my-strategy      sorted set: entity ids, bytewise
    holdfast:{default}:events:history.my-strategy  stream: `{number}-0` -> version, value

The namespace is percent-encoded inside the braces, so that no name can end the hash tag. What follows the last
colon is the name as it is: Redis keys are bytes, and nothing comes after it.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec

from holdfast.store.base import ABSENT, ANY, Key
from holdfast.store.changes import Added, Wrote
from holdfast.store.group import Request

__all__ = ("FORMAT", "Layout", "packed", "wanted", "written")

FORMAT: Final = 1

packed = msgspec.msgpack.Encoder().encode


class Layout:
    """The names of a namespace's keys."""

    def __init__(self, namespace: str) -> None:
        self._prefix = f"holdfast:{{{quote(namespace, safe='')}}}:"
        self.meta = f"{self._prefix}meta"
        self.recent = f"{self._prefix}recent"
        self.entities = f"{self._prefix}entities"
        self.streams = f"{self._prefix}streams"

    def versions(self, entity_name: str) -> str:
        """Return the key of an entity name's versions."""
        return f"{self._prefix}versions:{entity_name}"

    def values(self, entity_name: str) -> str:
        """Return the key of an entity name's values."""
        return f"{self._prefix}values:{entity_name}"

    def ids(self, entity_name: str) -> str:
        """Return the key of an entity name's ids."""
        return f"{self._prefix}ids:{entity_name}"

    def events(self, stream: str) -> str:
        """Return the key of a stream's events."""
        return f"{self._prefix}events:{stream}"

    def of_commit(self, entities: Iterable[str], streams: Iterable[str]) -> list[str]:
        """Return every key that commits to these names touch, in the order that the script expects."""
        keys = [self.meta, self.recent, self.entities, self.streams]
        for name in entities:
            keys += (self.versions(name), self.values(name), self.ids(name))
        return keys + [self.events(name) for name in streams]

    def of_get(self, entities: Iterable[str]) -> list[str]:
        """Return every key that a `get` of these names reads, in the order that the script expects."""
        return [self.meta, *(key for name in entities for key in (self.versions(name), self.values(name)))]


class Numbered:
    """Names numbered from 1 as they are first met, as Lua counts."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}

    def __getitem__(self, name: str) -> int:
        return self.names.setdefault(name, len(self.names) + 1)


def written(batch: Sequence[Request], layout: Layout) -> tuple[list[str], bytes]:
    """Return the keys of a batch of commits, and the batch as the script reads it.

    A member is [commit id, expectations, puts, deletes, appends]; `ANY` expects nothing and is left out.
    """
    entities, streams = Numbered(), Numbered()
    members = [_member(request, entities, streams) for request in batch]
    keys = layout.of_commit(entities.names, streams.names)
    return keys, packed([members, list(entities.names), list(streams.names)])


def _member(request: Request, entities: Numbered, streams: Numbered) -> list[Any]:
    puts: list[tuple[int, str, str]] = []
    deletes: list[tuple[int, str]] = []
    appends: list[tuple[int, str]] = []
    for effect in request.effects:
        if isinstance(effect, Added):
            appends.append((streams[effect.stream], str(effect.value, "utf-8")))
        elif isinstance(effect, Wrote):
            puts.append((entities[effect.entity_name], effect.entity_id, str(effect.value, "utf-8")))
        else:
            deletes.append((entities[effect.entity_name], effect.entity_id))
    return [request.commit_id, _expects(request, entities), puts, deletes, appends]


def _expects(request: Request, entities: Numbered) -> list[tuple[int, int, str, str | bool]]:
    return [
        (number, entities[key.entity_name], key.entity_id, False if expect is ABSENT else str(expect))
        for number, (key, expect) in enumerate(request.expectations)
        if expect is not ANY
    ]


def wanted(keys: Sequence[Key], layout: Layout) -> tuple[list[str], bytes]:
    """Return the keys of a `get`, and what it asks for as the script reads it."""
    entities = Numbered()
    asked = [(entities[key.entity_name], key.entity_id) for key in keys]
    return layout.of_get(entities.names), packed(asked)
