"""Trace one run of a program on one folder."""

import os
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, combinations
from pathlib import Path
from typing import Final

from holdfast.testing.explorer.marks import ENVIRONMENT
from holdfast.testing.explorer.operations import Trace
from holdfast.testing.explorer.reading import Reader
from holdfast.testing.explorer.strace import Log, TraceAgain, Untraceable, run
from holdfast.testing.explorer.view import tree_of

__all__ = ("trace",)

LIMIT: Final = 60.0
MOST_CUT_OFF: Final = 8
"""How many calls that kills cut off are tried as done and as not done, in every combination."""


def trace(
    program: Callable[..., object] | Sequence[str],
    *arguments: str,
    folder: Path,
    before: Sequence[str] = (),
    ignore: Sequence[str] = (),
    inject: Sequence[str] = (),
    limit: float = LIMIT,
) -> Trace:
    """Run a program and return all that it did to `folder`, whose contents count as durable before.

    `program` is a command, or a function that can be imported by its name: it is called in a process of its own with
    `arguments`. What it tells by `mark` follows after `before`, the marks of earlier runs. Names that match a pattern
    of `ignore` are left out: what is in such a file must not matter (SQLite's `*-shm`). `inject` are faults as strace
    spells them ("fsync:error=EIO:when=3": the third one of each thread fails). Raises Untraceable where it fails, or
    does what is not modelled.
    """
    folder = folder.resolve(strict=True)
    command = [*_command(program), *arguments]
    with tempfile.TemporaryDirectory(prefix="holdfast-trace-") as aside:
        marks, log = Path(aside).resolve() / "marks", Path(aside) / "log"
        marks.write_text("".join(f"{line}\n" for line in before))
        start = tree_of(folder, ignore)
        error = run(command, log=log, environment=_environment(marks), limit=limit, inject=inject)
        reader = _read(lambda: Reader(folder, start, marks=marks, cwd=os.getcwd(), ignore=ignore), log)
    return reader.trace(before, error)


def _read(make: Callable[[], Reader], path: Path) -> Reader:
    """Have the log read, and compare: a call that was misread, or never thought of, is noticed by what it did.

    Of the calls that a kill cut off, the fewest are taken as done that explain what the folder holds.
    """
    try:
        return _followed(make(), Log(), path)
    except Untraceable as error:
        cut_off = _cut_off(path)
        if not cut_off:
            raise
        for done in _some_of(min(len(cut_off), MOST_CUT_OFF)):
            with suppress(Untraceable):
                return _followed(make(), Log(done), path)
        raise TraceAgain(f"a kill cut off a call that may have been done in part ({error})") from error


def _followed(reader: Reader, log: Log, path: Path) -> Reader:
    with path.open(encoding="ascii") as lines:
        reader.read(log.calls(lines))
    reader.check()
    return reader


def _cut_off(path: Path) -> list[str]:
    log = Log()
    with path.open(encoding="ascii") as lines:
        deque(log.calls(lines), maxlen=0)
    return log.cut_off


def _some_of(count: int) -> Iterator[tuple[int, ...]]:
    """Yield every choice of at least one of so many, the smallest first."""
    return chain.from_iterable(combinations(range(count), size) for size in range(1, count + 1))


def _command(program: Callable[..., object] | Sequence[str]) -> list[str]:
    if not callable(program):
        return list(program)
    name = f"{program.__module__}:{program.__qualname__}"
    if program.__module__ == "__main__" or "<" in program.__qualname__:
        raise Untraceable(f"{name} cannot be imported by another process; define it at the top of a module")
    return [sys.executable, "-m", "holdfast.testing.explorer.child", name]


def _environment(marks: Path) -> dict[str, str]:
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return {**os.environ, ENVIRONMENT: str(marks), "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
