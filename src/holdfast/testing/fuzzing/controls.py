"""Readers that are wrong on purpose: what finds nothing in these finds nothing anywhere.

Each reads the same small file, a line of JSON behind its checksum, and has the kind of bug that its name says.
"""

import json
import time
import zlib
from collections.abc import Callable
from typing import Final

from holdfast.errors import Corrupt
from holdfast.testing.fuzzing.damage import damaged
from holdfast.testing.fuzzing.dice import Dice
from holdfast.testing.fuzzing.target import require

__all__ = ("believing", "forgetful", "hanging", "raw", "right")

VALUE: Final = {"side": "long", "quantity": 12, "at": [1, 2, 3]}
_BODY: Final = json.dumps(VALUE).encode()
VALID: Final = b"%08x " % zlib.crc32(_BODY) + _BODY


def right(data: bytes) -> None:
    """A reader without a bug: it refuses what has another checksum, and all that is no JSON."""
    _feed(data, lambda given: _decoded(given, checked=True))


def believing(data: bytes) -> None:
    """A reader that does not look at the checksum, and returns another value than was written."""
    _feed(data, lambda given: _decoded(given, checked=False))


def raw(data: bytes) -> None:
    """A reader that looks a field up before it knows that it is there: a raw KeyError, or whatever comes."""
    _feed(data, lambda given: json.loads(given[9:])["side"] and _decoded(given, checked=True))


def forgetful(data: bytes) -> None:
    """A reader that takes what it cannot read for nothing being there."""

    def read(given: bytes) -> object:
        try:
            return _decoded(given, checked=True)
        except Corrupt:
            return None

    _feed(data, read)


def hanging(data: bytes) -> None:
    """A reader that goes on for ever where the end of what it reads is missing."""

    def read(given: bytes) -> object:
        while not given.endswith(b"}"):
            time.sleep(0.01)
        return _decoded(given, checked=True)

    _feed(data, read)


def _feed(data: bytes, read: Callable[[bytes], object]) -> None:
    try:
        found = read(damaged(Dice(data), VALID))
    except Corrupt:
        return
    require(found is not None, "absent: what is there and cannot be read is taken for nothing")
    require(found == VALUE, f"another value: {found!r}")


def _decoded(given: bytes, *, checked: bool) -> object:
    try:
        if checked and int(given[:8], 16) != zlib.crc32(given[9:]):
            raise Corrupt("has another content than its checksum says", key=None, reason="checksum")
        return json.loads(given[9:])
    except (ValueError, RecursionError) as error:
        raise Corrupt(f"is none: {error}", key=None, reason="not JSON") from error
