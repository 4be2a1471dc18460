"""What a process was asked and told, written down where SIGKILL does not reach it."""

import os
import time
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

__all__ = ("Line", "Log", "read_log")


class Line(Struct, frozen=True, array_like=True):
    """What a log says: when (monotonic, of this machine), what, of which commit, and more."""

    at: float
    what: str
    commit_id: str = ""
    detail: Any = None


class Log:
    """An append-only file: what was written before a SIGKILL stays."""

    def __init__(self, path: str | Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def __call__(self, what: str, commit_id: str = "", detail: Any = None) -> None:
        """Write a line, in one call."""
        os.write(self._fd, msgspec.json.encode(Line(time.monotonic(), what, commit_id, detail)) + b"\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def read_log(path: str | Path) -> list[Line]:
    """Return the lines of a log; a last one that was cut off by a kill is none."""
    whole = Path(path).read_bytes().rpartition(b"\n")[0] if Path(path).exists() else b""
    return [msgspec.json.decode(line, type=Line) for line in whole.splitlines()]
