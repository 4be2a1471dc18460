"""What every wrapper is: a store that passes everything on to the one inside, unless it says otherwise."""

from collections.abc import AsyncIterator, Sequence

from holdfast.store.base import Change, CommitId, Durability, Event, Key, Names, Record, Store

__all__ = ("Wrapper",)


class Wrapper(Store):
    """Passes everything on to `inner`, which it opens and closes."""

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

    async def open(self) -> None:
        """Open what is inside."""
        await self.inner.open()

    async def close(self) -> None:
        """Close what is inside."""
        await self.inner.close()

    async def get(self, *keys: Key) -> list[Record | None]:
        """Return the records of `keys` in their order, as inside."""
        return await self.inner.get(*keys)

    async def scan(
        self, entity_name: str, *, after: str | None = None, limit: int | None = None
    ) -> AsyncIterator[Record]:
        """Yield the records of an entity name by id, as inside."""
        async for record in self.inner.scan(entity_name, after=after, limit=limit):
            yield record

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> AsyncIterator[Event]:
        """Yield the events of a stream, oldest first, as inside."""
        async for event in self.inner.read(stream, after=after, limit=limit):
            yield event

    async def names(self) -> Names:
        """Return the entity names that have records, and the streams that have events, as inside."""
        return await self.inner.names()

    async def last_number(self, stream: str) -> int:
        """Return the number of a stream's newest event, 0 where it has none, as inside."""
        return await self.inner.last_number(stream)

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        """Make all changes or none, as inside."""
        return await self.inner.commit(changes, commit_id=commit_id, vital=vital)
