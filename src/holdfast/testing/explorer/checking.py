"""Recovery checks: what is run on every state, and says which promises it breaks."""

import json
import os
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

__all__ = ("Check", "forked", "problems")

Check = Callable[[Path, Sequence[str]], Sequence[str]]
"""Recovers what is in a folder (it may change it), given the marks so far; returns one line for each broken promise."""


def problems(check: Check, folder: Path, marks: Sequence[str]) -> tuple[str, ...]:
    """Return what a check finds; that it raises is a finding, too."""
    try:
        return tuple(check(folder, marks))
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return (f"raised {type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})",)


def forked(check: Check, *, limit: float = 30.0) -> Check:
    """Return a check that runs in a forked child: one that hangs, exits or crashes is a finding.

    Fork only from a process without threads of its own.
    """

    def alone(folder: Path, marks: Sequence[str]) -> Sequence[str]:
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(read)
            _answer(check, folder, marks, write)
        os.close(write)
        return _awaited(pid, read, limit)

    return alone


def _answer(check: Check, folder: Path, marks: Sequence[str], fd: int) -> None:
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as answer:
            json.dump(problems(check, folder, marks), answer)
    finally:
        os._exit(0)


def _awaited(pid: int, fd: int, limit: float) -> Sequence[str]:
    ended, deadline = 0, time.monotonic() + limit
    with os.fdopen(fd, encoding="utf-8") as answer:
        while not ended and time.monotonic() < deadline:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                time.sleep(0.001)
        if not ended:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return [f"did not end within {limit:g} s"]
        told = answer.read()
    return json.loads(told) if told else [f"its process ended with {os.waitstatus_to_exitcode(status)}"]
