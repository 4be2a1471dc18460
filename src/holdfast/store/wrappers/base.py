"""What every wrapper is: a store that passes everything on to the one inside, unless it says otherwise."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from holdfast.errors import InvalidOption
from holdfast.store.base import Change, CommitId, Durability, Event, Key, Names, Record, Store
from holdfast.store.url import StoreUrl

__all__ = ("Get", "Uncached", "Wrapper", "asked", "ending")

T = TypeVar("T")

Get = Callable[..., Awaitable[list[Record | None]]]
"""`get` or `fresh` of a store."""


class Wrapper(Store):
    """Passes everything on to `inner`, which it opens and closes.

    A wrapper that does something to what is read overrides `_get`, which serves `get` and `fresh` alike: so it does
    the same where somebody reads past a cache that is further inside.
    """

    def __init__(self, inner: Store) -> None:
        self.inner = inner

    @property
    def url(self) -> str:  # type: ignore[override]
        """The URL of what is inside, without passwords."""
        return self.inner.url

    @property
    def namespace(self) -> str:  # type: ignore[override]
        """The namespace of what is inside."""
        return self.inner.namespace

    @property
    def durability(self) -> Durability:  # type: ignore[override]
        """What an acknowledged commit survives: what it survives inside."""
        return self.inner.durability

    @property
    def atomicity(self) -> str:  # type: ignore[override]
        """Whether several keys change at one instant: as inside."""
        return self.inner.atomicity

    @property
    def head(self) -> int:  # type: ignore[override]
        """The count of the namespace's commits, as inside."""
        return self.inner.head

    @property
    def shared(self) -> bool:  # type: ignore[override]
        """Whether several processes may have it open for writing, as inside."""
        return self.inner.shared

    @property
    def warnings(self) -> tuple[str, ...]:  # type: ignore[override]
        """What weakens a promise, as inside."""
        return self.inner.warnings

    @property
    def findings(self) -> Sequence[Any]:
        """What opening found and mended, as inside; nothing where a store keeps no such list."""
        return getattr(self.inner, "findings", ())

    @property
    def uncached(self) -> Store:
        """This store as one that reads past the caches inside; itself where there are none."""
        return self if self.inner.uncached is self.inner else Uncached(self)

    async def open(self) -> None:
        """Open what is inside."""
        await self.inner.open()

    async def close(self) -> None:
        """Close what is inside."""
        await self.inner.close()

    async def get(self, *keys: Key) -> list[Record | None]:
        """Return the records of `keys` in their order, as inside."""
        return await self._get(self.inner.get, keys)

    async def fresh(self, *keys: Key) -> list[Record | None]:
        """Return the records of `keys` in their order, read past every cache."""
        return await self._get(self.inner.fresh, keys)

    async def _get(self, get: Get, keys: Sequence[Key]) -> list[Record | None]:
        return await get(*keys)

    def scan(
        self, entity_name: str, *, after: str | None = None, limit: int | None = None
    ) -> AsyncIterator[Record]:
        """Yield the records of an entity name by id, as inside."""
        return self.inner.scan(entity_name, after=after, limit=limit)

    def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> AsyncIterator[Event]:
        """Yield the events of a stream, oldest first, as inside."""
        return self.inner.read(stream, after=after, limit=limit)

    async def names(self) -> Names:
        """Return the entity names that have records, and the streams that have events, as inside."""
        return await self.inner.names()

    async def last_number(self, stream: str) -> int:
        """Return the number of a stream's newest event, 0 where it has none, as inside."""
        return await self.inner.last_number(stream)

    async def behind(self) -> tuple[str, ...]:
        """Return one sentence for each copy that lacks commits, as inside."""
        return await self.inner.behind()

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        """Make all changes or none, as inside."""
        return await self.inner.commit(changes, commit_id=commit_id, vital=vital)


class Uncached(Wrapper):
    """A store whose `get` is its `fresh`: a view of the same store, which is open while that is."""

    async def get(self, *keys: Key) -> list[Record | None]:
        """Return the records of `keys` in their order, read past every cache."""
        return await self.inner.fresh(*keys)

    @property
    def uncached(self) -> Store:
        """Itself."""
        return self


def asked(inner: Store, options: Mapping[str, str], *known: str) -> StoreUrl:
    """Return a wrapper's options in the form that is read by `network.number` and `network.flag`.

    The first of `known` is the option that asks for the wrapper. Raises InvalidOption for one that is not known,
    and where that first one is missing.
    """
    url = StoreUrl(text=inner.url, scheme="", path="", options=dict(options))
    url.only(*known)
    if known[0] not in options:
        given = ", ".join(options)
        raise InvalidOption(f"{given} means nothing without {known[0]}=", option=given, known=known)
    return url


@asynccontextmanager
async def ending(found: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """Yield an iterator that ends where this does: what it has from its backend is let go of at once."""
    try:
        yield found
    finally:
        close = getattr(found, "aclose", None)
        if close is not None:
            await close()
