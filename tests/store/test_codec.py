"""What may be stored, and typed entities through their versions."""

import math
from enum import IntEnum
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from holdfast.errors import Corrupt, FromTheFuture, InvalidOption, InvalidValue
from holdfast.store.codec import MAX_DEPTH, Schema, decode, encode

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    SCALARS | TEXT, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20
)
BAD = st.sampled_from(
    [float("nan"), float("inf"), (1,), {1}, b"x", 2**63, -(2**63) - 1, 10**40, "\ud800", 1j]
)


@given(VALUES)
def test_round_trip(value: Any) -> None:
    assert repr(decode(encode(value))) == repr(value)


@given(st.lists(st.integers() | TEXT), BAD)
def test_bad_parts_are_named(before: list[Any], bad: Any) -> None:
    good = [item for item in before if not isinstance(item, int) or -(2**63) <= item < 2**63]
    with pytest.raises(InvalidValue) as refused:
        encode({"outer": [*good, {"inner": bad}]})
    assert refused.value.path == f"$.outer[{len(good)}].inner"
    assert refused.value.reason


PARTS = SCALARS | TEXT | BAD | st.integers(2**63 - 2, 2**64 + 2) | st.integers(-(2**63) - 2, -(2**63) + 2)
KEYS = TEXT | st.sampled_from(["\ud800", 1, None, 1.5, True])
ANYTHING = st.recursive(
    PARTS | st.builds(lambda item: (item,), PARTS),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
    max_leaves=12,
)


def allowed(value: Any, depth: int = 0) -> bool:
    """The rule, spelled out slowly: what may be stored."""
    if depth > MAX_DEPTH:
        return False
    if isinstance(value, dict):
        inside = all(isinstance(key, str) and "\ud800" not in key for key in value)
        return inside and all(allowed(item, depth + 1) for item in value.values())
    if isinstance(value, list):
        return all(allowed(item, depth + 1) for item in value)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, str):
        return "\ud800" not in value
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return value is None


@given(ANYTHING, st.integers(0, 8) | st.integers(MAX_DEPTH - 3, MAX_DEPTH + 2), st.booleans())
@settings(max_examples=300)
def test_what_is_refused(value: Any, wraps: int, in_lists: bool) -> None:
    for _ in range(wraps):
        value = [value] if in_lists else {"in": value}
    if allowed(value):
        data = encode(value)
        assert data == msgspec.json.encode(value)
        assert repr(decode(data)) == repr(value)
    else:
        with pytest.raises(InvalidValue) as refused:
            encode(value)
        assert refused.value.path.startswith("$")
        assert "read back" not in refused.value.reason


@pytest.mark.parametrize("number", [2**63, 2**64 - 1, 2**64, -(2**63) - 1, 10**19, -(10**30)])
@pytest.mark.parametrize(
    "wrap", [lambda n: n, lambda n: [n], lambda n: [1, n, 2], lambda n: {"a": n}, lambda n: {"a": [n]}]
)
def test_long_integers(number: int, wrap: Any) -> None:
    with pytest.raises(InvalidValue, match="int64"):
        encode(wrap(number))


@pytest.mark.parametrize(
    "value", ["9" * 40, "a:1234567890123456789012", {"9" * 30: "-" + "9" * 30}, 1e300, 0.1234567890123456]
)
def test_long_digits_that_are_no_integers(value: Any) -> None:
    assert decode(encode(value)) == value


class Level(IntEnum):
    HIGH = 3


def test_integers_with_a_name() -> None:
    assert encode({"level": Level.HIGH}) == b'{"level":3}'
    with pytest.raises(InvalidValue) as refused:
        encode([Level.HIGH, [[[[[[[[Level.HIGH, b"x"]]]]]]]]])
    assert refused.value.path == "$[1]" + "[0]" * 7 + "[1]"


def test_nesting() -> None:
    value: Any = 1
    for _ in range(MAX_DEPTH):
        value = [value]
    assert decode(encode(value)) == value
    for deeper in ([value], {"a": value}):
        with pytest.raises(InvalidValue, match="nested"):
            encode(deeper)
    for _ in range(5000):
        value = [value]
    with pytest.raises(InvalidValue, match="nested"):
        encode(value)
    assert encode([[[1]]] * 500)


def test_not_json() -> None:
    for data in (b"", b"{", b"nan", b"\xff"):
        with pytest.raises(Corrupt):
            decode(data)


class Position(Struct):
    symbol: str
    size: float
    side: str = "long"


POSITIONS = Schema(
    Position, "position", 3,
    upgrades={1: lambda old: {**old, "size": old["amount"]}, 2: lambda old: {**old, "symbol": old["symbol"].upper()}},
)  # fmt: skip


def test_schema_round_trip() -> None:
    document = POSITIONS.to_document(Position("BTC", 1.5))
    assert document == {"schema": "position/3", "symbol": "BTC", "size": 1.5, "side": "long"}
    assert POSITIONS.from_document(decode(encode(document))) == Position("BTC", 1.5)


def test_schema_upgrades() -> None:
    old = {"schema": "position/1", "symbol": "btc", "amount": 2.0}
    assert POSITIONS.from_document(old) == Position("BTC", 2.0)
    assert old == {"schema": "position/1", "symbol": "btc", "amount": 2.0}


def test_schema_from_the_future() -> None:
    with pytest.raises(FromTheFuture) as refused:
        POSITIONS.from_document({"schema": "position/4"})
    assert (refused.value.found, refused.value.known) == (4, 3)


@pytest.mark.parametrize(
    "bad",
    [None, [], {}, {"schema": 3}, {"schema": "order/1"}, {"schema": "position/x"}, {"schema": "position/0"},
     {"schema": "position/3", "symbol": "BTC"}, {"schema": "position/3", "symbol": 1, "size": 1.0}],
)  # fmt: skip
def test_schema_mismatch(bad: Any) -> None:
    with pytest.raises(Corrupt):
        POSITIONS.from_document(bad)


def test_schema_keeps_its_field_to_itself() -> None:
    class Odd(Struct):
        schema: str

    with pytest.raises(InvalidOption):
        Schema(Odd, "odd", 1)


@pytest.mark.parametrize("data", [b'"\xff"', b'{"\xc3(":1}', b"[" * 100_000, b"[1", b""])
def test_bytes_that_are_no_json_are_corrupt(data: bytes) -> None:
    with pytest.raises(Corrupt, match="not JSON"):
        decode(data)


def test_a_version_of_thousands_of_digits_is_corrupt() -> None:
    with pytest.raises(Corrupt, match="is of schema"):
        Schema(Struct, "thing", 1).from_document({"schema": "thing/" + "9" * 5_000})
