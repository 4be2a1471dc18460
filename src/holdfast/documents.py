"""A struct as the JSON document that it is stored as."""

from typing import Any

import msgspec

__all__ = ("document_of",)


def document_of(entity: Any) -> Any:
    """Return an entity as dicts, lists and scalars only; what JSON cannot hold is left for the store to refuse."""
    return _lists(msgspec.to_builtins(entity, str_keys=True))


def _lists(value: Any) -> Any:
    # msgspec keeps tuples, which would read back as lists: the value stored is the value compared with.
    if isinstance(value, dict):
        return {name: _lists(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_lists(item) for item in value]
    return value
