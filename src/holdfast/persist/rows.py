"""A row as an adapter keeps it: the value, and around it what tells an old row, or another's row, from the right one.

{"holdfast": {"format": 1, "kind": "record", "namespace": "default", "name": "signal.my-strategy",
              "id": "BTCUSDT", "sequence": 12, "version": "5e…"}, "value": {…}}
"""

from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from holdfast.errors import Corrupt, FromTheFuture, Unsupported
from holdfast.store import Key
from holdfast.store.codec import decode

__all__ = ("FORMAT", "OWN", "Kind", "Row", "copied", "taken", "typed", "unwrap", "wrap")

FORMAT: Final = 1
OWN: Final = "holdfast.store"
"""The entity name of Holdfast's own rows; the signal adapter keeps them."""

Kind = Literal["record", "tombstone", "event", "head", "own"]


class Row(Struct, frozen=True, kw_only=True):
    """A row, taken out of its wrapper: `sequence` numbers the commit that wrote it, `version` is that commit's id."""

    kind: Kind
    namespace: str
    name: str
    id: str
    sequence: int
    version: str
    value: Any = None

    @property
    def key(self) -> Key:
        """Where the row belongs."""
        return Key(self.name, self.id)


class _Label(Struct, frozen=True, kw_only=True):
    format: int
    kind: Kind
    namespace: str
    name: str
    id: str
    sequence: int
    version: str


def wrap(row: Row) -> dict[str, Any]:
    """Return the document in which an adapter keeps the row; the value in it is nobody else's."""
    label = {field: getattr(row, field) for field in _Label.__struct_fields__ if field != "format"}
    return {"holdfast": {"format": FORMAT, **label}, "value": copied(row.value)}


def unwrap(document: Any, key: Key, namespace: str) -> Row | None:
    """Return the row of a document that was `taken` at `key`, None for a raw one that was never wrapped.

    Raises Corrupt for a damaged label, FromTheFuture for a newer one, Unsupported for another entity's row:
    the adapter then keeps two entities in one place.
    """
    if not isinstance(document, dict) or document.keys() != {"holdfast", "value"}:
        return None
    label = _label(document["holdfast"], key)
    if (label.namespace, label.name, label.id) != (namespace, key.entity_name, key.entity_id):
        raise _shared_place(label, key, namespace)
    fields = {field: getattr(label, field) for field in _Label.__struct_fields__ if field != "format"}
    return Row(**fields, value=document["value"])


def copied(value: Any) -> Any:
    """Return a value that shares nothing with `value`, as if it had been stored and read."""
    return decode(msgspec.json.encode(value, enc_hook=_plain))


def taken(document: Any, key: Key) -> Any:
    """Return what an adapter has read at `key` as values of our own; raises Corrupt for what is no JSON document."""
    try:
        return copied(document)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        message = f"{key}: the adapter returned what is no JSON document: {error}"
        raise Corrupt(message, key=key, reason=str(error), path=None) from error


def _plain(value: Any) -> Any:
    """Return a driver's own kind of number or text as what it is: pymongo reads large integers as `bson.Int64`."""
    kind = next((kind for kind in (int, float, str) if isinstance(value, kind)), None)
    if kind is None:
        raise TypeError(f"{type(value).__name__} is no type of JSON")
    return kind(value)


def typed(value: Any, type: Any, key: Key) -> Any:
    """Return the value of one of Holdfast's own rows, which is to be of a type; raises Corrupt."""
    try:
        return msgspec.convert(value, type)
    except msgspec.ValidationError as error:
        raise Corrupt(f"{key} is damaged: {error}", key=key, reason=str(error), path=None) from error


def _label(label: Any, key: Key) -> _Label:
    found = label.get("format") if isinstance(label, dict) else None
    if isinstance(found, int) and found > FORMAT:
        raise FromTheFuture(
            f"{key} is a row of format {found}; this Holdfast reads up to {FORMAT}: upgrade it"
        )
    try:
        return msgspec.convert(label, _Label)
    except msgspec.ValidationError as error:
        raise Corrupt(
            f"{key}: the row's label is damaged: {error}", key=key, reason="label", path=None
        ) from error


def _shared_place(label: _Label, key: Key, namespace: str) -> Unsupported:
    other = f"{label.name}/{label.id} of namespace {label.namespace!r}"
    message = (
        f"the adapter keeps {key.entity_name}/{key.entity_id} of namespace {namespace!r} where {other} is: "
        "make its rows depend on both entity_name and base_dir. Nothing was overwritten"
    )
    return Unsupported(message, key=key, other=Key(label.name, label.id))
