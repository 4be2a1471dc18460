"""Bytes as a source of choices: an input is a program that says which valid bytes to take and how to damage them.

So the same input means the same to whatever engine made it, a shorter input means less damage, and an empty one none:
the first of each choice is always the harmless one.
"""

from collections.abc import Sequence
from typing import TypeVar

__all__ = ("Dice",)

T = TypeVar("T")


class Dice:
    """Choices taken from bytes, in order; where these have run out every choice is the first."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def below(self, bound: int) -> int:
        """Return a number from 0 to `bound` - 1."""
        size = max((bound - 1).bit_length() + 7, 8) // 8
        return int.from_bytes(self.take(size), "big") % max(bound, 1)

    def chance(self, one_in: int) -> bool:
        """Whether something rare is to be: never where the bytes have run out."""
        return self.below(one_in) == one_in - 1

    def pick(self, choices: Sequence[T]) -> T:
        """Return one of the choices."""
        return choices[self.below(len(choices))]

    def take(self, size: int) -> bytes:
        """Return the next bytes, fewer where there are fewer."""
        found = self._data[self._at : self._at + size]
        self._at += size
        return found

    def rest(self) -> bytes:
        """Return all that is left."""
        return self.take(len(self._data))

    def span(self, size: int) -> tuple[int, int]:
        """Return where a part of something of that size begins and ends: short ones more often than long ones."""
        begin = self.below(size + 1)
        longest = size - begin + 1
        return begin, begin + self.below(min(longest, self.pick((9, 3, 65, 1025, longest))))
