"""Damage: what becomes of valid bytes on a bad disk, in a torn write, a mixed-up copy, or a hand that means harm.

`damaged` makes some of it, as the dice say. Each kind takes the dice and the bytes, and returns bytes.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final

from holdfast.testing.fuzzing.dice import Dice

__all__ = ("KINDS", "LONGEST", "damaged", "replaced")

MOST: Final = 4
LONGEST: Final = 1 << 18
"""What damage makes is never longer (bytes): a fault of size shows in a quarter of a megabyte, too."""

_NUMBER: Final = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_TOKEN: Final = re.compile(rb'"(?:[^"\\\n]|\\.)*"|-?\d+(?:\.\d+)?|true|false|null|[\[\]{}:,]')

NUMBERS: Final = (
    b"0", b"1", b"-1", b"2", b"7", b"255", b"4294967295", b"9223372036854775807", b"9223372036854775808",
    b"-9223372036854775809", b"18446744073709551616", b"1e308", b"1e999",
    b"-0.0", b"0.5", b"NaN", b"Infinity",
    b"9" * 400, b"9" * 5000, b"00", b"1_0", "١٢".encode(), b"0x10",
)  # fmt: skip
TOKENS: Final = (
    b"null", b"[]", b"{}", b'""', b"true", b'"x"', b"[1,2]", b'{"a":1}', b'"\\ud800"', b'"\xff"',
    b'"\\u0000"', b'"..\\/x"',
    b"[" * 2000, b"[" * 2000 + b"]" * 2000, b'{"a":' * 300 + b"1" + b"}" * 300, b'"' + b"n" * 600 + b'"', b'"file"',
)  # fmt: skip
TEXTS: Final = (
    b"\0", b"\n", b"\r\n", b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"\xf0\x9f\x92\xa5", b'"', b"'", b",", b";", b"%",
    b"%00",
    b"%2e%2e%2f", b"../", b"\\", b"=", b"&", b"@", b":", b"#", b"?", b" ", b"\t", b"\x1a", b"\x85", b"{", b"[",
)  # fmt: skip
WORDS: Final = (0, 1, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF)

Kind = Callable[[Dice, bytes], bytes]


def damaged(dice: Dice, data: bytes, *, kinds: Sequence[Kind] | None = None) -> bytes:
    """Return the bytes with up to `MOST` kinds of damage one after the other; none where the dice have run out."""
    for _ in range(dice.below(MOST + 1)):
        data = dice.pick(kinds or KINDS)(dice, data)[:LONGEST]
    return data


def replaced(dice: Dice, data: bytes, others: Sequence[bytes]) -> bytes:
    """Return the bytes with a part of them, at times all, taken from others that are as valid."""
    other = dice.pick(others)
    begin, end = dice.span(len(data))
    first, last = dice.span(len(other))
    return other if dice.chance(3) else data[:begin] + other[first:last] + data[end:]


def _flip(dice: Dice, data: bytes) -> bytes:
    at = dice.below(len(data))
    return data[:at] + bytes([data[at] ^ 1 << dice.below(8)]) + data[at + 1 :] if data else data


def _set(dice: Dice, data: bytes) -> bytes:
    at = dice.below(len(data))
    return data[:at] + dice.take(1 + dice.below(4)) + data[at + 1 :]


def _cut(dice: Dice, data: bytes) -> bytes:
    return data[: dice.below(len(data) + 1)]


def _take_out(dice: Dice, data: bytes) -> bytes:
    begin, end = dice.span(len(data))
    return data[:begin] + data[end:]


def _zero(dice: Dice, data: bytes) -> bytes:
    begin, end = dice.span(len(data))
    return data[:begin] + bytes(end - begin) + data[end:]


def _put_in(dice: Dice, data: bytes) -> bytes:
    at = dice.below(len(data) + 1)
    return data[:at] + (dice.pick(TEXTS) * (1, 1, 2, 5000)[dice.below(4)]) + data[at:]


def _double(dice: Dice, data: bytes) -> bytes:
    begin, end = dice.span(len(data))
    at = dice.below(len(data) + 1)
    return data[:at] + data[begin:end] + data[at:]


def _swap(dice: Dice, data: bytes) -> bytes:
    (begin, end), (first, last) = sorted((dice.span(len(data)), dice.span(len(data))))
    end = min(end, first)
    return data[:begin] + data[first:last] + data[end:first] + data[begin:end] + data[last:]


def _word(dice: Dice, data: bytes) -> bytes:
    at, size = dice.below(len(data) + 1), dice.pick((4, 8, 1, 2))
    number = dice.pick(WORDS) & (1 << 8 * size) - 1
    return data[:at] + number.to_bytes(size, "little") + data[at + size :]


def _number(dice: Dice, data: bytes) -> bytes:
    return _in_place_of_one(dice, data, _NUMBER, NUMBERS)


def _token(dice: Dice, data: bytes) -> bytes:
    return _in_place_of_one(dice, data, _TOKEN, TOKENS)


def _in_place_of_one(dice: Dice, data: bytes, what: re.Pattern[bytes], by: Sequence[bytes]) -> bytes:
    found = list(what.finditer(data[:65536]))
    if not found:
        return data
    one = dice.pick(found)
    return data[: one.start()] + dice.pick(by) + data[one.end() :]


def _lines(dice: Dice, data: bytes) -> bytes:
    lines = data.split(b"\n")
    one, other = dice.below(len(lines)), dice.below(len(lines))
    match dice.below(4):
        case 0:
            lines[one], lines[other] = lines[other], lines[one]
        case 1:
            lines.insert(one, lines[other])
        case 2:
            del lines[one]
        case _:
            lines[one] = dice.pick(TOKENS)
    return b"\n".join(lines)


KINDS: Final[tuple[Kind, ...]] = (
    _flip, _set, _cut, _take_out, _zero, _put_in, _double, _swap, _word, _number, _token, _lines,
)  # fmt: skip
