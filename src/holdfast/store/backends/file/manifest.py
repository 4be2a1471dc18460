"""The manifest: what a checkpoint made durable outside the journal, to the byte.

It is replaced whole: written aside, flushed, renamed, its folder flushed. The first line holds its format and
checksum, the rest is JSON. `segment` is the first journal segment that still matters; a `clean` manifest
was written by `close` and needs none.
"""

import zlib
from typing import Final

import msgspec
from msgspec import Struct, field

from holdfast import points
from holdfast.errors import FromTheFuture, Unavailable
from holdfast.store.backends.file.disk import Disk
from holdfast.store.backends.file.faults import UNDECODABLE
from holdfast.store.backends.file.files import Mark, whole_files
from holdfast.store.backends.file.findings import corrupt_store
from holdfast.store.backends.file.layout import FORMAT, Layout
from holdfast.system import Ids

__all__ = ("MISSING", "Chunk", "Manifest", "has_history", "read_manifest", "write_manifest")

MISSING: Final = "is missing, and there is a journal, a stream or an entity"


class Chunk(Struct, frozen=True, array_like=True):
    """A file of a stream: its first event's number, how many events, and the checksum of that many bytes."""

    first: int
    count: int
    length: int
    checksum: int


class Manifest(Struct, frozen=True):
    """What is durable outside the journal as of commit number `head`."""

    namespace: str
    head: int = 0
    segment: int = 1
    clean: bool = True
    recent: dict[str, int] = field(default_factory=dict)
    streams: dict[str, list[Chunk]] = field(default_factory=dict)
    entities: dict[str, dict[str, Mark]] = field(default_factory=dict)


class Seal(Struct, frozen=True):
    """The first line: the format of what follows, and its checksum."""

    holdfast: int
    checksum: str


def has_history(disk: Disk, layout: Layout) -> bool:
    """Whether a namespace has a journal, streams or entities: then it must have a manifest, too."""
    folders = [folder for folder in (layout.journal, layout.streams) if disk.is_folder(folder)]
    if any(not name.endswith((".spare", ".tmp")) for folder in folders for name, _ in disk.folder(folder)):
        return True
    return disk.is_folder(layout.root) and any(True for _ in whole_files(disk, layout))


def read_manifest(disk: Disk, layout: Layout) -> Manifest | None:
    """Return the manifest, None where there is none; raises Corrupt or FromTheFuture."""
    if disk.stamp(layout.manifest) is None:
        return None
    first, _, body = disk.read(layout.manifest).partition(b"\n")
    try:
        seal = msgspec.json.decode(first, type=Seal)
        if seal.holdfast > FORMAT:
            message = f"{layout.manifest} has format {seal.holdfast}; this Holdfast reads up to {FORMAT}: upgrade it"
            raise FromTheFuture(message, path=layout.manifest, found=seal.holdfast, known=FORMAT)
        if seal.checksum != f"{zlib.crc32(body):08x}":
            raise corrupt_store(layout.manifest, "has another content than its checksum says")
        return msgspec.json.decode(body, type=Manifest)
    except UNDECODABLE as error:
        raise corrupt_store(layout.manifest, f"is no manifest ({error})") from error


def write_manifest(disk: Disk, ids: Ids, layout: Layout, manifest: Manifest) -> None:
    """Make `manifest` the durable one, in one step.

    An OSError says that nothing changed; Unavailable, that nobody knows which manifest counts.
    """
    body = msgspec.json.encode(manifest) + b"\n"
    seal = msgspec.json.encode(Seal(FORMAT, f"{zlib.crc32(body):08x}")) + b"\n"
    temporary = f"{layout.own}/.{ids()}.tmp"
    fd = disk.create(temporary)
    try:
        disk.write(fd, seal + body, 0)
        disk.flush(fd)  # before the rename, or the new name could show an empty file after a power cut
    except OSError:
        disk.remove(temporary)
        raise
    finally:
        disk.close(fd)
    points.reached("checkpoint.manifest-written")
    disk.rename(temporary, layout.manifest)
    points.reached("checkpoint.manifest-renamed")
    try:
        disk.flush_folder(layout.own)  # before any segment is dropped that the old manifest needs
    except OSError as error:
        # The next checkpoint would start from the old one: it would cut what the new one counts on.
        message = f"{layout.manifest}: whether the new manifest is durable is unknown ({error}); open the store anew"
        raise Unavailable(message, path=layout.manifest, unknown=False) from error
