"""encrypted: a store whose values nobody can read, change or move without the key.

    store = encrypted(open_store("postgresql://…"), keys)          # or …?encrypt_key_env=HOLDFAST_KEYS
                                                                  # or …?encrypt_key_file=/run/secrets/keys

Names (of entities, ids and streams), sizes and times stay readable; values do not. Each value is bound to its
namespace, key and version, each event to its stream, its commit and its place among that commit's events in the
stream. So a value that was changed, moved, swapped with another, or put back under a newer version is Corrupt, and so
are the events of a commit that were reordered or thinned out. What whoever can write to the database can still do
unnoticed *here*: put a record back with its old version, delete records, leave out or reorder whole commits in a
stream. (A live run notices that its documents and its history no longer agree, and halts.)
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Final

from holdfast.errors import Conflict, InvalidKey, InvalidOption, NotOpen, Unsupported
from holdfast.store.base import (
    ABSENT,
    Append,
    Change,
    Check,
    CommitId,
    Delete,
    Event,
    Expect,
    Key,
    Names,
    Put,
    Record,
    Store,
    Version,
)
from holdfast.store.changes import Added, Wrote, check_commit_id, effects
from holdfast.store.credentials import secret
from holdfast.store.url import StoreUrl
from holdfast.store.wrappers.base import Get, Wrapper, ending
from holdfast.store.wrappers.keyring import Keyring
from holdfast.store.wrappers.sealing import Order, Sealer
from holdfast.system import Clock, Ids, system_ids

__all__ = ("Encrypted", "encrypted", "from_options")

MARK: Final = Key("holdfast.encrypted", "mark")
"""A record of the wrapper's own, which says that this namespace is encrypted, and shows a wrong key at `open`."""

OWN: Final = "holdfast."


class Encrypted(Wrapper):
    """Encrypts what is written and decrypts what is read, by AES-256-GCM. `keys` is asked at each `open`.

    A key that is missing is Unavailable (`retryable=False`); what cannot be trusted is Corrupt, never absent.
    """

    def __init__(self, inner: Store, keys: Callable[[], Keyring], *, ids: Ids = system_ids) -> None:
        super().__init__(inner)
        self._keys = keys
        self._ids = ids
        self._sealer: Sealer | None = None
        self._mark_expects: Expect | None = None
        self._mark_seen: Version | None = None

    async def open(self) -> None:
        """Open what is inside, and see whether these are its keys; raises Unsupported where it is not encrypted."""
        if self._sealer is not None:
            return
        sealer = Sealer(self._keys(), self.namespace)
        await self.inner.open()
        try:
            self._mark_expects = await self._recognised(sealer)
        except BaseException:
            await self.inner.close()
            raise
        self._sealer = sealer

    async def close(self) -> None:
        """Close what is inside, and forget the keys."""
        await self.inner.close()
        self._sealer = None

    async def _get(self, get: Get, keys: Sequence[Key]) -> list[Record | None]:
        for key in keys:
            _refuse_own(key)
        found = await get(*keys)
        sealer = self._opened()
        return [None if record is None else sealer.record(record) for record in found]

    async def scan(
        self, entity_name: str, *, after: str | None = None, limit: int | None = None
    ) -> AsyncIterator[Record]:
        """Yield the records of an entity name by id, decrypted; raises Corrupt at one that cannot be trusted."""
        _refuse_own(Key(entity_name, "all"))
        async with ending(self.inner.scan(entity_name, after=after, limit=limit)) as found:
            async for record in found:
                yield self._opened().record(record)

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> AsyncIterator[Event]:
        """Yield the events of a stream, oldest first, decrypted; raises Corrupt where order or content is not right.

        An event is held against the one before it, which is read too, and is left alone where that is unreadable.
        """
        if limit is not None and limit <= 0:
            return
        first = max(after, 0)
        wanted = limit if limit is None or not first else limit + 1
        order = Order()
        async with ending(self.inner.read(stream, after=max(first - 1, 0), limit=wanted)) as found:
            async for event in found:
                if event.number <= first:
                    order.follow(self._opened(), event)
                else:
                    yield order.take(self._opened(), event)

    async def names(self) -> Names:
        """Return the entity names that have records, and the streams that have events; the mark is no one's."""
        found = await self.inner.names()
        return Names(tuple(name for name in found.entities if name != MARK.entity_name), found.streams)

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        """Make all changes or none, encrypted; a new namespace is marked as encrypted first, by a commit before."""
        sealer = self._opened()
        name = self._ids() if commit_id is None else commit_id
        check_commit_id(name)
        sealed = list(_sealed(sealer, changes, name))
        while True:
            await self._mark(sealer, vital=vital)
            try:
                await self.inner.commit([*sealed, *self._still_marked()], commit_id=name, vital=vital)
            except Conflict as conflict:
                if conflict.key != MARK:
                    raise
                self._mark_expects = await self._recognised(sealer)
            else:
                self._mark_seen = None
                return name

    def _still_marked(self) -> Iterator[Check]:
        """Yield what the first commit checks: a server that has lost commits since `open` may have lost the mark.

        Once a commit of this process is acknowledged, the store itself notices what is lost.
        """
        if self._mark_seen is not None:
            yield Check(MARK, self._mark_seen)

    async def _recognised(self, sealer: Sealer) -> Expect | None:
        """Return what the mark has to be for it to be written, None where it is as it should be."""
        [record] = await self.inner.fresh(MARK)
        if record is None and await self._holds_something():
            [record] = await self.inner.fresh(MARK)  # another process may have been first, in between
            if record is None:
                raise self._not_encrypted()
        self._mark_seen = None
        if record is None:
            return ABSENT
        sealer.record(record)
        if not sealer.is_current(record):
            return record.version
        self._mark_seen = record.version
        return None

    async def _holds_something(self) -> bool:
        found = await self.inner.names()
        return bool(found.streams) or any(not name.startswith(OWN) for name in found.entities)

    def _not_encrypted(self) -> Unsupported:
        return Unsupported(
            f"namespace {self.namespace!r} of {self.url} holds what is not encrypted. To encrypt it, copy it into "
            "a new namespace or database: holdfast store copy FROM 'TO?encrypt_key_env=NAME'",
            namespace=self.namespace,
        )

    async def _mark(self, sealer: Sealer, *, vital: bool) -> None:
        while self._mark_expects is not None:
            version, expect = self._ids(), self._mark_expects
            change = Put(MARK, sealer.put(MARK, b'"encrypted"', version), expect)
            try:
                await self.inner.commit([change], commit_id=version, vital=vital)
            except Conflict:  # another process was first: with these keys, or this raises
                self._mark_expects = await self._recognised(sealer)
            else:
                self._mark_expects = None

    def _opened(self) -> Sealer:
        if self._sealer is None:
            raise NotOpen(
                "the store is not open: use `async with store`, or `await store.open()`", url=self.url
            )
        return self._sealer


