"""What a server is found to be: may it be used at all, and what does an acknowledged commit survive on it?

`POWER_LOSS` is said only of `appendfsync always`: Redis then flushes before it answers, and ends itself where a flush
fails. With `everysec` it may answer before it has even written (while a flush is under way it puts the write off, for
up to two seconds), and with `no` a write that fails is answered too: so nothing is promised of them. Replication is
asynchronous, so FAILOVER is never said, whatever a commit waits for.
"""

import re
from typing import Any, Final

from msgspec import Struct

from holdfast.errors import HoldfastError, Unavailable, Unsupported
from holdfast.store.backends.redis.errors import unasked
from holdfast.store.base import Durability

__all__ = ("QUESTIONS", "Findings", "judge")

OLDEST: Final = (7, 0)
"""7.0: a script can ask whether its user may run a command, so that it is not stopped half-way."""

QUESTIONS: Final = (
    ("INFO",),
    ("CONFIG", "GET", "appendonly"),
    ("CONFIG", "GET", "appendfsync"),
    ("CONFIG", "GET", "no-appendfsync-on-rewrite"),
)
"""What a new connection is asked; `judge` takes the answers."""


class Findings(Struct, frozen=True):
    """What an acknowledged commit survives, what a person should know of that, the version; `primary`: no replica."""

    durability: Durability
    warnings: tuple[str, ...]
    version: tuple[int, int]
    primary: bool


def judge(answers: list[Any], where: str, *, watched: bool, read_only: bool = False) -> Findings:
    """Return what is found; raises Unavailable or Unsupported for a server that must not be used.

    `watched`: sentinels or a cluster may put a replica in its place; a replica is then looked past (`primary`). What
    would make commits unsafe is a warning only where nothing is committed (`read_only`).
    """
    if isinstance(answers[0], Exception):
        raise answers[0]
    if not isinstance(answers[0], bytes):
        raise unasked(answers[0], where)
    facts = _facts(answers[0])
    version = _version(facts, where)
    primary = facts.get("role") == "master"
    refused = [_replica(where)] if not primary and not watched else []
    refused += _evicting(facts, where)
    if refused and not read_only:
        raise refused[0]
    durability, warning = _durability(facts, answers[1:], where)
    warnings = [*map(str, refused), *([warning] if warning else [])]
    if watched or facts.get("connected_slaves", "0") != "0":
        warnings.append(
            f"{where} replicates asynchronously: after a failover acknowledged commits may be missing, which is then "
            "noticed and refused (WentBack); ?wait_replicas=1 makes that rarer"
        )
    return Findings(durability, tuple(warnings), version, primary)


def _facts(answer: bytes) -> dict[str, str]:
    pairs = (line.partition(":") for line in answer.decode(errors="replace").splitlines() if ":" in line)
    return {name: value.strip() for name, _, value in pairs}


def _version(facts: dict[str, str], where: str) -> tuple[int, int]:
    text = facts.get("valkey_version") or facts.get("redis_version", "")
    parts = re.match(r"([0-9]{1,6})\.([0-9]{1,6})(?![0-9])", text)
    version = (int(parts[1]), int(parts[2])) if parts else (0, 0)
    if version < OLDEST:
        message = (
            f"{where} runs Redis {text or 'of an unknown version'}; Holdfast needs 7.0 or newer: upgrade it"
        )
        raise Unsupported(message, found=text, needed="7.0")
    return version


def _replica(where: str) -> HoldfastError:
    message = f"{where} is a read-only replica: give the URL of the master, or of the sentinels"
    return Unavailable(message, unknown=False, retryable=False, code="READONLY")


def _evicting(facts: dict[str, str], where: str) -> list[HoldfastError]:
    policy = facts.get("maxmemory_policy", "noeviction")
    if not policy.startswith("allkeys-"):
        return []  # `volatile-…` evicts only keys that expire, and ours never do
    message = (
        f"{where} has maxmemory-policy {policy}: it throws records away when its memory is full. "
        "Set maxmemory-policy noeviction"
    )
    return [Unsupported(message, policy=policy)]


def _durability(facts: dict[str, str], answers: list[Any], where: str) -> tuple[Durability, str | None]:
    settings = [_setting(answer) for answer in answers]
    appendonly, appendfsync, skips = settings
    if facts.get("aof_enabled") == "0" or appendonly == "no":
        return Durability.NONE, (
            f"{where} has appendonly no: a crash of the server loses acknowledged commits. "
            "Set appendonly yes and appendfsync always"
        )
    if appendfsync is None or (facts.get("aof_enabled") != "1" and appendonly != "yes"):
        return Durability.NONE, (
            f"{where} does not tell its appendonly or appendfsync (maybe CONFIG is forbidden): nothing is promised "
            "of acknowledged commits after a crash of the server"
        )
    if appendfsync != "always":
        return Durability.NONE, (
            f"{where} has appendfsync {appendfsync}: a power loss, and at times a crash of the server, loses "
            "acknowledged commits of the last seconds. Set appendfsync always"
        )
    if skips != "no":
        return Durability.PROCESS_CRASH, (
            f"{where} has no-appendfsync-on-rewrite {skips or 'hidden'}: a power loss during a rewrite loses "
            "acknowledged commits. Set it to no"
        )
    return Durability.POWER_LOSS, None


def _setting(answer: Any) -> str | None:
    """Return the value in an answer of CONFIG GET; None where there is none."""
    if isinstance(answer, list) and len(answer) == 2 and isinstance(answer[1], bytes):
        return answer[1].decode(errors="replace")
    return None
