"""What is stored in place of a value: a JSON document that holds it encrypted, and to which place it is bound.

{"holdfast.encrypted": 1, "key": "2026-11.9f3c1a…", "nonce": "…", "data": "…"}        an event has "at": [2, 3] too
"""

from typing import Annotated, Any, Final

import msgspec

from holdfast.errors import Corrupt, FromTheFuture
from holdfast.store.base import CommitId, Event, Key, Record, Version
from holdfast.store.codec import INT64_MAX, decode, encode
from holdfast.store.wrappers.keyring import Keyring, Sealed, Tampered

__all__ = ("Order", "Sealer")

FORMAT: Final = 1
FIELD: Final = "holdfast.encrypted"
PLAIN: Final = "is not encrypted: written past the encryption, or before it (`holdfast store copy` encrypts)"
CHANGED: Final = "is not what was encrypted for this place: damaged, tampered with, or moved here"
DISORDER: Final = "does not follow the event before it as it was written: events were moved or left out"

Place = Annotated[int, msgspec.Meta(ge=1, le=INT64_MAX)]
At = tuple[Place, Place]
"""Which event of its commit and stream, from 1, and of how many."""


class Document(msgspec.Struct, frozen=True):
    """The stored form."""

    format: int = msgspec.field(name=FIELD)
    key: str
    nonce: str
    data: str
    at: At | None = None


class Sealer:
    """Turns values of a namespace into documents and back."""

    def __init__(self, keyring: Keyring, namespace: str) -> None:
        self._keyring = keyring
        self._namespace = namespace

    def put(self, key: Key, value: bytes, version: Version) -> Any:
        """Return the document of an encoded value of a key."""
        return _document(self._keyring.seal(value, self._place_of(key, version)), None)

    def append(self, stream: str, value: bytes, version: Version, at: At) -> Any:
        """Return the document of an encoded event of a stream."""
        return _document(self._keyring.seal(value, self._place_in(stream, version, at)), at)

    def record(self, record: Record) -> Record:
        """Return a record as it was before it was encrypted; raises Corrupt, Unavailable, FromTheFuture."""
        key, version = record.key, record.version
        found = _parsed(record.value)
        plain = self._plain(found, self._place_of(key, version)) if found is not None else PLAIN
        if isinstance(plain, str):
            raise Corrupt(f"{key} {plain}", key=key, reason=plain, path=None)
        return Record(key, decode(plain), version)

    def event(self, event: Event) -> tuple[Any, At | None]:
        """Return the value of an event and where it was in its commit; raises Corrupt, Unavailable, FromTheFuture.

        One that `holdfast store repair` has given up is null, and stays null.
        """
        if event.value is None:
            return None, None
        found = _parsed(event.value)
        if found is None or found.at is None:
            raise out_of(event, PLAIN)
        plain = self._plain(found, self._place_in(event.stream, event.version, found.at))
        if isinstance(plain, str):
            raise out_of(event, plain)
        return decode(plain), found.at

    def is_current(self, record: Record) -> bool:
        """Whether a record is encrypted with the key that encrypts now."""
        found = _parsed(record.value)
        return found is not None and found.key == self._keyring.current

    def _plain(self, found: Document, place: bytes) -> bytes | str:
        try:
            return self._keyring.unseal(Sealed(found.key, found.nonce, found.data), place)
        except Tampered:
            return CHANGED

    def _place_of(self, key: Key, version: Version) -> bytes:
        return encode([FIELD, FORMAT, self._namespace, "record", key.entity_name, key.entity_id, version])

    def _place_in(self, stream: str, version: CommitId, at: At) -> bytes:
        return encode([FIELD, FORMAT, self._namespace, "event", stream, version, *at])


class Order:
    """Follows a stream, event by event, and sees where one is not where its commit put it."""

    def __init__(self) -> None:
        self._last: tuple[Version, At] | None = None
        self._broken = False

    def follow(self, sealer: Sealer, event: Event) -> None:
        """Take note of an event that nobody asked for; one that is unreadable tells nothing about the next."""
        try:
            _, at = sealer.event(event)
        except Corrupt:
            at = None
        self._remember(event, at)

    def take(self, sealer: Sealer, event: Event) -> Event:
        """Return an event, decrypted, if it may follow the last one; raises Corrupt."""
        value, at = sealer.event(event)
        if at is not None and not self._may_follow(event, at):
            raise out_of(event, DISORDER)
        self._remember(event, at)
        return Event(event.stream, event.number, value, event.version)

    def _remember(self, event: Event, at: At | None) -> None:
        self._last, self._broken = (None, True) if at is None else ((event.version, at), False)

    def _may_follow(self, event: Event, at: At) -> bool:
        if self._broken:
            return True
        version, (number, count) = self._last or (None, (0, 0))
        if version == event.version:
            return at == (number + 1, count)
        return at[0] == 1 and number == count


def out_of(event: Event, reason: str) -> Corrupt:
    """Return the Corrupt of an event."""
    message = f"event {event.number} of stream {event.stream!r} {reason}"
    return Corrupt(message, key=None, stream=event.stream, number=event.number, reason=reason, path=None)


def _document(sealed: Sealed, at: At | None) -> dict[str, Any]:
    document = {FIELD: FORMAT, "key": sealed.key, "nonce": sealed.nonce, "data": sealed.data}
    return document if at is None else {**document, "at": list(at)}


def _parsed(value: Any) -> Document | None:
    """Return the parts of a document, None where it is none; raises FromTheFuture for a format of later."""
    if not isinstance(value, dict) or FIELD not in value:
        return None
    found = value[FIELD]
    if isinstance(found, int) and found > FORMAT:
        message = f"encrypted in format {found}: this Holdfast reads up to {FORMAT}; upgrade it"
        raise FromTheFuture(message, found=found, known=FORMAT)
    try:
        return msgspec.convert(value, Document)
    except msgspec.ValidationError:
        return None
