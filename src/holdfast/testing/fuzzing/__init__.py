"""Fuzzing of everything that is read: files, values, rows, answers from the network, URLs, arguments, candle files.

Damage is either refused by a typed error, or what is read is exactly what was written: never a raw exception, never
another value, never "absent" for what is there. A *target* is a function `(data: bytes) -> None` that feeds bytes to
something that reads, and raises where a promise is broken. `targets.TARGETS` are Holdfast's own; yours can be fuzzed,
too:

    python -m holdfast.testing.fuzzing --list
    python -m holdfast.testing.fuzzing file.read my_package.targets:reading --minutes 10

Two engines use the same targets: Hypothesis, which needs nothing more, and atheris, which is led by coverage.
"""

from holdfast.testing.fuzzing.damage import damaged
from holdfast.testing.fuzzing.dice import Dice
from holdfast.testing.fuzzing.guessing import examined
from holdfast.testing.fuzzing.target import Crash, PromiseBroken, Target, crash_of, require, target_of
from holdfast.testing.fuzzing.targets import CONTROLS, TARGETS

__all__ = (
    "CONTROLS",
    "TARGETS",
    "Crash",
    "Dice",
    "PromiseBroken",
    "Target",
    "crash_of",
    "damaged",
    "examined",
    "require",
    "target_of",
)
