"""Frames: what the journal is made of. Each can be checked alone, and each names the one before it.

A frame is {salt, sequence, length, previous checksum, checksum} and its payload. The salt is random for each
segment, so that nothing left over on the disk can be taken for a frame of it. The checksum covers all else.
"""

import struct
import zlib
from typing import Final

from msgspec import Struct

__all__ = ("HEADER_BYTES", "SALT_BYTES", "Frame", "claimed_end", "find", "pack", "parse")

SALT_BYTES: Final = 8
_BODY: Final = struct.Struct("<8sQII")
_CHECKSUM: Final = struct.Struct("<I")
HEADER_BYTES: Final = _BODY.size + _CHECKSUM.size


class Frame(Struct, frozen=True):
    """A frame that was read and is whole; it ends at the offset `end`."""

    salt: bytes
    sequence: int
    previous: int
    checksum: int
    payload: bytes
    end: int


def pack(salt: bytes, sequence: int, previous: int, payload: bytes) -> tuple[bytes, int]:
    """Return the bytes of a frame and its checksum."""
    body = _BODY.pack(salt, sequence, len(payload), previous)
    checksum = zlib.crc32(payload, zlib.crc32(body))
    return b"".join((body, _CHECKSUM.pack(checksum), payload)), checksum


def parse(data: bytes, offset: int) -> Frame | None:
    """Return the frame at `offset`, None where there is none that is whole."""
    start = offset + HEADER_BYTES
    if start > len(data):
        return None
    salt, sequence, length, previous = _BODY.unpack_from(data, offset)
    payload = data[start : start + length]
    (checksum,) = _CHECKSUM.unpack_from(data, offset + _BODY.size)
    body = data[offset : offset + _BODY.size]
    if len(payload) < length or zlib.crc32(payload, zlib.crc32(body)) != checksum or not sequence:
        return None
    return Frame(salt, sequence, previous, checksum, payload, start + length)


def claimed_end(data: bytes, offset: int) -> int:
    """Return where the frame at `offset` says that it ends, be it whole or not."""
    length: int = _BODY.unpack_from(data, offset)[2]
    return offset + HEADER_BYTES + length


def find(data: bytes, salt: bytes, offset: int, above: int) -> Frame | None:
    """Return the first whole frame of the segment of `salt`, from `offset` on, numbered above `above`."""
    place = data.find(salt, offset)
    while place >= 0:
        frame = parse(data, place)
        if frame is not None and frame.sequence > above:
            return frame
        place = data.find(salt, place + 1)
    return None
