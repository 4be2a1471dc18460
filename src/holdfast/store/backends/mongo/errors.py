"""The driver's exceptions as our own, each case its own sentence: what, where, what to do."""

from collections.abc import Mapping
from typing import Any, Final

from bson.errors import BSONError
from msgspec import Struct
from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    DocumentTooLarge,
    ExecutionTimeout,
    InvalidOperation,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from holdfast.errors import Corrupt, InvalidValue, NotOpen, StoreError, StoreFull, Unavailable
from holdfast.store.backends.network import REPEAT

__all__ = ("REMEDY", "failure", "may_pass", "too_early", "transient")

REMEDY: Final = (
    "start it as `mongod --replSet rs0` and run `rs.initiate()` once in mongosh; one node is enough"
)

STANDALONE: Final = 20
SNAPSHOT_UNAVAILABLE: Final = 246
TOO_LARGE: Final = (10334, 17419, 17420)
"""BSONObjectTooLarge, and an update that makes a document too large."""


class Case(Struct, frozen=True):
    """What a server's error code means: `says` what and what to do, and whether time alone may mend it."""

    says: str
    retryable: bool = False
    kind: type[StoreError] = Unavailable


WRONG_PASSWORD: Final = Case(
    "refuses the user or password; check both, and `authSource`, the database that knows the user"
)
NOT_PRIMARY: Final = Case("is no primary (any more); another member takes over, wait for it", retryable=True)
STOPPING: Final = Case("is shutting down or changing its role; wait for it", retryable=True)
SLOW: Final = Case("took longer than it was given (read_timeout, commit_timeout)", retryable=True)
UNREPLICATED: Final = Case("does not reach a majority of its members; bring the others back", retryable=True)
BUSY: Final = Case(
    "has the namespace locked by a commit of another process; a process that died in one keeps it until "
    "the server ends its transaction (transactionLifetimeLimitSeconds, 60 s)",
    retryable=True,
)
OUTSIDE: Final = Case(
    "holds documents that Holdfast did not write: a number or name is taken twice; run `holdfast store verify`",
    kind=Corrupt,
)

CASES: Final[Mapping[int, Case]] = {
    11: WRONG_PASSWORD,
    13: Case("does not allow the user to do this; grant `readWrite` on the database"),
    18: WRONG_PASSWORD,
    STANDALONE: Case(f"is a standalone server, which has no transactions; {REMEDY}"),
    24: BUSY,
    26: Case("has lost a collection of this store while it was open; restore it, then open the store again"),
    50: SLOW,
    64: UNREPLICATED,
    79: Case("does not know the write concern `majority`; it is no replica set of MongoDB"),
    85: Case("has an index of another shape under our name; drop it, then open the store again"),
    86: Case("has an index of another shape under our name; drop it, then open the store again"),
    89: SLOW,
    91: STOPPING,
    100: Case("has too few members that hold data for a majority; add some, or bring them back"),
    112: BUSY,
    121: Case("has a validator on one of our collections that refuses a document; remove it"),
    134: UNREPLICATED,
    146: Case("ran out of memory for this; give it more, or commit less at once", retryable=True),
    148: Case("has read concern `majority` switched off (enableMajorityReadConcern); switch it on"),
    189: NOT_PRIMARY,
    225: BUSY,
    239: Case("no longer has the point in time that was being read; read again", retryable=True),
    SNAPSHOT_UNAVAILABLE: Case(
        "has the point in time that was asked for not yet or no longer; read again", retryable=True
    ),
    251: Case("has ended the transaction; commit again", retryable=True),
    262: SLOW,
    263: Case("cannot do this in a transaction; MongoDB 5.0 or newer is needed"),
    264: Case("has too many files open; raise its limit (ulimit -n)", retryable=True),
    290: Case("ended a transaction that took longer than transactionLifetimeLimitSeconds", retryable=True),
    334: Case("does not offer the URL's authMechanism; choose one that it offers"),
    371: Case("blocks users' writes now (setUserWriteBlockMode); wait until it allows them", retryable=True),
    388: Case("cannot hold so large a commit in its cache; make smaller commits, or give it more memory"),
    391: WRONG_PASSWORD,
    402: Case("is out of a resource; give it more", retryable=True),
    8000: WRONG_PASSWORD,
    10058: NOT_PRIMARY,
    10107: NOT_PRIMARY,
    11000: OUTSIDE,
    11001: OUTSIDE,
    11600: STOPPING,
    11602: STOPPING,
    13388: STOPPING,
    13435: Case("is a replica that may only be read; name the primary, or all members", retryable=True),
    13436: Case("is recovering and cannot be used yet; wait for it", retryable=True),
    14031: Case("has no room left on its disk; make room", kind=StoreFull),
    31082: STOPPING,
}
"""What we know of the server's error codes (src/mongo/base/error_codes.yml of its source)."""

