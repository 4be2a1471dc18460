"""The engine that is always there: Hypothesis makes inputs, and makes those that break something as small as it can."""

import time
from collections.abc import Iterator

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisException

from holdfast.testing.fuzzing.target import Crash, Target, crash_of

__all__ = ("LONGEST", "examined", "guessed")

LONGEST = 200
ROUND = 200


class _Found(Exception):
    """An input that breaks a promise, in a way that is not known yet."""

    def __init__(self, crash: Crash) -> None:
        super().__init__(crash.kind)
        self.crash = crash


def examined(
    target: Target, *, examples: int, number: int, known: frozenset[str] = frozenset()
) -> Crash | None:
    """Try a target with so many inputs, which follow from the number; return the smallest that breaks something new.

    `known` are kinds of crash that are passed by.
    """

    @seed(number)
    @settings(
        max_examples=examples, database=None, deadline=None, suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink), print_blob=False,
    )  # fmt: skip
    @given(st.binary(max_size=LONGEST))
    def attempt(data: bytes) -> None:
        crash = crash_of(target, data)
        if crash is not None and crash.kind not in known:
            raise _Found(crash)

    try:
        attempt()
    except _Found as found:
        return found.crash
    except ExceptionGroup as several:  # more than one kind at once: the first is told, the others come again
        return next(one.crash for one in several.exceptions if isinstance(one, _Found))
    except HypothesisException as error:
        return Crash(b"", f"not the same twice: {type(error).__name__}", str(error))
    return None


def guessed(
    target: Target, *, seconds: float, number: int, known: frozenset[str]
) -> Iterator[tuple[int, Crash | None]]:
    """Go on for so long, a round at least; yield after each how many inputs it had, and what it found."""
    end = time.monotonic() + seconds
    while True:
        crash = examined(target, examples=ROUND, number=number, known=known)
        yield ROUND, crash
        known |= frozenset() if crash is None else {crash.kind}
        number += 1
        if time.monotonic() >= end:
            return
