"""What a server is, and what a commit on it survives: as it answers, not as hoped.

Commits wait for a majority with its journal flushed, whatever the server's defaults are, so these do not matter. What
matters is whether it has transactions, whether its storage is one that a power cut leaves, and how many members a
majority spans.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct
from pymongo.errors import OperationFailure

from holdfast.errors import Unavailable
from holdfast.store.backends.mongo.connection import Connection
from holdfast.store.backends.mongo.errors import REMEDY
from holdfast.store.base import Durability

__all__ = ("OLDEST", "Findings", "find_out", "refuse", "weigh")

OLDEST: Final = (5, 0)
"""The oldest server that reads one point in time outside a transaction (read concern `snapshot`)."""

TESTING: Final = "is let through by test_server=1: nothing is promised, not even that a commit is atomic"

Answer = Mapping[str, Any]


class Findings(Struct, frozen=True):
    """What a commit survives on this server, and what weakens a promise, a sentence each."""

    durability: Durability
    warnings: tuple[str, ...]


def refuse(url: str, hello: Answer, version: str) -> None:
    """Return if the server can keep the promises; raises Unavailable for a standalone or too old one."""
    if _number(version) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise Unavailable(
            f"{url} runs MongoDB {version}; {oldest} or newer is needed", unknown=False, retryable=False
        )
    if not hello.get("setName") and hello.get("msg") != "isdbgrid":
        raise Unavailable(
            f"{url} is a standalone server, which has no transactions; {REMEDY}",
            unknown=False,
            retryable=False,
        )


def weigh(url: str, hello: Answer, config: Answer, stats: Answer) -> Findings:
    """Return what a commit survives, of the answers to hello, replSetGetConfig and collStats ({} where not allowed)."""
    if hello.get("msg") == "isdbgrid":
        seen = f"{url} is a mongos: how many members hold a commit cannot be seen through it"
        return Findings(Durability.POWER_LOSS, (seen,))
    warnings = tuple(f"{url} {said}" for said in _weaknesses(hello, config, stats))
    if "inMemory" in stats:
        return Findings(Durability.NONE, warnings)
    hosts = len(hello.get("hosts") or ())  # those that can be elected, so those that vote and hold data
    return Findings(Durability.FAILOVER if hosts >= 2 else Durability.POWER_LOSS, warnings)


async def find_out(connection: Connection, *, test_server: bool) -> Findings:
    """Ask the server what it is; raises Unavailable where it cannot keep the promises."""
    url = connection.url.text
    admin = connection.client.admin
    hello = await admin.command("hello")
    if test_server and not hello.get("setName"):
        return Findings(Durability.NONE, (f"{url} {TESTING}",))
    refuse(url, hello, str((await admin.command("buildInfo")).get("version", "0")))
    config = await _allowed(connection, "admin", {"replSetGetConfig": 1})
    stats = await _allowed(connection, connection.database.name, {"collStats": "namespaces"})
    return weigh(url, hello, config.get("config", {}), stats)


async def _allowed(connection: Connection, database: str, command: dict[str, Any]) -> Answer:
    """Return the answer to a command, nothing where the user may not give it."""
    try:
        return await connection.client[database].command(command)
    except OperationFailure as error:
        if error.code not in (13, 26):  # a monitor's right; a collection that is still to be made
            raise
        return {}


def _weaknesses(hello: Answer, config: Answer, stats: Answer) -> list[str]:
    found = []
    if "inMemory" in stats:
        found.append("keeps its data in memory only: a commit does not survive the server's process")
    if config.get("writeConcernMajorityJournalDefault") is False:
        found.append(
            "has writeConcernMajorityJournalDefault=false: a read may see a commit that a power cut can still undo"
        )
    if hello.get("arbiters"):
        found.append("has an arbiter, which holds no data: with one member down, commits may wait for it")
    if len(hello.get("hosts") or ()) == 2 and not hello.get("arbiters"):
        found.append("has two members: with one down there is no primary, and no commit")
    return found


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
