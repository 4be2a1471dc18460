"""Rows of PostgreSQL and documents of MongoDB that somebody else has written: any value of any type that comes of it.

What is decoded of them is fed, without a server. Their text has no checksum: a row that could be ours is what it says.
"""

import datetime
import decimal
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from holdfast.errors import Corrupt, FromTheFuture
from holdfast.store.codec import decode, encode
from holdfast.testing.fuzzing.damage import damaged
from holdfast.testing.fuzzing.dice import Dice
from holdfast.testing.fuzzing.documents import VALUES
from holdfast.testing.fuzzing.samples import KEYS, STREAMS
from holdfast.testing.fuzzing.target import require

__all__ = ("mongo_documents", "postgres_rows")

GONE: Final = object()
"""What stands for a field that is not there."""

ANYTHING: Final[Sequence[Any]] = (
    None, True, 0, 1, -1, 2, 2**63 - 1, 1.0, 0.5, -0.0, float("nan"), float("inf"), "", "x", "1", "null", "\0", b"",
    b"1", [], ["x"], {}, {"$gt": ""}, datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
)  # fmt: skip
OF_POSTGRES: Final = (
    *ANYTHING,
    decimal.Decimal(1),
    decimal.Decimal("NaN"),
    uuid.UUID(int=1),
    datetime.timedelta(1),
)


def postgres_rows(data: bytes) -> None:
    """A row of PostgreSQL is the record or the event that it says, or Corrupt."""
    from holdfast.store.backends.postgres.reading import event_of, record_of

    dice = Dice(data)
    row = {"body": _text(dice), "version": "v", "number": 1}
    for _ in range(dice.below(3)):
        row[dice.pick([*row])] = dice.pick(OF_POSTGRES)
    record = _read(lambda: record_of(KEYS[0], row))
    if record is not None:
        _require_said(row["body"], row["version"], record)
    event = _read(lambda: event_of(STREAMS[0], 1, row))
    if event is not None:
        _require_said(row["body"], row["version"], event)
        require(row["number"] == event.number == 1, f"another number: {row['number']!r}")


def mongo_documents(data: bytes) -> None:
    """A document of MongoDB is the record, the event, the stream or the namespace that it says, or Corrupt."""
    from holdfast.store.backends.mongo.documents import event_of, number_of, record_of
    from holdfast.store.backends.mongo.preparing import checked

    document = _document(Dice(data))
    record = _read(lambda: record_of(document))
    if record is not None:
        _require_said(document["text"], document["version"], record)
        require(
            (document["entity"], document["id"]) == (record.key.entity_name, record.key.entity_id),
            "another key",
        )
    event = _read(lambda: event_of(document))
    if event is not None:
        _require_said(document["text"], document["version"], event)
        require((document["stream"], document["number"]) == (event.stream, event.number), "another event")
    number = _read(lambda: number_of(document))
    require(
        number is None or (type(number) is int and number == document["number"]),
        f"another number: {number!r}",
    )
    head = _read(lambda: checked(document, "mongodb://host/db", "default"))
    require(head is None or head == document["head"], f"another head: {head!r}")


def _document(dice: Dice) -> Mapping[str, Any]:
    """Return what the driver makes of a document with some other fields, or of its bytes with some damage."""
    from bson import BSON, decode_all
    from bson.decimal128 import Decimal128
    from bson.errors import BSONError
    from bson.int64 import Int64
    from bson.objectid import ObjectId

    fields: dict[str, Any] = {
        "entity": "signal.x", "id": "BTCUSDT", "stream": "history", "number": 1, "version": "v", "text": _text(dice),
        "format": 1, "head": 7,
    }  # fmt: skip
    others = (*ANYTHING, Decimal128("1"), Int64(1), Int64(2**62), ObjectId(b"0" * 12), GONE)
    for _ in range(dice.below(3)):
        fields[dice.pick([*fields])] = dice.pick(others)
    made = BSON.encode({name: value for name, value in fields.items() if value is not GONE})
    try:
        (document,) = decode_all(damaged(dice, made) if dice.chance(4) else made)
    except (BSONError, UnicodeError, OverflowError, ValueError, RecursionError):
        return {}  # the driver's own, which never reaches us as a document
    found: Mapping[str, Any] = document
    return found


def _text(dice: Dice) -> str:
    return damaged(dice, encode(dice.pick(VALUES))).decode("utf-8", errors="replace")


def _read(read: Callable[[], Any]) -> Any:
    """Return what is read, None where it is refused."""
    try:
        return read()
    except (Corrupt, FromTheFuture):
        return None


def _require_said(text: Any, version: Any, found: Any) -> None:
    """Require of a record or an event that its value and its version are those of the row."""
    require(
        isinstance(text, str) and isinstance(version, str), f"taken: for text {text!r:.80}, {version!r:.80}"
    )
    require(repr(decode(text.encode())) == repr(found.value), f"another value: {found!r:.200}")
    require(found.version == version, f"another version: {found.version!r}")
