"""Exit codes: what a shell, or a service manager that restarts, is told."""

from typing import Final

from cyclopts import CycloptsError

from holdfast.errors import (
    AdapterInUse,
    FromTheFuture,
    InvalidKey,
    LeaseHeld,
    MarketError,
    RunError,
    StoreInUse,
    StoreMissing,
    Unavailable,
    Unsupported,
)

__all__ = ("COULD_NOT_RUN", "DONE", "FOUND", "INTERRUPTED", "OF_FILES", "of")

DONE: Final = 0
FOUND: Final = 1
"""Something was found, or failed on the way: starting again may help."""
COULD_NOT_RUN: Final = 2
"""It could not run as asked: starting again will not help."""
INTERRUPTED: Final = 130

AS_ASKED: Final = (
    RunError,
    MarketError,
    AdapterInUse,
    FromTheFuture,
    InvalidKey,
    LeaseHeld,
    StoreInUse,
    StoreMissing,
    Unsupported,
)


OF_FILES: Final = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)
"""What the system says about a path that somebody has written on the command line."""


def of(error: BaseException) -> int:
    """Return the exit code of an error."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, Unavailable) and error.facts.get("retryable") is False:
        return COULD_NOT_RUN
    return COULD_NOT_RUN if isinstance(error, (*AS_ASKED, *OF_FILES, CycloptsError)) else FOUND
