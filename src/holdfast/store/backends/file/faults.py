"""What the operating system says, as Holdfast's typed errors that say what to do."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from holdfast.errors import StoreError, StoreFull, Unavailable

__all__ = ("NO_ROOM", "UNDECODABLE", "explain", "explained")

NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})

UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What the decoder raises for bytes that are damaged: no JSON, no text, or nested without an end."""

_ADVICE: Final = {
    errno.EROFS: "the file system is read-only; remount it, or open the store with ?mode=ro",
    errno.EACCES: "this user has no permission; run as the owner of the folder, or mend its rights",
    errno.EPERM: "this user has no permission; run as the owner of the folder, or mend its rights",
    errno.ENOENT: "a folder on the way is not there, or none can be made in it; name another place",
    errno.ENOTDIR: "a part of the path is not a folder; move that file away, or choose another folder",
    errno.EISDIR: "there is a folder where a file should be; move it away",
    errno.ELOOP: "there is a symbolic link, and links are not followed here; replace it by what it points to",
    errno.EMFILE: "this process has too many files open; raise `ulimit -n`",
    errno.EIO: "the disk failed; check it before the next start",
}


def explain(error: OSError, path: str) -> StoreError:
    """Return the typed error for what the system refused at `path`, with what a person can do about it."""
    code = error.errno or 0
    where = error.filename if isinstance(error.filename, str) else path
    if code in NO_ROOM:
        message = f"{where}: no room, quota or inodes left; free some. Nothing acknowledged was lost"
        return StoreFull(message, path=where, errno=code)
    said = error.strerror or str(error)
    advice = f"{_ADVICE[code]} ({said})" if code in _ADVICE else said
    return Unavailable(f"{where}: {advice}", path=where, errno=code, unknown=False)


@contextmanager
def explained(path: str) -> Iterator[None]:
    """Turn an OSError of the block into the typed error that explains it."""
    try:
        yield
    except OSError as error:
        raise explain(error, path) from error
