"""Entity files: one entity a file, in an envelope that a person can read and a program can check."""

import zlib
from typing import Final

import msgspec
from msgspec import Raw, Struct

from holdfast import points
from holdfast.errors import FromTheFuture
from holdfast.store.backends.file.disk import Disk
from holdfast.store.backends.file.layout import FORMAT
from holdfast.store.base import Key
from holdfast.store.state import Stored
from holdfast.system import Ids

__all__ = ("SUFFIX", "Mark", "Unreadable", "checksum", "dump", "mark", "parse", "replace")

SUFFIX: Final = ".json"

Mark = tuple[str, int]
"""What a manifest knows of an entity: its version and its checksum."""


class Unreadable(Exception):
    """The bytes of an entity file are no whole envelope; the message says why."""


class Envelope(Struct, frozen=True):
    """What is in an entity file; `holdfast` is the format's version."""

    holdfast: int
    entity_name: str
    entity_id: str
    version: str
    sequence: int
    checksum: str
    value: Raw


_decoder: Final = msgspec.json.Decoder(Envelope)


def checksum(key: Key, stored: Stored) -> int:
    """Return the checksum over everything that an entity file says."""
    label = f"{key.entity_name}\0{key.entity_id}\0{stored.version}\0{stored.sequence}\0"
    return zlib.crc32(stored.value, zlib.crc32(label.encode()))


def mark(key: Key, stored: Stored) -> Mark:
    """Return what a manifest keeps of an entity."""
    return stored.version, checksum(key, stored)


def dump(key: Key, stored: Stored) -> bytes:
    """Return the bytes of the entity's file."""
    envelope = Envelope(
        FORMAT, key.entity_name, key.entity_id, stored.version, stored.sequence,
        f"{checksum(key, stored):08x}", Raw(stored.value),
    )  # fmt: skip
    return msgspec.json.format(msgspec.json.encode(envelope), indent=2) + b"\n"


def parse(data: bytes, path: str) -> tuple[Key, Stored, int]:
    """Return the key, record and checksum that the bytes of the file at `path` hold.

    Raises Unreadable where they are not whole, FromTheFuture where a newer Holdfast wrote them.
    """
    try:
        envelope = _decoder.decode(data)
    except msgspec.DecodeError as error:
        raise Unreadable("is empty" if not data else f"is no entity file ({error})") from error
    if envelope.holdfast > FORMAT:
        message = f"{path} has format {envelope.holdfast}; this Holdfast reads up to {FORMAT}: upgrade it"
        raise FromTheFuture(message, path=path, found=envelope.holdfast, known=FORMAT)
    key = Key(envelope.entity_name, envelope.entity_id)
    value = msgspec.json.format(bytes(envelope.value), indent=-1)
    stored = Stored(value, envelope.version, envelope.sequence)
    found = checksum(key, stored)
    if f"{found:08x}" != envelope.checksum:
        raise Unreadable("has another content than its checksum says")
    return key, stored, found


def replace(disk: Disk, ids: Ids, folder: str, name: str, data: bytes) -> None:
    """Put `data` at `folder`/`name` in one step: readers see the old file or the new; not yet durable."""
    temporary = f"{folder}/.{ids()}.tmp"
    fd = disk.create(temporary)
    try:
        disk.write(fd, data, 0)
    except OSError:
        disk.remove(temporary)
        raise
    finally:
        disk.close(fd)
    points.reached("files.temp-written")
    disk.rename(temporary, f"{folder}/{name}")
    points.reached("files.renamed")
