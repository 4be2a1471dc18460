"""cached: a store whose `get` is answered from memory where it may be: bounded in size and in age.

    store = cached(open_store("postgresql://…"), size=10_000, max_age=5)      # or …?cache=10000&cache_max_age=5

What this process commits it sees at once; what another process commits, after `max_age` seconds at the latest.
Nothing that decides about an order reads it: a run uses `store.uncached`.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from holdfast.errors import Conflict, InvalidOption, WentBack
from holdfast.store.backends.network import number
from holdfast.store.base import Append, Change, Check, CommitId, Key, Put, Record, Store
from holdfast.store.codec import decode, encode
from holdfast.store.wrappers.base import Uncached, Wrapper, asked
from holdfast.store.wrappers.entries import NOTHING, Entries, Entry, entry_of
from holdfast.system import Clock, Ids, SystemClock

__all__ = ("Cached", "cached", "from_options")

SIZE: Final = 10_000
MAX_AGE: Final = 5.0


class Cached(Wrapper):
    """Answers `get` from memory with what is at most `max_age` seconds old; `hits` and `misses` count.

    Filled by what the backend returned, and by commits once it has acknowledged them. Absent keys are kept too.
    Several keys are answered from memory only where one read or one commit brought all of them: put together from
    two, they would be no snapshot. `scan` and `read` go to the backend and fill nothing.
    """

    def __init__(self, inner: Store, *, size: int, max_age: float, clock: Clock) -> None:
        super().__init__(inner)
        self.hits = 0
        self.misses = 0
        self._clock = clock
        self._entries = Entries(size, max_age)

    @property
    def uncached(self) -> Store:
        """This store, read past this cache and all others; what is committed there is seen here."""
        return Uncached(self)

    async def open(self) -> None:
        """Open what is inside; nothing is remembered from before."""
        self._entries.clear()
        await self.inner.open()

    async def close(self) -> None:
        """Close what is inside, and forget everything."""
        self._entries.clear()
        try:
            await self.inner.close()
        finally:
            self._entries.clear()  # what was read while it was closing

    async def get(self, *keys: Key) -> list[Record | None]:
        """Return the records of `keys` in their order, each a value of the caller's own, from one snapshot."""
        now = self._clock.monotonic()
        entries = self._entries.together(keys, now)
        if entries is not None:
            self.hits += 1
            return [_record(key, entry) for key, entry in zip(keys, entries, strict=True)]
        self.misses += 1
        return await self._filled(keys, now)

    async def fresh(self, *keys: Key) -> list[Record | None]:
        """Return the records of `keys` in their order, read past this cache and all others."""
        return await self.inner.fresh(*keys)

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        """Make all changes or none, as inside; what they touch is forgotten first, and known anew after.

        With a `commit_id` of the caller's own they stay forgotten: the commit may be a repeated one, which changes
        nothing, and then they are not what it says.
        """
        known = {} if commit_id is not None else _outcome(changes)
        started = self._clock.monotonic()
        writing = self._entries.begin_write(_touched(changes))
        try:
            version = await self.inner.commit(changes, commit_id=commit_id, vital=vital)
        except BaseException as error:  # also where it is cancelled, and may yet happen
            self._entries.end(writing, {}, started)
            self._after(error)
            raise
        entries = {key: NOTHING if value is None else Entry(value, version) for key, value in known.items()}
        self._entries.end(writing, entries, started)
        return version

    async def _filled(self, keys: Sequence[Key], started: float) -> list[Record | None]:
        reading = self._entries.begin_read(keys)
        entries: Mapping[Key, Entry] = {}
        try:
            records = await self.inner.get(*keys)
            entries = {key: entry_of(record) for key, record in zip(keys, records, strict=True)}
        except WentBack as error:
            self._after(error)
            raise
        finally:
            self._entries.end(reading, entries, started)
        return records

    def _after(self, error: BaseException) -> None:
        if isinstance(error, Conflict):
            self._entries.forget(error.key)
        elif isinstance(error, WentBack):  # everything may be older there than it is here
            self._entries.clear()


def _record(key: Key, entry: Entry) -> Record | None:
    if entry.value is None or entry.version is None:
        return None
    return Record(key, decode(entry.value), entry.version)


def _touched(changes: Sequence[Change]) -> list[Key]:
    return [change.key for change in changes if not isinstance(change, Append | Check)]


def _outcome(changes: Sequence[Change]) -> dict[Key, bytes | None]:
    """Return what the keys that are touched will hold: encoded now, before the caller can change a value."""
    return {
        change.key: encode(change.value) if isinstance(change, Put) else None
        for change in changes
        if not isinstance(change, Append | Check)
    }


def cached(store: Store, *, size: int = SIZE, max_age: float = MAX_AGE, clock: Clock | None = None) -> Cached:
    """Return `store` with a cache of at most `size` keys, none of them older than `max_age` seconds.

    Raises InvalidOption where it could keep nothing.
    """
    if size < 1 or max_age <= 0:
        raise InvalidOption(f"a cache of size {size} and max_age {max_age} keeps nothing: leave it out")
    return Cached(store, size=size, max_age=max_age, clock=clock or SystemClock())


def from_options(inner: Store, options: Mapping[str, str], *, clock: Clock, ids: Ids) -> Cached:
    """Return what `?cache=10000&cache_max_age=5` asks for; raises InvalidOption."""
    url = asked(inner, options, "cache", "cache_max_age")
    size = number(url, "cache", SIZE, least=1)
    if size != int(size):
        raise InvalidOption(f"cache={options['cache']!r}: give a whole number of keys", option="cache")
    return cached(
        inner, size=int(size), max_age=number(url, "cache_max_age", MAX_AGE, least=0.001), clock=clock
    )