UNKNOWN_HOST: Final = "has a host name that is not known here; check it, and the name server"
REFUSED: Final = "refuses connections: nothing listens there; start mongod, or check the port"
NO_PRIMARY: Final = "has no primary now: an election is under way, or most members are gone"
OTHER_SET: Final = "is a member of another replica set than the URL's replicaSet says"
NO_SET: Final = (
    "has no member of the replica set that the URL's replicaSet names; check it, or run rs.initiate()"
)
NO_TRUST: Final = "shows a certificate that is not trusted; name its authority with tlsCAFile"

SELECTION: Final[tuple[tuple[str, str, bool], ...]] = (
    ("CERTIFICATE_VERIFY_FAILED", NO_TRUST, False),
    ("SSL", "cannot be spoken to by TLS; check tls, tlsCAFile and the port", False),
    ("belongs to a set named", OTHER_SET, False),
    ("available for replica set name", NO_SET, False),
    ("wire version", "is older than the driver can speak to; MongoDB 5.0 or newer is needed", False),
    ("Name or service not known", UNKNOWN_HOST, True),
    ("nodename nor servname", UNKNOWN_HOST, True),
    ("No address associated", UNKNOWN_HOST, True),
    ("name resolution", "has a host name that could not be looked up; check the name server", True),
    ("Connect call failed", REFUSED, True),
    ("Connection refused", REFUSED, True),
    ("No primary", NO_PRIMARY, True),
    ("No replica set members match", NO_PRIMARY, True),
)
"""What the driver says when it finds no server to use, as it says it; the first that is found counts."""


def failure(error: BaseException, url: str, *, unknown: bool = False) -> StoreError:
    """Return what to raise for a driver's exception; `unknown` says that the commit may have happened.

    Raise it `from` the exception.
    """
    if isinstance(error, BSONError) and not isinstance(error, DocumentTooLarge):
        return Corrupt(f"{url} answered what is no BSON: {error}", key=None, reason="not BSON")
    if isinstance(error, DocumentTooLarge) or _code(error) in TOO_LARGE:
        return InvalidValue(
            f"{url} cannot keep so large a document (16 MiB)", path="$", reason="is too large"
        )
    if isinstance(error, InvalidOperation):
        return NotOpen(f"{url} was closed while it was used", url=url)
    case = _case(error)
    says = f"{url} {case.says}"
    if case.kind is Corrupt:
        return Corrupt(says, key=None, reason=case.says)
    if unknown:
        return Unavailable(f"{says}{REPEAT}", unknown=True, retryable=True)
    if case.kind is StoreFull:
        return StoreFull(says, url=url)
    return Unavailable(says, unknown=False, retryable=case.retryable)


def transient(error: PyMongoError) -> bool:
    """Whether the whole transaction may be tried again: it certainly did not happen, or its id will tell."""
    labels = ("TransientTransactionError", "UnknownTransactionCommitResult")
    return isinstance(error, ConnectionFailure) or any(map(error.has_error_label, labels))


def too_early(error: BaseException) -> bool:
    """Whether a read came before what was just made (a collection) can be seen in a snapshot: read again."""
    return isinstance(error, OperationFailure) and error.code == SNAPSHOT_UNAVAILABLE


def may_pass(error: PyMongoError) -> bool:
    """Whether waiting a little may mend it: not a wrong certificate, which every retry would show again."""
    return not isinstance(error, ServerSelectionTimeoutError) or _case(error).retryable


def _case(error: BaseException) -> Case:
    if isinstance(error, ServerSelectionTimeoutError):
        return _selection(str(error))
    if isinstance(error, NotPrimaryError):
        return CASES.get(_code(error), NOT_PRIMARY)
    if isinstance(error, OperationFailure):
        return CASES.get(_code(error), SLOW if isinstance(error, ExecutionTimeout) else _other(error))
    if isinstance(error, NetworkTimeout) or getattr(error, "timeout", False):
        return Case("did not answer in time (connect_timeout, read_timeout, commit_timeout)", retryable=True)
    if isinstance(error, ConnectionFailure) and "pool paused" in str(error):
        return Case(
            "cannot be reached: its last connection failed, and there is no new one yet", retryable=True
        )
    if isinstance(error, ConnectionFailure):
        return Case("cut the connection before it answered", retryable=True)
    if isinstance(error, ConfigurationError):
        return Case(f"cannot be used as the URL says: {error}", retryable="DNS" in str(error))
    return _other(error)


def _selection(text: str) -> Case:
    for part, says, retryable in SELECTION:
        if part in text:
            return Case(says, retryable=retryable)
    says = "cannot be reached: no server answered within connect_timeout; check the address, the port and tls"
    return Case(says, retryable=True)


def _other(error: BaseException) -> Case:
    return Case(f"failed with code {_code(error)}: {error}")


def _code(error: BaseException) -> int:
    """Return the server's code: a bulk write has it in its details."""
    details: Any = getattr(error, "details", None)
    if isinstance(details, Mapping):
        for each in (*(details.get("writeErrors") or ()), *(details.get("writeConcernErrors") or ())):
            return int(each.get("code") or 0)
        return int(details.get("code") or getattr(error, "code", None) or 0)
    return int(getattr(error, "code", None) or 0)
