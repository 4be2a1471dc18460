"""What SQLite says, as Holdfast's typed errors that say what to do."""

import sqlite3
from typing import Final

from holdfast.errors import Corrupt, StoreError, StoreFull, Unavailable

__all__ = ("SAID", "code_of", "explain", "usable_after")

SAID: Final = (sqlite3.Error, UnicodeDecodeError)
"""What comes of SQLite's refusals: also where it names a damaged table, and its message is no text."""

_PRIMARY: Final = 0xFF
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_PROTOCOL})
_HARMLESS: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL})
_BEFORE: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM})
"""What says for certain that a COMMIT did nothing."""

_ADVICE: Final = {
    sqlite3.SQLITE_READONLY: "it cannot be written: mend its rights or the mount, or open it with ?mode=ro",
    sqlite3.SQLITE_PERM: "this user has no permission; run as the owner of the file, or mend its rights",
    sqlite3.SQLITE_AUTH: "this user has no permission; run as the owner of the file, or mend its rights",
    sqlite3.SQLITE_CANTOPEN: "it, or its -wal or -shm file, cannot be opened: mend the rights of the file and its "
    "folder (a reader of a closed store needs to write the folder), or raise `ulimit -n`",
    sqlite3.SQLITE_IOERR: "the disk failed; check it. The connection was dropped and is made anew",
}


def code_of(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code; 0 where the error is not SQLite's own."""
    return getattr(error, "sqlite_errorcode", 0) & _PRIMARY


def usable_after(error: sqlite3.Error) -> bool:
    """Whether the connection can go on being used after a rollback."""
    return code_of(error) in _HARMLESS


def explain(error: sqlite3.Error | UnicodeDecodeError, path: str, *, committing: bool = False) -> StoreError:
    """Return the typed error for what SQLite refused; `committing`: it was COMMIT that failed.

    A full disk is certain: SQLite says so of a write, and the frame that would make the commit valid is the last.
    """
    if isinstance(error, UnicodeDecodeError):
        message = f"{path}: is damaged: SQLite says what is no text ({error}); it is left as it is. Restore a backup"
        return Corrupt(message, key=None, reason=str(error), path=path)
    code = code_of(error)
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if code == sqlite3.SQLITE_FULL:
        return StoreFull(f"{path}: no room left; free some. Nothing acknowledged was lost", path=path)
    if code in _DAMAGED:
        message = f"{path}: is damaged or no SQLite database ({name}: {error}); it is left as it is. Restore a backup"
        return Corrupt(message, key=None, reason=f"{name}: {error}", path=path)
    if code in _BUSY:
        return _busy(path, name)
    advice = _ADVICE.get(code, "SQLite refused it")
    message = f"{path}: {advice} ({name}: {error})"
    unknown = committing and code not in _BEFORE
    return Unavailable(message, path=path, unknown=unknown, retryable=code == sqlite3.SQLITE_IOERR, code=name)


def _busy(path: str, name: str) -> Unavailable:
    message = (
        f"{path}: another process holds the write lock for too long ({name}); nothing was changed. Find who has it "
        "(`fuser`), or allow more time with ?busy_timeout="
    )
    return Unavailable(message, path=path, unknown=False, retryable=True, code=name)
