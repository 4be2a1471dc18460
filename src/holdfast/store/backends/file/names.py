"""File names for keys: readable, reversible, harmless, and never the same for two keys.

Plain characters stay, all others become `%XX` of their UTF-8 bytes, so `..` is `%2E.`, a NUL or a slash
cannot occur, and NFC and NFD differ. Names that Windows reserves (`CON`) get their first letter encoded. What
is too long is cut and ends in `~` and a hash; `~` itself is never plain, so such a name meets no other.

`BTCUSDT` should be `BTCUSDT.json`, and `btcusdt` should be `btcusdt.json`; on a disk that folds case these
are one file. A rule without memory must spoil one of the two for everybody. A `Namer` remembers instead which
names are taken in a folder: whoever comes second to a folded name gets the `~` hash. Which key a file holds
is never concluded from its name: it is stored inside.
"""

import hashlib
import re
from typing import Final
from urllib.parse import unquote

__all__ = ("MAX_NAME_BYTES", "Namer", "decoded", "hashed", "plain", "stable")

MAX_NAME_BYTES: Final = 240  # of 255, so that ".json" and a temporary name still fit

_PLAIN: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.,+=@")
_AS_IT_IS: Final = re.compile(r"[\w\-,+=@](?:[\w\-.,+=@]{,238}[\w\-,+=@])?", re.ASCII).fullmatch
_RESERVED: Final = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
)


def plain(name: str) -> str:
    """Return the file name of `name` where no other folds to it."""
    if _AS_IT_IS(name) and name.partition(".")[0].lower() not in _RESERVED:
        return name
    encoded = "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in name.encode())
    if encoded[0] == "." or encoded.partition(".")[0].lower() in _RESERVED:
        encoded = f"%{ord(encoded[0]):02X}{encoded[1:]}"
    if encoded[-1] == ".":
        encoded = f"{encoded[:-1]}%2E"
    return encoded if len(encoded) <= MAX_NAME_BYTES else _with_hash(encoded, name)


def hashed(name: str) -> str:
    """Return the file name of `name` that meets no other, also where case is folded."""
    return _with_hash(plain(name).partition("~")[0], name)


def stable(name: str) -> str:
    """Return a file name that depends on nothing but `name`: hashed where it has capital letters."""
    return plain(name) if name == name.lower() else hashed(name)


def decoded(file_name: str) -> str | None:
    """Return the name that a plain file name stands for, None where a hash hides it or it is no such name."""
    try:
        name = unquote(file_name, errors="strict")
        return name if name and plain(name) == file_name else None
    except UnicodeError:
        return None


def _with_hash(encoded: str, name: str) -> str:
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{encoded[: MAX_NAME_BYTES - 17]}~{digest}"


class Namer:
    """The file names in use in one folder: each name has one, and no two are the same when case is folded."""

    def __init__(self) -> None:
        self._given: dict[str, str] = {}
        self._taken: set[str] = set()

    def claim(self, name: str, file_name: str) -> bool:
        """Record that `name` is stored as `file_name`; False if it cannot be, or is stored elsewhere."""
        if name in self._given:
            return self._given[name] == file_name
        if file_name != plain(name) and file_name != hashed(name):
            return False
        self._given[name] = file_name
        self._taken.add(file_name.lower())
        return True

    def reserve(self, file_name: str) -> None:
        """Keep `file_name` from being given to anyone: something else is there."""
        self._taken.add(file_name.lower())

    def get(self, name: str) -> str:
        """Return the file name of `name`, giving it one if it has none."""
        if name not in self._given:
            file_name = plain(name)
            if file_name.lower() in self._taken:
                file_name = hashed(name)
            self._given[name] = file_name
            self._taken.add(file_name.lower())
        return self._given[name]

    def find(self, name: str) -> str | None:
        """Return the file name that `name` has, None where it has none."""
        return self._given.get(name)

    def free(self, name: str) -> None:
        """Forget `name`."""
        file_name = self._given.pop(name, None)
        if file_name is not None:
            self._taken.discard(file_name.lower())
