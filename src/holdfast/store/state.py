"""What a namespace holds, in memory, as encoded bytes: records in order of id, and recent commit ids.

Shared by the backends that keep their records in memory. Values are decoded for each caller, so that no
two callers ever share one.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping

from msgspec import Struct

from holdfast.store.base import CommitId, Key, Record, Version
from holdfast.store.codec import decode

__all__ = ("REMEMBERED_SECONDS", "Recent", "Stored", "Table")

REMEMBERED_SECONDS = 600.0


class Stored(Struct, frozen=True):
    """A record's bytes, the id of the commit that wrote it, and that commit's number."""

    value: bytes
    version: Version
    sequence: int


class Table:
    """The records of a namespace by key, each entity name's ids in bytewise order."""

    def __init__(self) -> None:
        self.records: dict[Key, Stored] = {}
        self._ids: dict[str, list[str]] = {}

    def version(self, key: Key) -> Version | None:
        """Return the version of `key`, None where it is absent."""
        stored = self.records.get(key)
        return None if stored is None else stored.version

    def put(self, key: Key, stored: Stored) -> None:
        """Set the record of `key`."""
        if key not in self.records:
            ids = self._ids.setdefault(key.entity_name, [])
            if not ids or ids[-1] < key.entity_id:
                ids.append(key.entity_id)
            else:
                ids.insert(bisect_left(ids, key.entity_id), key.entity_id)
        self.records[key] = stored

    def delete(self, key: Key) -> None:
        """Make `key` absent, also where it is already."""
        if self.records.pop(key, None) is None:
            return
        ids = self._ids[key.entity_name]
        del ids[bisect_left(ids, key.entity_id)]
        if not ids:
            del self._ids[key.entity_name]

    def update(self, changed: Mapping[Key, Stored | None]) -> None:
        """Set or make absent every key of `changed`."""
        for key, stored in changed.items():
            if stored is None:
                self.delete(key)
            else:
                self.put(key, stored)

    def record(self, key: Key) -> Record | None:
        """Return the record of `key` with a value of the caller's own, None where it is absent."""
        stored = self.records.get(key)
        return None if stored is None else Record(key, decode(stored.value), stored.version)

    def slice(self, entity_name: str, after: str | None, limit: int | None) -> list[tuple[Key, Stored]]:
        """Return the records of an entity name after an id, as they are now, in order of id.

        The order of code points is the bytewise order of UTF-8, since keys hold no lone surrogates.
        """
        ids = self._ids.get(entity_name, [])
        start = 0 if after is None else bisect_right(ids, after)
        stop = len(ids) if limit is None else start + max(limit, 0)
        keys = (Key(entity_name, entity_id) for entity_id in ids[start:stop])
        return [(key, self.records[key]) for key in keys]

    def names(self) -> tuple[str, ...]:
        """Return the entity names that have records, sorted."""
        return tuple(sorted(self._ids))


class Recent:
    """The commit ids of the last ten minutes, measured on a clock that only grows."""

    def __init__(self, seconds: float = REMEMBERED_SECONDS) -> None:
        self._seconds = seconds
        self._since: dict[CommitId, float] = {}

    def __contains__(self, commit_id: CommitId) -> bool:
        return commit_id in self._since

    def copy(self) -> dict[CommitId, float]:
        """Return the ids with the time of each, on the clock that `add` was given."""
        return self._since.copy()

    def add(self, commit_id: CommitId, now: float) -> None:
        """Remember `commit_id` as of `now`, and forget those whose time is up."""
        self.add_all((commit_id,), now)

    def add_all(self, commit_ids: Iterable[CommitId], now: float) -> None:
        """Remember `commit_ids` as of `now`, and forget those whose time is up."""
        since = self._since
        since.update(dict.fromkeys(commit_ids, now))
        limit = now - self._seconds
        while since and since[oldest := next(iter(since))] < limit:
            del since[oldest]
