"""Exit codes: what a shell, or a service manager that restarts, is told."""

import errno
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

__all__ = ("COULD_NOT_RUN", "DONE", "FOUND", "INTERRUPTED", "is_of_a_path", "of")

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
"""What the system says about a path that was written by hand."""


OF_PATHS: Final = (
    errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP, errno.ENAMETOOLONG,
)  # fmt: skip
"""The same, as a store tells it."""
UNKNOWN: Final = ("Name or service not known", "nodename nor servname", "No address associated")
"""What a resolver says of a host name that is none, on Linux and elsewhere."""


def of(error: BaseException) -> int:
    """Return the exit code of an error."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, Unavailable) and _must_be_mended(error):
        return COULD_NOT_RUN
    return COULD_NOT_RUN if isinstance(error, (*AS_ASKED, CycloptsError)) or is_of_a_path(error) else FOUND


def is_of_a_path(error: BaseException) -> bool:
    """Whether it is what the system says about a path that somebody has written on the command line."""
    return isinstance(error, OF_FILES) or (isinstance(error, OSError) and error.errno in OF_PATHS)


def _must_be_mended(error: Unavailable) -> bool:
    """Whether a person must do something first: starting again would not help."""
    facts = error.facts
    return facts.get("retryable") is False or facts.get("errno") in OF_PATHS or _nobody_knows(error)


def _nobody_knows(error: BaseException | None) -> bool:
    """Whether it comes from a host name that is none; a run that is under way waits for the name server instead."""
    while error is not None:
        if any(text in str(error) for text in UNKNOWN):
            return True
        error = error.__cause__ or error.__context__
    return False
