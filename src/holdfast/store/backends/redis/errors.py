"""What errors of the driver and of a server mean: each its own sentence, and whether a commit may have happened."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from holdfast.errors import Corrupt, HoldfastError, StoreFull, Unavailable, Unsupported, WentBack
from holdfast.store.backends.network import REPEAT

__all__ = (
    "Again",
    "Broken",
    "Moved",
    "code_of",
    "cut",
    "explain",
    "is_passing",
    "moved_of",
    "shaped",
    "unasked",
)


class Broken(Exception):
    """A connection is gone or did not answer in time; `sent` says whether the request had left by then.

    `begun`: one of its commands was answered, and the error speaks of another.
    """

    def __init__(self, error: BaseException, *, sent: bool, begun: bool = False) -> None:
        super().__init__(str(error))
        self.error = error
        self.sent = sent
        self.begun = begun


class Moved(Struct, frozen=True):
    """Where a cluster says that a slot is: for good, or (`ask`) for this one request."""

    host: str
    port: int
    ask: bool


class Again(Exception):
    """The request was certainly not carried out, and may be soon: `error` says why, `at_once` where to go is known."""

    def __init__(self, error: BaseException, *, at_once: bool = False, ask: Moved | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.at_once = at_once
        self.ask = ask


PASSING: Final[Mapping[str, str]] = {
    "LOADING": "is still loading its data",
    "MASTERDOWN": "is a replica that has lost its master",
    "CLUSTERDOWN": "belongs to a cluster that is down, or has no owner for this slot now",
    "TRYAGAIN": "is moving this slot to another node",
    "BUSY": "is busy with somebody's long script",
    "MAXCLIENTS": "has its maximum of clients connected (see maxclients)",
    "NOREPLICAS": "has too few replicas connected (see min-replicas-to-write)",
    "MOVED": "does not have this slot, and where it is changed too often",
    "ASK": "is moving this slot, and where it is changed too often",
}
"""Errors of a moment: nothing was carried out, and the same request may succeed soon."""

MENDED: Final[Mapping[str, str]] = {
    "NOAUTH": "asks for a password: put it into the URL, or name it by password_env or password_file",
    "WRONGPASS": "refuses the user name or password: compare them with the server's (ACL LIST, requirepass)",
    "NOPASSWORD": "has no password for this user, and the URL gives one: take it out of the URL, or set one there "
    "(requirepass, or ACL SETUSER)",
    "NOPERM": "does not let this user do that: the user needs +@read +@write +@scripting and ~holdfast:*",
    "READONLY": "is a read-only replica: give the URL of the master, or of the sentinels",
    "MISCONF": "cannot write its own disk and refuses all writes: look at the server's log and disk",
    "DENIED": "runs in protected mode and refuses connections from other hosts: set a password there",
    "NODB": "has no such database: the number after the last / of the URL is beyond its `databases`",
    "NOCLUSTER": "has only database 0, as every cluster: leave the number out of the URL",
}
"""Errors that a person must mend first."""


def code_of(error: BaseException) -> str:
    """Return the code of a server's error (`OOM`, `LOADING`, …), "" for what is none of the server's."""
    text = str(error)
    for pattern, code in _PHRASES.items():
        if re.search(pattern, text, re.IGNORECASE):
            return code
    code = getattr(error, "status_code", None) or _KINDS.get(type(error).__name__, "")
    return str(code) if code else _first_word(text)


def is_passing(error: BaseException) -> bool:
    """Whether the server said that it carried nothing out, and may do so soon."""
    return code_of(error) in PASSING


def moved_of(error: BaseException) -> Moved | None:
    """Return where a MOVED or ASK error points, None for other errors."""
    if code_of(error) not in {"MOVED", "ASK"}:
        return None
    host, port = getattr(error, "host", ""), getattr(error, "port", 0)
    return Moved(str(host), int(port), code_of(error) == "ASK")


def cut(error: BaseException, where: str, *, unknown: bool) -> HoldfastError:
    """Return what to raise for a connection that was lost, whatever the server said at last."""
    return _of_connection(error, where, unknown=unknown)


def explain(error: BaseException, where: str, *, unknown: bool) -> HoldfastError:
    """Return what to raise for an error at a server; `unknown` where a commit may have been carried out by it."""
    if isinstance(error, HoldfastError):
        return error
    code = code_of(error)
    if code in _SPECIAL:
        return _SPECIAL[code](str(error), where)
    if code in MENDED:
        return Unavailable(f"{where} {MENDED[code]}", unknown=False, retryable=False, code=code)
    if code in PASSING:
        return Unavailable(f"{where} {PASSING[code]}", unknown=False, retryable=True, code=code)
    return _of_connection(error, where, unknown=unknown)


def _of_connection(error: BaseException, where: str, *, unknown: bool) -> HoldfastError:
    told = REPEAT if unknown else ""
    root = next((one for one in _chain(error) if type(one).__name__ in _ROOTS), error)
    reason, retryable = _ROOTS.get(type(root).__name__, (f"failed: {error}", True))
    if "closed by server" in str(error):
        reason = "closed the connection: is it a Redis server?"
    if type(root).__name__ == "gaierror":
        reason = f"cannot be found: the host name is unknown here ({root})"
    if reason == _LATE and where.startswith("rediss"):
        reason += " (a port that does not speak TLS does not answer it)"
    return Unavailable(f"{where} {reason}{told}", unknown=unknown, retryable=retryable, code=code_of(error))


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


_LATE: Final = "did not answer in time"

_ROOTS: Final[Mapping[str, tuple[str, bool]]] = {
    "gaierror": ("cannot be found: the host name is unknown here", True),
    "SSLCertVerificationError": (
        "shows a TLS certificate that is not trusted here: give its authority as ?tls_ca=, and the host name it names",
        False,
    ),
    "SSLError": ("does not speak TLS as asked: compare redis:// and rediss://, and its port", False),
    "ConnectionRefusedError": ("refuses the connection: no server listens on that port", True),
    "FileNotFoundError": ("has no such socket: compare the path with the server's `unixsocket`", True),
    "PermissionError": ("may not be connected to by this user: look at the socket's permissions", False),
    "TimeoutError": (_LATE, True),
    "ConnectionResetError": ("cut the connection", True),
}

_KINDS: Final[Mapping[str, str]] = {
    "NoPermissionError": "NOPERM", "AuthenticationError": "WRONGPASS", "OutOfMemoryError": "OOM",
    "ReadOnlyError": "READONLY", "BusyLoadingError": "LOADING", "MovedError": "MOVED", "AskError": "ASK",
    "TryAgainError": "TRYAGAIN", "ClusterDownError": "CLUSTERDOWN", "MasterDownError": "MASTERDOWN",
    "NoScriptError": "NOSCRIPT", "AuthenticationWrongNumberOfArgsError": "WRONGPASS",
}  # fmt: skip

_PHRASES: Final[Mapping[str, str]] = {
    "max number of clients": "MAXCLIENTS",
    "called without any password configured": "NOPASSWORD",
    "DB index is out of range|invalid DB index": "NODB",
    "SELECT is not allowed in cluster mode": "NOCLUSTER",
    "read.?only replica": "READONLY",
    "^-?OOM |command not allowed when used memory": "OOM",
    "unknown command '?EVAL": "NOSCRIPTING",
    "Script killed by user": "BUSY",
}


def _first_word(text: str) -> str:
    found = re.match(r"-?([A-Z]{3,})\b", text)
    return found[1] if found else ""


def _full(text: str, where: str) -> HoldfastError:
    return StoreFull(
        f"{where} has reached its maxmemory and takes no new work; nothing was changed: raise it, or delete something",
        url=where, unknown=False,
    )  # fmt: skip


def _went_back(text: str, where: str) -> HoldfastError:
    found = re.search(r"WENTBACK ([0-9]{1,19})\b", text)
    return WentBack(
        f"{where} has lost acknowledged commits, or is another one than before: it was emptied, a replica took over, "
        "or a backup was restored. Nothing was changed: compare with the exchange",
        found=int(found[1]) if found else 0,
    )


def _wrong_type(text: str, where: str) -> HoldfastError:
    reason = "a key of the namespace is not of the type that Holdfast made it"
    return Corrupt(
        f"{where}: {reason} ({text}); nothing was changed: find who else writes there",
        key=None,
        reason=reason,
    )


def _no_scripting(text: str, where: str) -> HoldfastError:
    return Unsupported(f"{where} has no scripting (EVAL), which a commit is made of: use another server")


_SPECIAL: Final[dict[str, Callable[[str, str], HoldfastError]]] = {
    "OOM": _full,
    "WENTBACK": _went_back,
    "WRONGTYPE": _wrong_type,
    "NOSCRIPTING": _no_scripting,
}


def shaped(answer: Any, types: tuple[type, ...], where: str) -> list[Any]:
    """Return an answer that is a list of these types; raises Corrupt for any other: nobody knows what it says."""
    if type(answer) is not list or tuple(map(type, answer)) != types:
        raise unasked(answer, where)
    return answer


def unasked(answer: Any, where: str) -> Corrupt:
    """Return the error for an answer that is none to what was asked."""
    reason = f"the server's answer makes no sense: {answer!r:.200}"
    return Corrupt(f"{where}: {reason}", key=None, reason=reason)
