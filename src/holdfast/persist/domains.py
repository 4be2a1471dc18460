"""The domains of a strategy's state, and how a domain and its owner make an entity name: `signal.my-strategy`."""

from collections.abc import Callable
from pathlib import PurePath
from typing import Any, Final

from holdfast.store import Key

__all__ = ("DOMAINS", "Ctor", "entity_key", "entity_name_of", "key_of")

DOMAINS: Final = ("signal", "schedule", "risk", "state", "run", "history", "system")
"""What an adapter can be registered for; anything else in a store is served by the signal adapter."""

Ctor = Callable[[str, str], Any]
"""Anything that makes an entity view of `(entity_name, base_dir)`: a class, or `store.persist`."""


def key_of(domain: str, owner: str, entity_id: str | int) -> Key:
    """Return the key of an owner's entity in a domain."""
    return entity_key(f"{domain}.{owner}", entity_id)


def entity_key(entity_name: str, entity_id: str | int) -> Key:
    """Return the key of an entity; the ids 1 and "1" are one entity."""
    return Key(entity_name, str(entity_id) if type(entity_id) is int else entity_id)  # type: ignore[arg-type]


def entity_name_of(entity_name: str, base_dir: str) -> str:
    """Return the entity name, in a store, of a view made as an adapter is: `base_dir` ends in the domain."""
    domain = PurePath(base_dir).name
    return f"{domain}.{entity_name}" if domain in DOMAINS else entity_name
