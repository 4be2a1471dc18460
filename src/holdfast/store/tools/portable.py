"""The portable file: a portfolio as lines of JSON, ended by a line that says how much there is and its SHA-256.

    {"holdfast":"portfolio","format":1,"namespace":"default","url":"file:/srv/data","head":17,"at":1700000000000}
    {"entities":"signal.sma-cross"}
    {"id":"BTCUSDT","version":"5f0c…","value":{…}}
    {"stream":"history.sma-cross.BTCUSDT"}
    {"number":1,"version":"5f0c…","value":{…}}
    {"end":true,"records":1,"events":1,"sha256":"…"}

Names and ids ascend bytewise, numbers have no gaps. The digest is of every byte before the last line. A name that
ends in `.gz` is compressed, a member for each section, so that reading can begin at any of them.
"""

from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from holdfast.errors import FromTheFuture

__all__ = (
    "FORMAT",
    "GZIP",
    "End",
    "Entities",
    "Header",
    "Line",
    "Numbered",
    "Row",
    "StreamOf",
    "decode_line",
    "encode_line",
)

FORMAT: Final = 1
GZIP: Final = 31
"""What zlib calls its gzip format."""


class Header(Struct, frozen=True, kw_only=True):
    """The first line: what is in the file, and where it is from."""

    holdfast: Literal["portfolio"] = "portfolio"
    format: int = FORMAT
    namespace: str
    url: str
    head: int
    at: int


class Entities(Struct, frozen=True, forbid_unknown_fields=True):
    """From here on, the records of an entity name."""

    entities: str


class Row(Struct, frozen=True, forbid_unknown_fields=True):
    """A record of the entity name above."""

    id: str
    version: str
    value: Any


class StreamOf(Struct, frozen=True, forbid_unknown_fields=True):
    """From here on, the events of a stream."""

    stream: str


class Numbered(Struct, frozen=True, forbid_unknown_fields=True):
    """An event of the stream above."""

    number: int
    version: str
    value: Any


class End(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The last line: what is above it."""

    end: Literal[True] = True
    records: int
    events: int
    sha256: str


Line = Header | Entities | Row | StreamOf | Numbered | End

KINDS: Final[dict[bytes, msgspec.json.Decoder[Any]]] = {
    b'{"holdfast"': msgspec.json.Decoder(Header),
    b'{"entities"': msgspec.json.Decoder(Entities),
    b'{"id"': msgspec.json.Decoder(Row),
    b'{"stream"': msgspec.json.Decoder(StreamOf),
    b'{"number"': msgspec.json.Decoder(Numbered),
    b'{"end"': msgspec.json.Decoder(End),
}
_FIRST: Final = KINDS[b'{"holdfast"']
_encode = msgspec.json.Encoder().encode


def encode_line(line: Line) -> bytes:
    """Return a line as it is in the file, its end included."""
    return _encode(line) + b"\n"


def decode_line(data: bytes) -> Line:
    """Return what a line says; raises ValueError where it is none, FromTheFuture for a newer file's first."""
    decoder = KINDS.get(data.partition(b":")[0])
    if decoder is None:
        raise ValueError("is no line of a portfolio")
    try:
        return _line(decoder, data)
    except RecursionError as error:
        raise ValueError("is nested without an end") from error


def _line(decoder: msgspec.json.Decoder[Any], data: bytes) -> Line:
    if decoder is _FIRST and (found := msgspec.json.decode(data).get("format")) != FORMAT:
        raise FromTheFuture(
            f"this is a portfolio of format {found!r}, and this Holdfast reads {FORMAT}: upgrade it",
            found=found,
            known=FORMAT,
        )
    line: Line = decoder.decode(data)
    return line
