"""The verdict on a run's wrappers: every replica is its primary in the end, and was some state of it at any time.

What a promotion left behind is looked up in what the old primary still holds, which nobody else can read any more.
"""

from base64 import b64decode
from typing import Any, Final

import msgspec

from holdfast.errors import Diverged
from holdfast.store import CommitId, Store
from holdfast.store.wrappers.replicated.records import ORDER
from holdfast.testing.simulation.running import Running
from holdfast.testing.simulation.sparing import SPARE
from holdfast.testing.simulation.stores import THIRD

__all__ = ("Mirrored", "mirrored", "readable")

LONGEST: Final = 300.0
SEALED: Final = "holdfast.encrypted"


class Mirrored:
    """What was found: `wrong` in words, and which commits are `missing` since the promotion."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self.missing: frozenset[CommitId] = frozenset()


async def mirrored(running: Running) -> Mirrored:
    """Return what is wrong with a run's replicas, once everything answers and they had the time to catch up."""
    found, stores = Mirrored(), running.stores
    order, wrong = await _level(running)
    found.wrong += wrong
    if running.server.lost:  # then the replica may hold what nobody knows of, and says so
        return found
    if not stores.promoted:
        found.wrong += _told(stores.annals.parted(order, stores.servers[SPARE].views))
        return found
    found.wrong += _told(stores.annals.parted(order, stores.servers[THIRD].views))
    old = await _old(running)
    found.wrong += _told(stores.before.parted(old, stores.servers[SPARE].views))
    found.missing = frozenset(old[running.operator.at :])
    found.wrong += _unsaid(running, found.missing)
    return found


async def _level(running: Running) -> tuple[list[CommitId], list[str]]:
    """Have the replica follow, compare it, and return the primary's order with what is wrong."""
    async with running.stores.replicated(running.judge()) as store:
        await store.caught_up(seconds=LONGEST)
        [seen], [follower] = await store.verify(), store.followers
        order = [event.version async for event in store.inner.read(ORDER)]
        parted = running.server.lost or running.stores.replica.lost
        if seen.equal or (parted and isinstance(follower.error, Diverged)):
            return order, []
        return order, _told([f"in the end it is not equal: {seen.error or seen.differences[0]}"])


async def _old(running: Running) -> list[CommitId]:
    left = running.operator.left
    process = running.judge() if left is None else running.judge_of(left, "finder")
    async with running.stores.old(process) as store:
        return [event.version async for event in store.read(ORDER)]


def _unsaid(running: Running, missing: frozenset[CommitId]) -> list[str]:
    """Return what is missing since the promotion without the promotion having said so."""
    promotion = running.operator.promotion
    loss = promotion.loss if promotion is not None else None
    if loss is None:
        return _told([f"nothing was said of {len(missing)} commits that are missing"] if missing else [])
    return _told(
        [f"{loss.at_least} are missing, it was said, of {len(missing)}"]
        if loss.at_least > len(missing)
        else []
    )


def _told(lines: list[str]) -> list[str]:
    return [f"P2: replica: {line}" for line in lines]


async def readable(store: Store) -> list[str]:
    """Return what whoever reads the bare store of an encrypted namespace can read of the portfolio."""
    async with store:
        names = await store.names()
        values = [(name, r.value) for name in names.entities async for r in store.scan(name)]
        values += [(name, e.value) for name in names.streams async for e in store.read(name)]
    plain = [name for name, value in values if not name.startswith("holdfast.") and not _is_sealed(value)]
    return [f"P2: {name} is not encrypted" for name in sorted(set(plain))]


def _is_sealed(value: Any) -> bool:
    """Whether a value says that it is encrypted, and what it holds is no document."""
    if not isinstance(value, dict) or SEALED not in value:
        return False
    try:
        msgspec.json.decode(b64decode(value["data"]))
    except (msgspec.DecodeError, UnicodeDecodeError):  # the latter for what begins like a text
        return True
    return False
