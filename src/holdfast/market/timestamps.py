"""Times as files write them, in milliseconds since 1970 UTC."""

import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from math import ceil
from typing import Final

import numpy as np
from numpy.typing import NDArray

from holdfast.market.series import Ints

__all__ = ("moment", "moments")

NUMBER: Final = re.compile(r"\d+(\.\d*)?")
PLAIN: Final = re.compile(rb"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)(?:Z|[+-]00:?00)?")
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = 10**15
"""Milliseconds: some thirty thousand years from now."""
MILLISECOND: Final = timedelta(milliseconds=1)


def moment(text: str) -> int:
    """Return the time that `text` names: ISO 8601, UTC unless it says otherwise, or a number since 1970.

    The unit of a number shows in its size; a part of a millisecond is rounded up. Raises ValueError.
    """
    if NUMBER.fullmatch(text):
        found = ceil(Fraction(text) * Fraction(*_unit(int(text.partition(".")[0]))))
        if found >= LATEST:
            raise ValueError("a number that is no time, whatever its unit")
        return found
    read = datetime.fromisoformat(text)
    read = read if read.tzinfo else read.replace(tzinfo=UTC)
    return -((EPOCH - read) // MILLISECOND)


def moments(texts: NDArray[np.bytes_]) -> Ints:
    """Return the times that a column of one format names, as `moment` would, but fast.

    Raises ValueError where the column has more than one format, or one that is rare.
    """
    first = bytes(texts[0])
    if first.isdigit():
        times = texts.astype(np.int64)
        milliseconds, units = _unit(int(times[0]))
        if _unit(int(times.min())) != _unit(int(times.max())):
            raise ValueError("not a column of one unit")
        return -(-times * milliseconds // units)
    plain = PLAIN.fullmatch(first)
    if plain is None or not _alike(texts):
        raise ValueError("not a column of one plain format")
    micros = texts.astype(f"S{len(plain[1])}").astype("datetime64[us]").astype(np.int64)
    return -(-micros // 1000)


def _unit(number: int) -> tuple[int, int]:
    """Return milliseconds for units: a number of today's size is in s, ms, us or ns by its length."""
    for bound, unit in ((10**11, (1000, 1)), (10**14, (1, 1)), (10**17, (1, 1000))):
        if number < bound:
            return unit
    return 1, 10**6


def _alike(texts: NDArray[np.bytes_]) -> bool:
    """Return whether all texts have digits where the first has them, and otherwise the same characters."""
    table = np.ascontiguousarray(texts).view(np.uint8).reshape(len(texts), -1)
    pattern = table[0]
    digit = (pattern >= ord("0")) & (pattern <= ord("9"))
    digits = table[:, digit]
    same = np.array_equal(
        table[:, ~digit], np.broadcast_to(pattern[~digit], (len(texts), int((~digit).sum())))
    )
    return same and bool(((digits >= ord("0")) & (digits <= ord("9"))).all())
