"""What a cache remembers, and what it must not: nothing that a commit may have changed meanwhile comes in.

Reads and commits that go on at the same time can be answered in any order. So each is a `Pass` over its keys, and
a commit spoils, for its keys, every pass that overlaps with it: only what nobody has touched is remembered.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from holdfast.store.base import Key, Record, Version
from holdfast.store.codec import encode

__all__ = ("NOTHING", "Entries", "Entry", "Pass", "entry_of")


class Entry(Struct, frozen=True):
    """A key's value, encoded, and its version; both None where the key is absent."""

    value: bytes | None
    version: Version | None


NOTHING: Final = Entry(None, None)


class Pass:
    """A read or a commit under way: `good` are the keys that it may still fill in."""

    def __init__(self, keys: Iterable[Key], *, writes: bool) -> None:
        self.keys = frozenset(keys)
        self.good = set(self.keys)
        self.writes = writes


class _Kept(Struct, frozen=True):
    """An entry, when it was asked for at the earliest, and the pass that brought it: one pass is one snapshot."""

    entry: Entry
    since: float
    brought_by: Pass


class Entries:
    """At most `size` entries, those used last, none of them answered with after `max_age` seconds."""

    def __init__(self, size: int, max_age: float) -> None:
        self._size = size
        self._max_age = max_age
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._passes: set[Pass] = set()

    def __len__(self) -> int:
        return len(self._kept)

    def together(self, keys: Sequence[Key], now: float) -> list[Entry] | None:
        """Return the entries of all `keys` if one pass brought them and none is too old; None otherwise."""
        kept = [self._kept.get(key) for key in keys]
        found = [one for one in kept if one is not None and now - one.since < self._max_age]
        if (
            not found
            or len(found) < len(kept)
            or any(one.brought_by is not found[0].brought_by for one in found)
        ):
            return None
        for key in keys:
            self._kept.move_to_end(key)
        return [one.entry for one in found]

    def begin_read(self, keys: Iterable[Key]) -> Pass:
        """Begin to read `keys`; those that are being written are not remembered."""
        reading = Pass(keys, writes=False)
        for other in self._passes:
            if other.writes:
                reading.good -= other.keys
        self._passes.add(reading)
        return reading

    def begin_write(self, keys: Iterable[Key]) -> Pass:
        """Begin to write `keys`: they are forgotten, and nobody else who is under way fills them in."""
        writing = Pass(keys, writes=True)
        for other in self._passes:
            if other.writes:  # two commits may be answered in another order than they happened in
                writing.good -= other.keys
            other.good -= writing.keys
        for key in writing.keys:
            self._kept.pop(key, None)
        self._passes.add(writing)
        return writing

    def end(self, ended: Pass, entries: Mapping[Key, Entry], since: float) -> None:
        """End a pass that was begun at `since`, and remember what it brought and nobody spoiled."""
        self._passes.discard(ended)
        for key in ended.good & entries.keys():
            self._kept[key] = _Kept(entries[key], since, ended)
            self._kept.move_to_end(key)
        while len(self._kept) > self._size:
            self._kept.popitem(last=False)

    def forget(self, key: Key) -> None:
        """Forget a key; no read that is under way fills it in."""
        self._kept.pop(key, None)
        for other in self._passes:
            other.good.discard(key)

    def clear(self) -> None:
        """Forget everything; nothing that is under way fills anything in."""
        self._kept.clear()
        for other in self._passes:
            other.good.clear()


def entry_of(record: Record | None) -> Entry:
    """Return what is remembered of a record, or of there being none."""
    return NOTHING if record is None else Entry(encode(record.value), record.version)
