"""Entity files: one entity a file, in an envelope that a person can read and a program can check."""

import zlib
from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import Raw, Struct

from holdfast import points
from holdfast.errors import InvalidKey
from holdfast.store.backends.file.disk import Disk
from holdfast.store.backends.file.faults import UNDECODABLE
from holdfast.store.backends.file.layout import FORMAT, Layout
from holdfast.store.base import Key
from holdfast.store.codec import check_key
from holdfast.store.state import Stored
from holdfast.system import Ids

__all__ = ("SUFFIX", "Mark", "Unreadable", "checksum", "dump", "mark", "parse", "replace", "whole_files")

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


def parse(data: bytes) -> tuple[Key, Stored, int]:
    """Return the key, record and checksum that the bytes of an entity file hold; raises Unreadable.

    Another format is damage too: a newer Holdfast says so in the manifest, which is read before any file.
    """
    try:
        envelope = _decoder.decode(data)
        value = msgspec.json.format(bytes(envelope.value), indent=-1)
    except UNDECODABLE as error:
        raise Unreadable("is empty" if not data else f"is no entity file ({error})") from error
    if not 0 < envelope.holdfast <= FORMAT:
        raise Unreadable(f"has format {envelope.holdfast}; this Holdfast reads up to {FORMAT}")
    key = _key(envelope)
    stored = Stored(value, envelope.version, envelope.sequence)
    found = checksum(key, stored)
    if f"{found:08x}" != envelope.checksum:
        raise Unreadable("has another content than its checksum says")
    return key, stored, found


def _key(envelope: Envelope) -> Key:
    key = Key(envelope.entity_name, envelope.entity_id)
    try:
        check_key(key)
    except InvalidKey as error:
        raise Unreadable(f"is for a key that cannot be ({error})") from error
    return key


def whole_files(disk: Disk, layout: Layout) -> Iterator[tuple[Key, Stored, int]]:
    """Yield what is in each entity file that is whole."""
    for folder, is_folder in disk.folder(layout.root):
        if is_folder and not folder.startswith("."):
            for name, is_nested in disk.folder(f"{layout.root}/{folder}"):
                if is_nested or name.startswith(".") or not name.endswith(SUFFIX):
                    continue
                try:
                    yield parse(disk.read(f"{layout.root}/{folder}/{name}"))
                except (Unreadable, OSError):  # found again by `load`, which names it
                    continue


def replace(disk: Disk, ids: Ids, folder: str, name: str, data: bytes, *, flush: bool = False) -> None:
    """Put `data` at `folder`/`name` in one step: readers see the old file or the new.

    Neither is durable yet, unless `flush`: then the bytes are, before they have the name.
    """
    temporary = f"{folder}/.{ids()}.tmp"
    fd = disk.create(temporary)
    try:
        disk.write(fd, data, 0)
        if flush:
            disk.flush(fd)
    except OSError:
        disk.remove(temporary)
        raise
    finally:
        disk.close(fd)
    points.reached("files.temp-written")
    disk.rename(temporary, f"{folder}/{name}")
    points.reached("files.renamed")
