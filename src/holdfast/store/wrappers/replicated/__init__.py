"""`?replica=URL`: a primary whose replicas repeat every commit, in order, whatever dies meanwhile.

    store = replicated(open_store("postgresql://db/bot"), [open_store("redis://spare/0")])
    store = open_store("postgresql://db/bot?replica=redis%3A%2F%2Fspare%2F0&replica_2=file%3A.%2Fspare")

Commits return when the primary has them. What a replica is owed is recorded there in the same commit, so that it
catches up after any outage. `promote` makes a replica the primary, `unreplicate` ends it all.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from holdfast.errors import InvalidOption
from holdfast.store.base import Store
from holdfast.store.url import open_store, parse
from holdfast.store.wrappers.replicated.looking import Seen, look
from holdfast.store.wrappers.replicated.promotion import Promotion, promote
from holdfast.store.wrappers.replicated.records import Loss
from holdfast.store.wrappers.replicated.status import Lag, Status, status
from holdfast.store.wrappers.replicated.store import Replicated
from holdfast.store.wrappers.replicated.upkeep import accept_loss, forget, unreplicate
from holdfast.store.wrappers.replicated.verifying import Verified
from holdfast.system import Clock, Ids, SystemClock, system_ids

__all__ = (
    "POINTS", "Lag", "Loss", "Promotion", "Replicated", "Seen", "Status", "Verified", "accept_loss", "forget",
    "from_options", "look", "promote", "replicated", "status", "unreplicate",
)  # fmt: skip

POINTS: Final = (
    "replicated.acknowledged",
    "replicated.applied",
    "replicated.claimed",
    "replicated.committed",
    "replicated.copied",
    "replicated.drained",
    "replicated.enabled",
    "replicated.fenced",
    "replicated.promoted",
    "replicated.registered",
    "replicated.seeded",
    "replicated.trimmed",
)
"""Every instant of replication that `holdfast.points.reached` is told of."""


def replicated(
    primary: Store,
    replicas: Sequence[Store],
    *,
    clock: Clock | None = None,
    ids: Ids = system_ids,
    poll: float = 1.0,
) -> Replicated:
    """Return the store of `primary`, with `replicas` that follow it; it opens and closes all of them.

    Each replica must be an empty namespace, or one that follows this primary already. `poll` is how often (s) a
    replica is brought up to date with what other processes commit; what this one commits it follows at once.
    """
    return Replicated(primary, replicas, clock=clock or SystemClock(), ids=ids, poll=poll)


def from_options(inner: Store, options: Mapping[str, str], *, clock: Clock, ids: Ids) -> Replicated:
    """Return the store that `?replica=URL&replica_2=URL` asks for; a replica has the primary's namespace by default."""
    numbered = {}
    for name, text in options.items():
        _, _, number = name.partition("_")
        if number and not (number.isascii() and number.isdigit() and int(number) > 1):
            raise InvalidOption(
                f"unknown option {name!r} of {inner.url}: write replica, replica_2, …", option=name
            )
        numbered[int(number or 1)] = text
    replicas = [_replica(inner, text, clock=clock, ids=ids) for _, text in sorted(numbered.items())]
    return Replicated(inner, replicas, clock=clock, ids=ids)


def _replica(inner: Store, text: str, *, clock: Clock, ids: Ids) -> Store:
    url = parse(text)
    if any(name == "replica" or name.startswith("replica_") for name in url.options):
        raise InvalidOption(f"the replica {url.text!r} names replicas itself: name them all at the primary")
    chosen = None if "namespace=" in text else inner.namespace
    store = open_store(text, namespace=chosen, clock=clock, ids=ids)
    if (store.url, store.namespace) == (inner.url, inner.namespace) and store.url != "memory:":
        raise InvalidOption(f"{inner.url} is named as its own replica", url=inner.url)
    return store
