"""Records and events as BSON documents: exact JSON text that is read back, and beside it the value for queries.

`text` is the truth. BSON would keep most values exactly, but not all (a NUL in a field's name; names with dots and
dollars are awkward to query, and refused by older servers), and what one server or shell rewrites (5 as 5.0) must
not change what a strategy decided. `value` is the same as plain BSON, so that a person can ask
`db.records.find({namespace: "default", entity: "signal.my-strategy", "value.side": "long"})`; it is left out where a
field's name is not plain, and above 1 MiB, and never read by us.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from holdfast.errors import Corrupt, InvalidValue
from holdfast.store.base import Event, Key, Record
from holdfast.store.changes import Effect, Removed
from holdfast.store.codec import decode
from holdfast.store.deciding import NewEvent

__all__ = (
    "COUNTED",
    "EVENT",
    "LARGEST",
    "RECORD",
    "check_sizes",
    "event_document",
    "event_of",
    "key_of",
    "name_of",
    "number_of",
    "record_document",
    "record_of",
    "version_of",
)

Document = dict[str, Any]

LARGEST: Final = 16 * 2**20 - 16 * 2**10
"""The longest JSON text (bytes) that fits a document of 16 MiB, names and version beside it."""

COUNTED: Final = 2**62
"""Nobody has counted so far, and one more than that must fit, too."""

QUERYABLE: Final = 2**20
"""The longest JSON text (bytes) that gets a `value`: as BSON it is at most seven times as long, and still fits."""

RECORD: Final = {"_id": 0, "entity": 1, "id": 1, "version": 1, "text": 1}
EVENT: Final = {"_id": 0, "stream": 1, "number": 1, "version": 1, "text": 1}
"""What is read of a document: never `value`."""


def check_sizes(effects: Sequence[Effect]) -> None:
    """Return if every value fits a document; raises InvalidValue naming size and limit."""
    for effect in effects:
        if isinstance(effect, Removed):
            continue
        size = len(bytes(effect.value))
        if size > LARGEST:
            reason = f"has {size:,} bytes as JSON; MongoDB keeps at most {LARGEST:,} in one document"
            raise InvalidValue(f"cannot store $: {reason}", path="$", reason=reason, size=size, limit=LARGEST)


def record_document(namespace: str, key: Key, value: bytes, version: str) -> Document:
    """Return a record's document."""
    names = {"namespace": namespace, "entity": key.entity_name, "id": key.entity_id}
    return {**names, "version": version, **_body(value)}


def event_document(namespace: str, event: NewEvent) -> Document:
    """Return an event's document."""
    names = {"namespace": namespace, "stream": event.stream, "number": event.number}
    return {**names, "version": event.version, **_body(event.value)}


def record_of(document: Mapping[str, Any]) -> Record:
    """Return the record of a document, its value the caller's own; raises Corrupt."""
    key = key_of(document)
    return Record(key, _value(document, key), version_of(document, key))


def event_of(document: Mapping[str, Any]) -> Event:
    """Return the event of a document, its value the caller's own; raises Corrupt."""
    stream, number = name_of(document, "stream"), number_of(document)
    where = Key(stream, str(number))
    return Event(stream, number, _value(document, where), version_of(document, where))


def key_of(document: Mapping[str, Any]) -> Key:
    """Return the key that a record's document names; raises Corrupt."""
    return Key(name_of(document, "entity"), name_of(document, "id"))


def name_of(document: Mapping[str, Any], field: str) -> str:
    """Return the text in a field of a document; raises Corrupt for anything else: no query of ours would find that."""
    name = document.get(field)
    if not isinstance(name, str):
        reason = f"has {name!r:.80} for {field!r}, which is no text"
        raise Corrupt(f"a document {reason}; nothing was changed", key=None, reason=reason)
    return name


def number_of(document: Mapping[str, Any]) -> int:
    """Return the number in a stream's or event's document, however a tool has rewritten it (5.0); raises Corrupt."""
    number = document.get("number")
    if isinstance(number, bool) or not isinstance(number, int | float) or not _counts(number):
        reason = f"has the number {number!r:.80}"
        where = f"the document of {document.get('stream')!r:.80}"
        raise Corrupt(f"{where} {reason}; nothing was changed", key=None, reason=reason)
    return int(number)


def _counts(number: float) -> bool:
    """Whether it is one that events are counted up to: whole, and there is a next one."""
    return 0 <= number <= COUNTED and number == number // 1


def version_of(document: Mapping[str, Any], key: Key) -> str:
    """Return the version in a record's or event's document; raises Corrupt."""
    version = document.get("version")
    if not isinstance(version, str):
        raise _corrupt(key, "has no `version`")
    return version


def _body(value: bytes) -> Document:
    body: Document = {"text": value.decode()}
    if len(value) <= QUERYABLE:
        plain = decode(value)
        if _is_plain(plain):
            body["value"] = plain
    return body


def _is_plain(value: Any) -> bool:
    """Whether BSON can hold every name in `value` and a query can reach it."""
    if isinstance(value, dict):
        return all(_is_plain_name(name) and _is_plain(item) for name, item in value.items())
    return all(map(_is_plain, value)) if isinstance(value, list) else True


def _is_plain_name(name: str) -> bool:
    return bool(name) and name[0] != "$" and "." not in name and "\0" not in name


def _value(document: Mapping[str, Any], key: Key) -> Any:
    text = document.get("text")
    if not isinstance(text, str):
        raise _corrupt(key, "has no `text`")
    try:
        return decode(text.encode())
    except Corrupt as error:
        raise _corrupt(key, str(error)) from error


def _corrupt(key: Key, reason: str) -> Corrupt:
    return Corrupt(f"the document of {key} {reason}; nothing was changed", key=key, reason=reason)
