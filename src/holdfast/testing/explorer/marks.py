"""Marks: what a traced program tells its checker, line by line, in between what it does to the folder.

A mark is one `write` to a file outside of the traced folder, so it has its place in the order of calls. Say what is
about to be asked for before asking, and that it was acknowledged after: then a checker knows at every instant what
must be there, and what may be.
"""

import os
from typing import Final

__all__ = ("ENVIRONMENT", "mark", "marked")

ENVIRONMENT: Final = "HOLDFAST_MARKS"
"""The variable that names the file, for programs that are not Python."""


def mark(text: str) -> None:
    """Tell the checker one line; where nobody traces, it is told nobody."""
    path = os.environ.get(ENVIRONMENT)
    if path:
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, text.encode() + b"\n")
        finally:
            os.close(fd)


def marked() -> list[str]:
    """Return all marks so far, those of earlier runs included."""
    path = os.environ.get(ENVIRONMENT)
    if not path or not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as marks:
        return marks.read().splitlines()
