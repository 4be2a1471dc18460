"""The waist and everything that stores: `async with open_store("file:./logs/data") as store`.

Wrappers are composed by call too, each loaded when it is first used: `cached(encrypted(store, keys))`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from holdfast.store.base import (
    ABSENT,
    ANY,
    Append,
    Change,
    Check,
    CommitId,
    Delete,
    Durability,
    Event,
    Key,
    Names,
    Put,
    Record,
    Store,
    Version,
)
from holdfast.store.url import open_store

if TYPE_CHECKING:
    from holdfast.store.wrappers.cached import cached
    from holdfast.store.wrappers.encrypted import encrypted
    from holdfast.store.wrappers.keyring import new_key
    from holdfast.store.wrappers.observed import observed
    from holdfast.store.wrappers.replicated import replicated

__all__ = (
    "ABSENT",
    "ANY",
    "Append",
    "Change",
    "Check",
    "CommitId",
    "Delete",
    "Durability",
    "Event",
    "Key",
    "Names",
    "Put",
    "Record",
    "Store",
    "Version",
    "cached",
    "encrypted",
    "new_key",
    "observed",
    "open_store",
    "replicated",
)

_LAZY = {
    "cached": "holdfast.store.wrappers.cached",
    "encrypted": "holdfast.store.wrappers.encrypted",
    "new_key": "holdfast.store.wrappers.keyring",
    "observed": "holdfast.store.wrappers.observed",
    "replicated": "holdfast.store.wrappers.replicated",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_LAZY[name]), name)
    return value
