"""Entity views of any store: `store.persist` is what adapters are registered with."""

from typing import final

from holdfast.persist.base import PersistBase
from holdfast.persist.domains import entity_name_of
from holdfast.persist.shared import PerLoop, SharedStore
from holdfast.store import Durability, Store

__all__ = ("StorePersist", "StoreViews", "persist_of")


class StorePersist(PersistBase):
    """The entities of one name in a store; where `base_dir` ends in a domain, `signal.my-strategy` is the name.

    The store is opened where it is not open yet, and is then closed with the last of its views.
    """

    def __init__(self, views: "StoreViews", entity_name: str, base_dir: str = "") -> None:
        super().__init__(entity_name, base_dir)
        self._views = views
        self.durability = views.store.durability

    def _share(self) -> SharedStore:
        return self._views.shared()

    def _name(self) -> str:
        return entity_name_of(self.entity_name, self.base_dir)


@final
class StoreViews:
    """Makes entity views of one store, as `(entity_name, base_dir)`."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._loops = PerLoop()

    @property
    def durability(self) -> Durability:
        """What a write through a view survives: what the store declares."""
        return self.store.durability

    @property
    def uncached(self) -> "StoreViews":
        """Views of the same store that read past its caches."""
        return self if self.store.uncached is self.store else StoreViews(self.store.uncached)

    def __call__(self, entity_name: str, base_dir: str = "") -> StorePersist:
        """Return the view of an entity name in the store; does no I/O."""
        return StorePersist(self, entity_name, base_dir)

    def shared(self) -> SharedStore:
        """Return the store as this event loop's views share it."""
        return self._loops.get("", lambda: self.store)

    def __repr__(self) -> str:
        return f"persist_of({self.store.url!r}, namespace={self.store.namespace!r})"


def persist_of(store: Store) -> StoreViews:
    """Return a callable that makes entity views of `store`, to register as an adapter."""
    return StoreViews(store)
