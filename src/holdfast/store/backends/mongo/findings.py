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

__all__ = ("OLDEST", "Findings", "admit", "find_out", "refuse", "weigh")

OLDEST: Final = (5, 0)
"""The oldest server that reads one point in time outside a transaction (read concern `snapshot`)."""

NOT_ALLOWED: Final = (13, 59, 115, 8000)
"""What a server answers that does not tell a user: a monitor's right, or a command that a hosted one leaves out."""

TESTING: Final = "is let through by test_server=1: nothing is promised, not even that a commit is atomic"

Answer = Mapping[str, Any]


class Findings(Struct, frozen=True):
    """What a commit survives on this server, and what weakens a promise, a sentence each."""

    durability: Durability
    warnings: tuple[str, ...]


def refuse(url: str, hello: Answer, version: str) -> None:
    """Return if the server can keep the promises; raises Unavailable: standalone, a secondary, too old."""
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
    if hello.get("secondary"):
        raise Unavailable(
            f"{url} is a replica that may only be read; name all members, and leave out directConnection",
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


async def admit(connection: Connection, *, test_server: bool) -> Answer:
    """Return what the server says of itself; raises Unavailable where it cannot keep the promises."""
    admin = connection.client.admin
    hello = await admin.command("hello")
    if not test_server:
        version = (await admin.command("buildInfo")).get("version")
        refuse(connection.url.text, hello, str(version))
    return hello


async def find_out(connection: Connection, hello: Answer, *, test_server: bool) -> Findings:
    """Ask what a commit survives, once the collections are there to be asked about."""
    url = connection.url.text
    if test_server:
        return Findings(Durability.NONE, (f"{url} {TESTING}",))
    config = await _allowed(connection, "admin", {"replSetGetConfig": 1})
    stats = await _allowed(connection, connection.database.name, {"collStats": "namespaces"})
    return weigh(url, hello, config.get("config", {}), stats)


async def _allowed(connection: Connection, database: str, command: dict[str, Any]) -> Answer:
    """Return the answer to a command, nothing where the user may not give it."""
    try:
        return await connection.client[database].command(command)
    except OperationFailure as error:
        if error.code not in NOT_ALLOWED:
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
