"""Where a store is, as one spelling: so that a copy is continued from the store that it was begun from."""

from urllib.parse import parse_qsl, urlencode

from holdfast.store.backends.file.disk import Disk
from holdfast.store.base import Store
from holdfast.store.url import WRAPPERS

__all__ = ("is_one", "place_of")

ON_DISK = ("file:", "sqlite:///")
"""What stands before the path in the URLs of stores on this machine's disk."""
NOWHERE = ("memory:", "adapters:")
"""Schemes of stores whose URL does not say where they are."""


def is_one(one: Store, other: Store) -> bool:
    """Whether two stores are certainly the same namespace of the same place."""
    if one is other:
        return True
    place = place_of(one)
    same = (place, one.namespace) == (place_of(other), other.namespace)
    return same and not place.startswith(NOWHERE)


def place_of(store: Store) -> str:
    """Return the store's URL without passwords, and without what does not change where it is."""
    place, _, query = store.url.partition("?")
    for start in ON_DISK:
        if place.startswith(start):
            place = f"{start}{Disk().absolute(place.removeprefix(start))}"
    kept = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if _matters(name)]
    return f"{place}?{urlencode(kept)}" if kept else place


def _matters(option: str) -> bool:
    if option in ("mode", "namespace") or option.endswith("_timeout"):
        return False
    return not any(option == wrapper or option.startswith(f"{wrapper}_") for wrapper in WRAPPERS)
