"""The child process that does the work, so that nothing which hangs or dies takes the campaign with it.

    python -m holdfast.testing.evidence.child play WAY:TARGET --seed 17 --seconds 60
    python -m holdfast.testing.evidence.child examine BACKEND --seed 0 --pace normal

On stdout a JSON document a line: for `play` what came of each seed as it is done, or why nothing can be shown; for
`examine` the result of each check, then the report.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct

from holdfast.testing.conformance.checks import Level, NotShown
from holdfast.testing.conformance.examining import PACES, Report, Result, examine
from holdfast.testing.evidence.backends import BACKENDS, backend
from holdfast.testing.evidence.ways import Cell, play_of

__all__ = ("Began", "Checked", "Concluded", "Said", "Seed", "Unshown", "main")


class Seed(Struct, frozen=True, tag=True):
    """What came of one seed."""

    seed: int
    seconds: float
    counts: dict[str, int]
    broken: tuple[str, ...] = ()


class Unshown(Struct, frozen=True, tag=True):
    """Nothing can be shown here, and why."""

    why: str


class Began(Struct, frozen=True, tag=True):
    """A check begins."""

    level: str
    name: str


class Checked(Struct, frozen=True, tag=True):
    """What came of a check."""

    result: Result


class Concluded(Struct, frozen=True, tag=True):
    """What an examination found; `claimed` are the levels that the backend claims, also those without a check of it."""

    report: Report
    seconds: float
    claimed: tuple[Level, ...]


Said = Seed | Unshown | Began | Checked | Concluded
"""What a child says."""

Sayer = Callable[[Said], None]


def main(argv: Sequence[str] | None = None) -> int:
    """Do what is asked, and say so on stdout; 0 whatever was found."""
    asked = _parser().parse_args(argv)
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what anything else prints is none of it

    def say(said: Said) -> None:
        out.write(msgspec.json.encode(said) + b"\n")

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # servers and mounts are put away on the way out
    try:
        if asked.what == "play":
            _play(asked, say)
        else:
            _examine(asked, say)
    except NotShown as error:
        say(Unshown(str(error)))
    return 0


def _play(asked: argparse.Namespace, say: Sayer) -> None:
    way, _, target = asked.name.partition(":")
    began = time.monotonic()
    with play_of(Cell(way, target)) as play:
        seed, until = asked.seed, began + asked.seconds
        while True:
            start = time.monotonic()
            found = play(seed)
            say(Seed(seed, round(time.monotonic() - start, 3), found.counts, found.broken))
            seed += 1
            if time.monotonic() >= until or found.broken:
                return


def _examine(asked: argparse.Namespace, say: Sayer) -> None:
    began = time.monotonic()
    pace = asked.pace if not BACKENDS[asked.name].slow else "quick"
    with backend(asked.name) as subject:
        report = examine(
            subject, seed=asked.seed, pace=PACES[pace], tell=lambda result: say(Checked(result)),
            begin=lambda check: say(Began(check.level.value, check.name)),
        )  # fmt: skip
        claimed = tuple(level for level in Level if level in subject.claimed)
    say(Concluded(report, round(time.monotonic() - began, 1), claimed))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m holdfast.testing.evidence.child", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("what", choices=("play", "examine"))
    parser.add_argument("name")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--pace", choices=tuple(PACES), default="normal")
    return parser


if __name__ == "__main__":
    sys.exit(main())
