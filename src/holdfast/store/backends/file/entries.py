"""What a frame's payload says: one JSON line an entry, the first of a segment says how the segment began."""

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Struct

from holdfast.store.base import CommitId
from holdfast.store.changes import Effect

__all__ = ("Committed", "Entry", "Opened", "decode_entries", "encode_entry")


class Opened(Struct, frozen=True, array_like=True, tag="open"):
    """A segment began; commits in it are numbered from `first` on.

    A `base` segment was written by an open: it holds every commit from `first` on, also those of the
    segments before it, which it supersedes. Any other segment goes on where the one before it ended.
    `size` is how many bytes the file was made with: a shorter one lost its end. Segments made before this was
    noted have none.
    """

    format: int
    segment: int
    first: int
    base: bool
    size: int = 0


class Committed(Struct, frozen=True, array_like=True, tag="commit"):
    """A commit: its number in the namespace, its id, its wall time, and what it did."""

    number: int
    commit_id: CommitId
    at: int
    effects: list[Effect]


Entry = Opened | Committed

encode_entry: Final = msgspec.json.Encoder().encode
_decoder: Final[msgspec.json.Decoder[Entry]] = msgspec.json.Decoder(Entry)


def decode_entries(payload: bytes) -> Iterable[Entry]:
    """Return the entries of a frame; raises msgspec.DecodeError where they are none."""
    return _decoder.decode_lines(payload)