def _sealed(sealer: Sealer, changes: Sequence[Change], commit_id: CommitId) -> Iterator[Change]:
    """Yield the changes with their values encrypted; raises InvalidKey and InvalidValue before any of them."""
    staged = effects(changes)
    for change in changes:
        if not isinstance(change, Append):
            _refuse_own(change.key)
    places = _places([effect.stream for effect in staged if isinstance(effect, Added)])
    values = iter([bytes(effect.value) for effect in staged if isinstance(effect, Wrote | Added)])
    for change in changes:
        match change:
            case Put(key, _, expect):
                yield Put(key, sealer.put(key, next(values), commit_id), expect)
            case Append(stream, _):
                yield Append(stream, sealer.append(stream, next(values), commit_id, next(places)))
            case Delete() | Check():
                yield change


def _places(streams: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield for each event of a commit which one of its stream it is, from 1, and of how many."""
    seen: dict[str, int] = {}
    for stream in streams:
        seen[stream] = seen.get(stream, 0) + 1
        yield seen[stream], streams.count(stream)


def _refuse_own(key: Key) -> None:
    if key.entity_name == MARK.entity_name:
        raise InvalidKey(f"{key} is the encrypting wrapper's own", key=key, reason="reserved")


def encrypted(store: Store, keys: str | Keyring, *, ids: Ids = system_ids) -> Encrypted:
    """Return `store`, encrypted with the first of `keys` (text as `new_key` makes it, or a Keyring).

    Raises InvalidOption for text that holds no keys, Unsupported where cryptography is not installed.
    """
    ring = keys if isinstance(keys, Keyring) else Keyring(keys)
    return Encrypted(store, lambda: ring, ids=ids)


def from_options(inner: Store, options: Mapping[str, str], *, clock: Clock, ids: Ids) -> Encrypted:
    """Return what `?encrypt_key_env=NAME` or `?encrypt_key_file=PATH` asks for; the key is read at `open`."""
    known = ("encrypt_key_env", "encrypt_key_file")
    StoreUrl(text=inner.url, scheme="", path="", options=dict(options)).only(*known)
    if len(options) != 1:
        raise InvalidOption(f"give one of {' and '.join(known)}, not both", known=known)
    return Encrypted(inner, lambda: _keyring(options), ids=ids)


def _keyring(options: Mapping[str, str]) -> Keyring:
    return Keyring(secret(options, "encrypt_key") or "")
