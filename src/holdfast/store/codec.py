"""What may be stored: values that read back exactly as they are, keys that every backend can keep.

`encode` and `decode` work at C speed: a value is encoded, decoded and compared, and only what is unusual is
walked to find the path of the fault. `Schema` ties an entity's type to its document and its versions.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Generic, NoReturn, TypeVar

import msgspec

from holdfast.documents import document_of
from holdfast.errors import Corrupt, FromTheFuture, InvalidKey, InvalidOption, InvalidValue
from holdfast.store.base import Key

__all__ = ("MAX_DEPTH", "MAX_KEY_BYTES", "Schema", "check_key", "check_stream", "decode", "encode")

MAX_KEY_BYTES: Final = 512
MAX_DEPTH: Final = 64
INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1
USUAL_DEPTH: Final = 6
LONGEST_VERSION: Final = 18

T = TypeVar("T")
Document = dict[str, Any]
Upgrade = Callable[[Document], Document]


def _usual(depth: int) -> Any:
    """Return the type of values that need no second look: integers of 64 bits, nested `depth` levels at most."""
    scalar = Annotated[int, msgspec.Meta(ge=INT64_MIN, le=INT64_MAX)] | float | str | bool | None
    return scalar if depth == 0 else scalar | list[_usual(depth - 1)] | dict[str, _usual(depth - 1)]  # type: ignore[misc]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_decode_usual = msgspec.json.Decoder(_usual(USUAL_DEPTH)).decode


def encode(value: Any) -> bytes:
    """Return the JSON of `value`, which `decode` turns back into an equal value; anything else is refused.

    Raises InvalidValue with the `path` of the part that would not survive and the `reason`.
    """
    try:
        data = _encode(value)
        if _decode_usual(data) == value:
            return data
    except (TypeError, ValueError, RecursionError, OverflowError, msgspec.ValidationError):
        pass
    return _encode_unusual(value)  # deep, or at fault


def _encode_unusual(value: Any) -> bytes:
    try:
        data = _encode(value)
        same = _decode(data) == value
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        _refuse(value, error)
    if not same or _fault(value, "$", 0) is not None:
        _refuse(value, None)
    return data


def decode(data: bytes) -> Any:
    """Return the value that `encode` was given; raises Corrupt where `data` is not JSON."""
    try:
        return _decode(data)
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, or nested without an end
        raise Corrupt(f"stored bytes are not JSON: {error}", key=None, reason="not JSON") from error


def _refuse(value: Any, cause: Exception | None) -> NoReturn:
    path, reason = _fault(value, "$", 0) or ("$", f"does not read back as it is ({cause})")
    raise InvalidValue(f"cannot store {path}: {reason}", path=path, reason=reason) from cause


def _fault(value: Any, path: str, depth: int) -> tuple[str, str] | None:
    """Return the path of the first part of `value` that cannot be stored, and why; None if there is none."""
    if depth > MAX_DEPTH:
        return path, f"is nested deeper than {MAX_DEPTH} levels"
    if isinstance(value, dict):
        return _fault_in_dict(value, path, depth)
    if isinstance(value, list):
        faults = (_fault(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(value))
        return next((fault for fault in faults if fault is not None), None)
    reason = _scalar_fault(value)
    return None if reason is None else (path, reason)


def _fault_in_dict(value: dict[Any, Any], path: str, depth: int) -> tuple[str, str] | None:
    for name, item in value.items():
        if not isinstance(name, str):
            return path, f"has the key {name!r}, which is a {type(name).__name__} and not a str"
        if not _is_utf8(name):
            return path, f"has the key {name!r}, which is not valid Unicode"
        fault = _fault(item, f"{path}.{name}", depth + 1)
        if fault is not None:
            return fault
    return None


def _scalar_fault(value: Any) -> str | None:
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int):
        return None if INT64_MIN <= value <= INT64_MAX else "is an integer outside int64; store it as a str"
    if isinstance(value, float):
        finite = value - value == 0
        return None if finite else f"is {value!r}, which JSON cannot hold; store None or a str"
    if isinstance(value, str):
        return None if _is_utf8(value) else "holds a lone surrogate, which is not valid Unicode"
    return f"is a {type(value).__name__}; store None, bool, int, float, str, list or dict"


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_key(key: Key) -> None:
    """Return if every backend can keep `key`; raises InvalidKey, saying what is wrong with which half."""
    check_name(key.entity_name, "entity_name")
    check_name(key.entity_id, "entity_id")


def check_stream(stream: str) -> None:
    """Return if every backend can keep a stream of that name; raises InvalidKey otherwise."""
    check_name(stream, "stream")


def check_name(name: str, what: str) -> None:
    """Return if `name` is a str of 1 to 512 bytes of UTF-8 without NUL; raises InvalidKey otherwise."""
    if type(name) is str and 0 < len(name) <= 128 and name.isascii() and "\0" not in name:
        return
    reason = _name_fault(name)
    if reason is not None:
        raise InvalidKey(f"{what} {name!r:.80} {reason}", name=name, what=what, reason=reason)


def _name_fault(name: Any) -> str | None:
    if not isinstance(name, str):
        return f"is a {type(name).__name__}, not a str"
    if not name:
        return "is empty"
    if not _is_utf8(name):
        return "is not valid Unicode (a lone surrogate)"
    if "\0" in name:
        return "contains NUL"
    size = len(name.encode())
    return None if size <= MAX_KEY_BYTES else f"has {size} bytes; at most {MAX_KEY_BYTES} are allowed"


class Schema(Generic[T]):
    """The documents of one type of entity: what is written now, and how what was written before is read.

    `upgrades[n]` turns a document of version n into one of version n + 1. A document says what it is in its
    field `schema`: `{"schema": "signal/2", ...}`.
    """

    def __init__(
        self, type: type[T], name: str, version: int, *, upgrades: Mapping[int, Upgrade] | None = None
    ) -> None:
        if "schema" in getattr(type, "__struct_fields__", ()):
            raise InvalidOption(f"{type.__name__} has a field `schema`, which names the document's version")
        self.type = type
        self.name = name
        self.version = version
        self.upgrades = dict(upgrades or {})

    def to_document(self, entity: T) -> Document:
        """Return the entity as a plain document that says which schema and version it is."""
        return {"schema": f"{self.name}/{self.version}", **document_of(entity)}

    def from_document(self, document: Any) -> T:
        """Return the entity of a document of this version or an older one, upgraded step by step.

        Raises FromTheFuture for a newer version, Corrupt for what is no such document; changes nothing.
        """
        version = self._version_of(document)
        fields = {name: value for name, value in document.items() if name != "schema"}
        for step in range(version, self.version):
            fields = self._upgrade(step)(fields)
        try:
            return msgspec.convert(fields, self.type)
        except msgspec.ValidationError as error:
            raise self._corrupt(f"is not a {self.name}: {error}") from error

    def _version_of(self, document: Any) -> int:
        label = document.get("schema") if isinstance(document, dict) else None
        if not isinstance(label, str):
            raise self._corrupt("has no field `schema`")
        name, _, number = label.rpartition("/")
        if name != self.name or not (
            number.isascii() and number.isdigit() and len(number) <= LONGEST_VERSION
        ):
            raise self._corrupt(f"is of schema {label!r:.80}, not {self.name!r}")
        if int(number) > self.version:
            message = (
                f"document of schema {label!r}: this Holdfast reads up to version {self.version}; upgrade it"
            )
            raise FromTheFuture(message, found=int(number), known=self.version)
        return int(number)

    def _upgrade(self, step: int) -> Upgrade:
        if step not in self.upgrades:
            raise self._corrupt(f"is of version {step}, which has no upgrade")
        return self.upgrades[step]

    def _corrupt(self, reason: str) -> Corrupt:
        return Corrupt(f"document {reason}", key=None, reason=reason, schema=self.name)
