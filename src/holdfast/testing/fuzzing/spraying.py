"""The engine for counting: bytes by chance, as fast as a target takes them, each fed and judged as by every engine.

Hypothesis takes longer to make an input than most targets take to read it. What an input means follows from `Dice`,
so that chance reaches what it reaches; what is rare is for atheris to find.
"""

import math
import random
import time
from collections.abc import Iterator
from typing import Final

from holdfast.testing.fuzzing.target import Crash, Target, crash_of

__all__ = ("LONGEST", "rained", "spray", "sprayed")

LONGEST: Final = 200
USUAL: Final = 40
ROUND: Final = 1.0


def spray(number: int) -> Iterator[bytes]:
    """Yield inputs without end, the same for the same number: nothing first, then short ones more often than long."""
    chance = random.Random(number)  # noqa: S311  # no secret
    yield b""
    while True:
        yield chance.randbytes(min(1 + int(chance.expovariate(1 / USUAL)), LONGEST))


def sprayed(
    target: Target,
    *,
    number: int,
    seconds: float = math.inf,
    most: int = 0,
    known: frozenset[str] = frozenset(),
) -> tuple[int, Crash | None]:
    """Feed a target for so long; return how many inputs it was fed, and the first that breaks something new, cut short.

    `known` are kinds of crash that are passed by. At least one input is fed, and `most` at the most (0: any number).
    """
    until, fed = time.monotonic() + seconds, 0
    for data in spray(number):
        fed += 1
        crash = crash_of(target, data)
        if crash is not None and crash.kind not in known:
            return fed, _shortest(target, crash)
        if fed == most or time.monotonic() >= until:
            break
    return fed, None


def rained(
    target: Target, *, seconds: float, number: int, known: frozenset[str]
) -> Iterator[tuple[int, Crash | None]]:
    """Go on for so long, a round at least; yield after each, a second, how many inputs it had, and what it found."""
    end = time.monotonic() + seconds
    while True:
        fed, crash = sprayed(target, number=number, seconds=min(ROUND, seconds), known=known)
        yield fed, crash
        known |= frozenset() if crash is None else {crash.kind}
        number += 1
        if time.monotonic() >= end:
            return


def _shortest(target: Target, crash: Crash) -> Crash:
    """Return the shortest beginning of an input that breaks the same: less of it is less damage."""
    for size in range(len(crash.data)):
        found = crash_of(target, crash.data[:size])
        if found is not None and found.kind == crash.kind:
            return found
    return crash
