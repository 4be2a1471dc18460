"""Checksums made right again after damage, so that what lies behind them is reached: what a forger would do."""

import zlib
from contextlib import suppress
from typing import Any, Final

import msgspec
from msgspec import Raw

from holdfast.store import Key
from holdfast.store.backends.file import files, frames
from holdfast.store.backends.file.segments import MAGIC
from holdfast.store.backends.file.streams import encode_line
from holdfast.store.state import Stored
from holdfast.testing.fuzzing.dice import Dice
from holdfast.testing.fuzzing.samples import Tree

__all__ = (
    "forged",
    "forged_chunks",
    "forged_envelope",
    "forged_journal",
    "forged_lines",
    "forged_manifest",
    "frames_of",
)

UNFIT: Final = (
    msgspec.DecodeError,
    UnicodeError,
    RecursionError,
    TypeError,
    AttributeError,
    KeyError,
    OverflowError,
)
"""What damage does to forging: then it is left as it is."""


def forged(dice: Dice, tree: Tree, path: str) -> None:
    """Make the checksums of a damaged file of a store right, and those elsewhere that speak of it."""
    data = tree[path]
    with suppress(*UNFIT):
        if path == ".holdfast/manifest":
            tree[path] = forged_manifest(data)
        elif path.endswith(".log"):
            tree[path] = forged_journal(data, chained=dice.below(2) == 0)
        elif path.endswith(".jsonl"):
            tree[path] = forged_lines(data) if dice.below(2) else data
            forged_chunks(tree, path)
        else:
            tree[path] = forged_envelope(data)


def forged_journal(data: bytes, *, chained: bool) -> bytes:
    """Return a segment whose frames have right checksums, `chained` also right salts, numbers and predecessors."""
    made, offset, salt, number, previous = data[: len(MAGIC)], len(MAGIC), b"", 0, 0
    for payload, head in frames_of(data):
        if not chained or not salt:
            salt, number, previous = head
        frame, previous = frames.pack(salt, number, previous, payload)
        made, number = made + frame, number + 1
    offset = len(made)
    return made + data[offset:]


def frames_of(data: bytes) -> list[tuple[bytes, tuple[bytes, int, int]]]:
    """Return the payloads that a segment says to have, with (salt, sequence, previous) of each, whole or not."""
    found, offset = [], len(MAGIC)
    while offset + frames.HEADER_BYTES <= len(data):
        salt, number = data[offset : offset + 8], int.from_bytes(data[offset + 8 : offset + 16], "little")
        previous = int.from_bytes(data[offset + 20 : offset + 24], "little")
        end = frames.claimed_end(data, offset)
        if end > len(data) or not salt.strip(b"\0"):
            break
        found.append((data[offset + frames.HEADER_BYTES : end], (salt, number, previous)))
        offset = end
    return found


def forged_manifest(data: bytes) -> bytes:
    """Return a manifest whose first line fits the others."""
    _, _, body = data.partition(b"\n")
    return msgspec.json.encode({"holdfast": 1, "checksum": f"{zlib.crc32(body):08x}"}) + b"\n" + body


def forged_envelope(data: bytes) -> bytes:
    """Return an entity file whose checksum fits what else it says."""
    found = msgspec.json.decode(data, type=dict[str, Raw])
    told = {
        name: msgspec.json.decode(found[name]) for name in ("entity_name", "entity_id", "version", "sequence")
    }
    value = msgspec.json.format(bytes(found["value"]), indent=-1)
    stored = Stored(value, told["version"], told["sequence"])
    number = files.checksum(Key(told["entity_name"], told["entity_id"]), stored)
    return msgspec.json.encode({**found, "checksum": f"{number:08x}"})


def forged_lines(data: bytes) -> bytes:
    """Return a stream's file in which the checksum of each line fits it, where it is a line."""
    return b"".join(_line(line) for line in data.splitlines(keepends=True))


def _line(line: bytes) -> bytes:
    with suppress(*UNFIT):
        found: Any = msgspec.json.decode(line, type=dict[str, Raw])
        told = {name: msgspec.json.decode(found[name]) for name in ("stream", "number", "version")}
        return encode_line(told["stream"], told["number"], bytes(found["value"]), told["version"])
    return line


def forged_chunks(tree: Tree, path: str) -> None:
    """Let a store's manifest say of a stream's file what is in it."""
    seal, _, body = tree[".holdfast/manifest"].partition(b"\n")
    manifest = msgspec.json.decode(body)
    first = int(path.rpartition("/")[2].removesuffix(".jsonl"))
    for stream, chunks in manifest["streams"].items():
        if stream.encode() in tree[path]:
            for chunk in chunks:
                if chunk[0] == first:
                    chunk[2:] = [len(tree[path]), zlib.crc32(tree[path])]
    tree[".holdfast/manifest"] = forged_manifest(seal + b"\n" + msgspec.json.encode(manifest))
