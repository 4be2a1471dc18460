"""Commits that follow from a seed and a number, and what a store holds after so many of them.

Nothing is kept anywhere: whoever knows the seed knows every state that a store may be in.
"""

import random
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

from msgspec import Struct

from holdfast.store import ABSENT, ANY, Append, Change, Delete, Event, Key, Put, Record, Store

__all__ = ("Contents", "Timeline", "changes", "commit_id", "contents", "timeline")

KEYS: Final = (
    *(Key("signal.first", each) for each in ("BTCUSDT", "BTC/USDT:USDT", "eth")),
    *(Key("risk.second", each) for each in ("portfolio", "..")),
)
STREAMS: Final = ("history.first.BTCUSDT", "system.first")
SIZES: Final = (10, 10, 200, 900, 5000)

Versions = Mapping[Key, str]


class Contents(Struct, frozen=True):
    """All that a store holds: value and version of each key, and the events of each stream."""

    records: Mapping[Key, tuple[Any, str]]
    streams: Mapping[str, Sequence[tuple[Any, str]]]

    def difference(self, other: "Contents") -> str:
        """Return what one thing differs in, for people; "" where nothing does."""
        for key in sorted({*self.records, *other.records}):
            ours, theirs = self.records.get(key), other.records.get(key)
            if ours != theirs:
                return f"{key.entity_name}/{key.entity_id} is {_version(ours)}, not {_version(theirs)}"
        for stream in sorted({*self.streams, *other.streams}):
            mine, its = self.streams.get(stream, ()), other.streams.get(stream, ())
            if list(mine) != list(its):
                return f"stream {stream} has {len(mine)} events, not {len(its)}, or others"
        return ""


def _version(found: tuple[Any, str] | None) -> str:
    return "absent" if found is None else f"of commit {found[1]}"


def commit_id(seed: str, number: int) -> str:
    """Return the id of a commit."""
    return f"{seed}-{number}"


def changes(seed: str, number: int) -> list[Change]:
    """Return what a commit does: one put, delete or append, or several at once."""
    chance = random.Random(f"{seed}/{number}")  # noqa: S311  # repeatable on purpose
    known = timeline(seed).versions(number - 1)
    keys = chance.sample(KEYS, 3)
    many: list[Change] = [_put(chance, keys[0], known, number), _put(chance, keys[1], known, number)]
    many += [_delete(chance, keys[2], known), _append(chance, number), _append(chance, number)]
    kind = chance.random()
    if kind < 0.4:
        return many[:1]
    if (
        kind < 0.55 and keys[2] in known
    ):  # every commit changes something: then how many there were can be seen
        return many[2:3]
    return many[3:4] if kind < 0.7 else many[: chance.randint(2, 5)]


def _value(chance: random.Random, number: int) -> dict[str, Any]:
    return {"number": number, "price": f"{number}.5", "pad": "x" * chance.choice(SIZES)}


def _put(chance: random.Random, key: Key, known: Versions, number: int) -> Put:
    return Put(key, _value(chance, number), expect=_expect(chance, key, known))


def _delete(chance: random.Random, key: Key, known: Versions) -> Delete:
    return Delete(key, expect=_expect(chance, key, known))


def _append(chance: random.Random, number: int) -> Append:
    return Append(chance.choice(STREAMS), _value(chance, number))


def _expect(chance: random.Random, key: Key, known: Versions) -> Any:
    return known.get(key, ABSENT) if chance.random() < 0.5 else ANY


class Timeline:
    """What a store holds after each number of commits of a seed."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._records: list[dict[Key, tuple[Any, str]]] = [{}]
        self._events: dict[str, list[tuple[Any, str]]] = {stream: [] for stream in STREAMS}
        self._counts: list[dict[str, int]] = [dict.fromkeys(STREAMS, 0)]

    def after(self, number: int) -> Contents:
        """Return what is there after the first `number` commits."""
        self._reach(number)
        counts = self._counts[number].items()
        return Contents(
            self._records[number], {stream: self._events[stream][:count] for stream, count in counts if count}
        )

    def versions(self, number: int) -> dict[Key, str]:
        """Return the version of each key that is there after the first `number` commits."""
        self._reach(number)
        return {key: version for key, (_, version) in self._records[number].items()}

    def _reach(self, number: int) -> None:
        while len(self._records) <= number:
            self._step(len(self._records))

    def _step(self, number: int) -> None:
        records, version = dict(self._records[-1]), commit_id(self._seed, number)
        for change in changes(self._seed, number):
            if isinstance(change, Put):
                records[change.key] = change.value, version
            elif isinstance(change, Delete):
                records.pop(change.key, None)
            elif isinstance(change, Append):
                self._events[change.stream].append((change.event, version))
        self._records.append(records)
        self._counts.append({stream: len(events) for stream, events in self._events.items()})


@cache
def timeline(seed: str) -> Timeline:
    """Return the timeline of a seed."""
    return Timeline(seed)


async def contents(store: Store) -> Contents:
    """Return all that an open store holds; raises where anything of it cannot be read."""
    names = await store.names()
    records: dict[Key, tuple[Any, str]] = {}
    for entity_name in names.entities:
        found: AsyncIterator[Record] = store.scan(entity_name)
        records.update({record.key: (record.value, record.version) async for record in found})
    streams: dict[str, list[tuple[Any, str]]] = {}
    for stream in names.streams:
        events: AsyncIterator[Event] = store.read(stream)
        streams[stream] = [(event.value, event.version) async for event in events]
    return Contents(records, streams)
