"""The command line: words as somebody types or pastes them, taken apart for all commands, run where that is safe."""

import contextlib
import io
import os
import shlex
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from cyclopts import CycloptsError

from holdfast.cli.app import app_for, run
from holdfast.errors import HoldfastError
from holdfast.testing.fuzzing.damage import damaged
from holdfast.testing.fuzzing.dice import Dice
from holdfast.testing.fuzzing.samples import place, put, samples
from holdfast.testing.fuzzing.target import require

__all__ = ("looking", "taken_apart")

LINES: Final = (
    "backtest bot.py --symbol BTCUSDT --candles c.csv --start 2024-01-01 --json",
    "live bot.py:desk --exchange http://127.0.0.1:1 --namespace blue --store file:./x --wait",
    "candles out.csv --minutes 50 --seed 7 --price 40000.5 --force", "exchange-sim --port 0 --pace running --speed 60",
    "demo --kills 3", "conform sqlite --level records --json", "store copy file:a sqlite:b.db --move --dry-run",
    "store history sma BTCUSDT file:./store --limit 3", "store import p.jsonl.gz file:./b", "store key 2026-11",
    "store reseed file:./a --replica file:./b --yes", "store promote file:./a --accept-loss 3", "--help", "--version",
)  # fmt: skip
LOOKING: Final = (
    "store ls file:./store", "store show signal.sma-cross file:./store", "store show risk All file:./store --json",
    "store history sma-cross BTCUSDT file:./store", "store stats file:./store --json", "store verify file:./store",
    "store verify sqlite:none.db", "store ls file:./store?namespace=blue", "store key 2026-11", "store ls memory:",
)  # fmt: skip
SAFE: Final = (
    ("store", "ls"),
    ("store", "show"),
    ("store", "history"),
    ("store", "stats"),
    ("store", "verify"),
)
HERE: Final = ("file:", "memory:", "--", "store")
CODES: Final = (0, 1, 2)


def taken_apart(data: bytes) -> None:
    """Words are a command with its arguments, or an error of the command line's own; nothing is run."""
    dice = Dice(data)
    words = _words(dice, LINES)
    with _quiet():
        try:
            app_for(words).parse_args(words, exit_on_error=False, print_error=False)
        except (CycloptsError, HoldfastError):
            return


def looking(data: bytes) -> None:
    """A command that looks into a store ends with an exit code and a sentence, whatever it is given, and leaves it."""
    words = _words(Dice(data), LOOKING)
    if tuple(words[:2]) not in SAFE or not all(_is_safe(word) for word in words):
        return
    home = _home()
    before = Path.cwd()
    os.chdir(home)
    try:
        with _quiet():
            code = run(words)
    except SystemExit as error:  # --help, --version
        code = error.code if isinstance(error.code, int) else 0
    finally:
        os.chdir(before)
    require(code in CODES, f"exit code: {code}")


def _words(dice: Dice, lines: Sequence[str]) -> list[str]:
    """Return the words of a line as the system hands them over: without NUL, odd bytes as surrogates."""
    given = (
        damaged(dice, dice.pick(lines).encode()).replace(b"\0", b"").decode("utf-8", errors="surrogateescape")
    )
    try:
        return shlex.split(given)
    except ValueError:
        return given.split()


def _is_safe(word: str) -> bool:
    """Whether a word names nothing that would be imported, or reached by the network."""
    return ".py" not in word and not (":" in word and not word.startswith((*HERE, "sqlite:")))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict")
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(
            io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace")
        ),
    ):
        yield


@cache
def _home() -> Path:
    home = place() / "home"
    home.mkdir()
    put(samples()[2].tree, home / "store")
    return home
