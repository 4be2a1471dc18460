"""JSON documents of every kind that is stored: values, entities, rows, what replication keeps, encrypted values."""

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

import msgspec

from holdfast.errors import Corrupt, FromTheFuture, InvalidOption, InvalidValue, Unavailable, Unsupported
from holdfast.persist.rows import Row, unwrap, wrap
from holdfast.store import Event, Key, Record
from holdfast.store.codec import Schema, decode, encode
from holdfast.store.wrappers.keyring import Keyring
from holdfast.store.wrappers.replicated import records as replication
from holdfast.store.wrappers.sealing import Order, Sealer
from holdfast.testing.fuzzing.damage import damaged
from holdfast.testing.fuzzing.dice import Dice
from holdfast.testing.fuzzing.target import require

__all__ = ("adapter_row", "encrypted", "entity", "keys", "replicated", "value")

KEY: Final = Key("signal.sma-cross", "BTCUSDT")
VALUES: Final[Sequence[Any]] = (
    {"side": "long", "price": 40000.5, "note": "ö\n", "at": 17 * 10**11, "no": None, "levels": [1, -0.0, 1e308]},
    [], "text", 2**63 - 1, True, {"": {"a.b": {"$c": [[[[[[[[1]]]]]]]]}}},
)  # fmt: skip
KEYS: Final = "2026-11:" + "A" * 43


def value(data: bytes) -> None:
    """Stored bytes are a value or Corrupt; a value that can be stored reads back as it is."""
    dice = Dice(data)
    given = dice.rest() if dice.chance(8) else damaged(dice, encode(dice.pick(VALUES)))
    try:
        found = decode(given)
    except Corrupt:
        return
    try:
        stored = encode(found)
    except InvalidValue:
        return
    require(decode(stored) == found, f"another value: {found!r:.200}")


def entity(data: bytes) -> None:
    """A document is an entity of its schema, or Corrupt, or FromTheFuture."""
    dice = Dice(data)
    schema, made = dice.pick(_entities())
    document = _decoded(damaged(dice, msgspec.json.encode(schema.to_document(made))))
    try:
        found = schema.from_document(document)
    except (Corrupt, FromTheFuture):
        return
    again = schema.from_document(_decoded(msgspec.json.encode(schema.to_document(found))))
    require(again == found or _is_nan(found), f"written anew: {found} is {again}")


def adapter_row(data: bytes) -> None:
    """An adapter's row is the one that was written, a raw one, or refused as damaged, newer or another's."""
    dice = Dice(data)
    row = Row(
        kind="record",
        namespace="default",
        name=KEY.entity_name,
        id=KEY.entity_id,
        sequence=3,
        version="v",
        value=dice.pick(VALUES),
    )
    document = _decoded(damaged(dice, msgspec.json.encode(wrap(row))))
    try:
        found = unwrap(document, KEY, "default")
    except (Corrupt, FromTheFuture, Unsupported):
        return
    require(found is None or found.key == KEY, f"another's: {found}")
    require(found is not None or not _is_wrapped(document), "raw: a row that has a label")


def replicated(data: bytes) -> None:
    """What replication keeps is what it is, or Corrupt, or FromTheFuture."""
    dice = Dice(data)
    made, read = dice.pick(_replication())
    document = _decoded(damaged(dice, msgspec.json.encode(made)))
    try:
        read(Record(KEY, document, "v"))
    except (Corrupt, FromTheFuture):
        return


def encrypted(data: bytes) -> None:
    """An encrypted value is what was encrypted for its place, or Corrupt, Unavailable or FromTheFuture."""
    dice = Dice(data)
    sealer, sealed = _sealed()
    plain, document, version = dice.pick(sealed)
    given = _decoded(damaged(dice, msgspec.json.encode(document)))
    try:
        if "at" in document:
            found = Order().take(sealer, Event("history", 1, given, version)).value
        else:
            found = sealer.record(Record(KEY, given, dice.pick((version, "another")))).value
    except (Corrupt, Unavailable, FromTheFuture):
        require(given != document or dice.below(1) == 0, "refused: what nothing happened to")
        return
    require(found == plain or (given is None and found is None), f"another value: {found!r:.200}")


def keys(data: bytes) -> None:
    """Text is encryption keys, or InvalidOption that does not show it."""
    dice = Dice(data)
    text = damaged(dice, f"{KEYS},older:{'B' * 43}\n".encode()).decode("utf-8", errors="replace")
    try:
        ring = Keyring(text)
    except InvalidOption as error:
        require("A" * 16 not in str(error), "shown: a secret in an error")
        return
    place = b"place"
    require(ring.unseal(ring.seal(b"plain", place), place) == b"plain", "another value: than was encrypted")


@cache
def _entities() -> tuple[tuple[Schema[Any], Any], ...]:
    from holdfast.testing.fuzzing.entities import entities

    return entities()


@cache
def _replication() -> tuple[tuple[Any, Callable[[Record], Any]], ...]:
    primary = replication.Primary(replication="r", epoch=2, since=3, before_number=4, before_commit="c")
    replica = replication.Replica(
        replication="r", epoch=1, name="n", state="following", number=3, last="c", at=1, known=4
    )
    fenced = replication.Fenced(replication="r", epoch=1, url="file:x", namespace="default", at=1)
    aside = replication.Aside(reason="r", url="file:x", namespace="default", at=1)
    member = replication.Member(url="file:x", namespace="default", start=1, start_commit=None, acknowledged=3)
    loss = replication.Loss(number=1, last="c", at=1, at_least=2, reason="r")
    owed = {"at": 1, "effects": '[["put","a","b",{"c":1}],["delete","a","c"],["append","s",null]]'}
    roles = [
        (replication.document(role), lambda one: replication.role_of(one.value))
        for role in (primary, replica, fenced, aside)
    ]
    return (
        *roles,
        (replication.document(member), replication.member_of),
        (replication.document(loss), replication.loss_of),
        (owed, lambda one: replication.owed_of(1, one).changes()),
    )


@cache
def _sealed() -> tuple[Sealer, tuple[tuple[Any, Any, str], ...]]:
    ring = Keyring(KEYS, random=lambda size: bytes(range(size)))
    sealer = Sealer(ring, "default")
    records = [(made, sealer.put(KEY, encode(made), "v"), "v") for made in VALUES]
    event = (VALUES[0], sealer.append("history", encode(VALUES[0]), "v", (1, 1)), "v")
    return sealer, (*records, event)


def _decoded(data: bytes) -> Any:
    """Return the JSON, or the text where it is none: some backends keep documents as such."""
    try:
        return decode(data)
    except Corrupt:
        return data.decode("utf-8", errors="replace")


def _is_wrapped(document: Any) -> bool:
    return isinstance(document, dict) and document.keys() == {"holdfast", "value"}


def _is_nan(found: Any) -> bool:
    return any(isinstance(part, float) and math.isnan(part) for part in msgspec.to_builtins(found).values())
