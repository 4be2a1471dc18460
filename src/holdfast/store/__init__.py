"""The waist and everything that stores: `async with open_store("file:./logs/data") as store`."""

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
    "open_store",
)
