"""The guard of a namespace: a record that says who alone may commit there, asked for in every commit.

A namespace without one is anybody's. Where it has one (it is replicated, a replica, or was promoted elsewhere), a
commit counts only if it names the guard's version: every other one is refused, also one of a process that opened
the namespace before the guard was set, because the question is part of the commit itself.
"""

from collections.abc import Sequence
from typing import Final

from holdfast.errors import Unsupported
from holdfast.store.base import ABSENT, Expect, Key

__all__ = ("GUARD", "UNGUARDED", "guarded", "past")

GUARD: Final = Key("holdfast.namespace", "guard")
"""The record. A change of this key in a commit takes the place of the question that is asked otherwise."""

UNGUARDED: Final[tuple[Key, Expect]] = (GUARD, ABSENT)
"""What every commit expects that does not speak of the guard."""


def guarded(expected: Sequence[tuple[Key, Expect]]) -> list[tuple[Key, Expect]]:
    """Return a commit's expectations with that of the guard among them, first."""
    if any(key == GUARD for key, _ in expected):
        return list(expected)
    return [UNGUARDED, *expected]


def past(found: Expect) -> Unsupported:
    """Return what a commit past the guard is refused with."""
    return Unsupported(
        "this namespace is guarded: it is replicated, is a replica, or was promoted elsewhere, and a commit past that "
        "would be missing there. Open it with its replicas (?replica=URL), or end that first (`holdfast store "
        "unreplicate`); `holdfast store replicas` says what it is. Nothing was changed",
        key=GUARD,
        found=found,
    )
