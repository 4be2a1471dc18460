"""What PostgreSQL's errors mean: each its own sentence, whether to try again, whether a commit may have happened."""

import asyncio
import errno
import ssl
from collections.abc import Mapping
from typing import Any, Final

from holdfast.errors import Corrupt, HoldfastError, InvalidOption, StoreFull, Unavailable
from holdfast.store.backends.network import REPEAT

__all__ = (
    "NOT_GIVEN", "POOLER", "UNAUTHENTICATED", "NotNow", "certain", "explained", "foreign", "misused", "sqlstate",
    "unavailable",
)  # fmt: skip

POOLER: Final = (
    "does not keep a connection's settings or statements: connect to PostgreSQL itself and not through a "
    "pooler, or use one with session pooling and `ignore_startup_parameters`"
)
MEANINGS: Final[Mapping[str, tuple[bool, str]]] = {
    "08P01": (False, POOLER),
    "0A000": (False, "has other tables than this Holdfast knows, changed while it ran: open the store again"),
    "26000": (False, POOLER),
    "42P05": (False, POOLER),
    "25006": (False, "is read-only (a standby, or default_transaction_read_only is on): give the primary's address"),
    "28000": (False, "does not let this user in from here: see pg_hba.conf, and whether the role may log in"),
    "28P01": (False, "refuses the password: set the right one in the URL, by password_env or by password_file"),
    "3D000": (False, "has no such database: create it, or correct the URL"),
    "3F000": (False, "has lost the tables of this store while it ran: open it again"),
    "40001": (True, "could not serialise it; nothing was changed"),
    "40P01": (True, "ended it because of a deadlock; nothing was changed"),
    "42501": (False, "does not allow it: an admin can open the store once and then GRANT USAGE ON SCHEMA, and SELECT, "
                     "INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA, to this role"),
    "42883": (False, "has other tables than this Holdfast knows, changed while it ran: open the store again"),
    "42P01": (False, "has lost the tables of this store while it ran: open it again"),
    "53200": (True, "is out of memory; nothing was changed"),
    "53300": (True, "has too many connections: raise max_connections, or close some"),
    "53400": (False, "has reached a limit of its configuration"),
    "55P03": (True, "waited too long for another process's commit; nothing was changed"),
    "57014": (True, "cancelled it, by a person or a time-out; nothing was changed"),
    "57P01": (True, "is shut down by its administrator"),
    "57P02": (True, "crashed and is starting again"),
    "57P03": (True, "is starting up or shutting down"),
    "57P05": (True, "closed a connection that was idle"),
    "58030": (False, "cannot read or write its disk"),
}  # fmt: skip
UNAUTHENTICATED: Final = "28P01"
NOT_GIVEN: Final = (
    "wants a password: the URL gives none, and PGPASSWORD or ~/.pgpass none that fits. Set it there, or name "
    "where it is by password_env or password_file"
)
EAI_AGAIN: Final = -3
"""The resolver's "ask again later", as `socket` calls it."""


class NotNow(Exception):  # never leaves this backend
    """A connection was lost before its answer, or cut because it was `late`: what was asked for may be done."""

    def __init__(self, reason: str, *, late: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.late = late


def sqlstate(error: BaseException) -> str:
    """Return the SQLSTATE of a server's error; empty for any other, also those that the driver makes itself."""
    return str(getattr(error, "sqlstate", None) or "") if _severity(error) else ""


def certain(error: BaseException) -> bool:
    """Whether an error says that the statement was rolled back, and leaves its connection usable.

    FATAL and PANIC end the connection, and may have come behind the commit.
    """
    return _severity(error) == "ERROR"


def _severity(error: BaseException) -> str:
    return str(getattr(error, "severity_en", None) or getattr(error, "severity", None) or "")


def foreign(error: BaseException) -> bool:
    """Whether an error comes from the driver, the server or the network, and not from a fault of this program."""
    return isinstance(error, NotNow | OSError) or type(error).__module__.startswith("asyncpg")


def explained(error: BaseException, place: str, *, unknown: bool = False) -> HoldfastError:
    """Return the error of ours that says what an error of the driver means; raise it `from` that one.

    A fault of this program is raised as it is.
    """
    if not foreign(error):
        raise error
    if isinstance(error, NotNow) and error.__cause__ is not None and sqlstate(error.__cause__):
        error = error.__cause__
    state = sqlstate(error)
    if state == "53100":
        return StoreFull(
            f"{place}: the disk of the PostgreSQL server is full; nothing was changed. Make room there"
        )
    if state in {"XX001", "XX002"}:
        reason = f"PostgreSQL found damaged data: {error}"
        return Corrupt(f"{place}: {reason}. Restore it from a backup", key=None, reason=reason)
    if "unsupported startup parameter" in str(error):
        state = "08P01"
    retryable, meaning = MEANINGS.get(state) or _else(error, state)
    return unavailable(f"{place}: the PostgreSQL server {meaning}", retryable=retryable, unknown=unknown)


def unavailable(message: str, *, retryable: bool = True, unknown: bool = False) -> Unavailable:
    """Return an Unavailable that says whether the commit may have happened."""
    tail = REPEAT if unknown else ""
    return Unavailable(message + tail, retryable=retryable, unknown=unknown)


def _else(error: BaseException, state: str) -> tuple[bool, str]:
    if isinstance(error, NotNow):
        return True, error.reason
    if state:
        return state[:2] in {"08", "53", "57"}, f"says: {error} (SQLSTATE {state})"
    if type(error).__name__ == "gaierror":
        return getattr(
            error, "errno", None
        ) == EAI_AGAIN, "has a host name that nobody knows: correct the URL"
    if isinstance(error, ssl.SSLError):
        return False, f"and this machine do not agree on TLS ({_tls(error)}): see sslmode and sslrootcert"
    if isinstance(error, asyncio.TimeoutError | TimeoutError):
        return True, "does not answer in time"
    if f"[Errno {errno.ECONNREFUSED}]" in str(
        error
    ):  # of several addresses of a host it is no ConnectionRefusedError
        return True, "cannot be reached: nothing listens on that port"
    if "rejected SSL upgrade" in str(error):
        return False, "does not speak TLS, and sslmode asks for it: turn ssl on there, or sslmode off here"
    return True, f"cannot be reached ({error})" if isinstance(error, OSError) else "lost the connection"


def _tls(error: Any) -> str:
    return getattr(error, "verify_message", "") or str(error.reason or error)


def misused(error: BaseException, place: str) -> InvalidOption:
    """Return the error for options that the driver refuses."""
    return InvalidOption(f"{place}: {error}")
