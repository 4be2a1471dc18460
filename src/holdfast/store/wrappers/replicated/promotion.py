"""Making a replica the primary: fence the old one, take what it still owes, begin a new epoch, and say what is missing.

Each step can be cut off anywhere and done again. The order is what makes it safe: nothing is acknowledged by the old
primary after the fence, so what is drained behind it is all there is.
"""

from typing import Final

from msgspec import Struct

from holdfast import points
from holdfast.errors import Conflict, Diverged, StoreMissing, Unavailable, Unsupported
from holdfast.store.base import ABSENT, Change, CommitId, Expect, Put, Record, Store
from holdfast.store.guard import GUARD
from holdfast.store.wrappers.replicated.follower import Follower
from holdfast.store.wrappers.replicated.members import Trimmed
from holdfast.store.wrappers.replicated.outbox import Outbox
from holdfast.store.wrappers.replicated.records import (
    LOSS,
    Aside,
    Fenced,
    Loss,
    Primary,
    Replica,
    document,
    loss_of,
    role_of,
)
from holdfast.store.wrappers.replicated.standing import Superseded
from holdfast.system import Clock, Ids, SystemClock, system_ids

__all__ = ("Promotion", "promote", "set_aside")

GONE: Final = "the old primary could not be reached"


class Promotion(Struct, frozen=True, kw_only=True):
    """A replica that became the primary of `epoch`, with the old one's commits up to `number`, the last of them `last`.

    `loss` is None where the old primary was reached, fenced, and gave all that it had acknowledged.
    """

    epoch: int
    number: int
    last: CommitId | None
    loss: Loss | None


async def promote(
    replica: Store,
    *,
    old: Store | None = None,
    complete: bool = False,
    clock: Clock | None = None,
    ids: Ids = system_ids,
) -> Promotion:
    """Make `replica` the primary; `old` is the primary of until now, and is fenced and drained if it answers.

    Both are bare stores, opened and closed here. Doing it again after a crash finishes it. What may be missing is
    recorded in the namespace: a run that opens it is told WentBack, halts, and compares with the exchange. Raises
    Unsupported for what is no whole replica, StoreInUse where a process still has the old one for itself; and with
    `complete`, Unavailable where something may be missing: then it is not promoted.
    """
    clock = clock or SystemClock()
    async with replica:
        [record] = await replica.get(GUARD)
        if record is None:
            raise Unsupported(f"{replica.url} is no replica: there is nothing to promote", url=replica.url)
        role = role_of(record.value)
        if isinstance(role, Primary):
            return await _done(replica, role)
        if not isinstance(role, Replica):
            raise Unsupported(
                f"{replica.url} is no replica any more ({type(role).__name__.lower()})", url=replica.url
            )
        if role.state != "following":
            raise _unfinished(replica)  # before anything is fenced for it
        reason = await _drained(replica, role, old, clock=clock, ids=ids)
        if complete and reason is not None:
            raise Unavailable(
                f"{replica.url} was not promoted: commits may be missing, for {reason}", unknown=False
            )
        return await _flipped(replica, reason, clock)


async def _drained(replica: Store, role: Replica, old: Store | None, *, clock: Clock, ids: Ids) -> str | None:
    """Fence the old primary and apply what it still owes; return why that could not be done, None where it was."""
    if old is None:
        return "the old primary was given up"
    try:
        await old.open()
    except (Unavailable, StoreMissing) as error:
        return f"{GONE}: {error}"
    try:
        outbox = await _fenced(replica, role, old, clock=clock, ids=ids)
        follower = Follower(outbox, replica, clock=clock, ids=ids)
        await follower.standing.reload()
        await follower.caught_up(acknowledging=False)
        points.reached("replicated.drained")
        inherited = await outbox.loss()
    except Unavailable as error:
        if await _answers(old):
            raise  # it is the replica that does not: nothing is given up for that
        return f"{GONE}: {error}"
    except (Diverged, Trimmed) as error:
        return str(error) or "the replica had gone back behind what its primary still kept"
    except Superseded:
        return None  # another process has just finished the same
    finally:
        await old.close()
    return (
        None if inherited is None else f"and the promotion before that lost commits, too: {inherited.reason}"
    )


async def _answers(store: Store) -> bool:
    try:
        await store.get(GUARD)
    except Unavailable:
        return False
    return True


async def _fenced(replica: Store, role: Replica, old: Store, *, clock: Clock, ids: Ids) -> Outbox:
    [record] = await old.get(GUARD)
    found = None if record is None else role_of(record.value)
    same = isinstance(found, Primary | Fenced) and (found.replication, found.epoch) == (
        role.replication,
        role.epoch,
    )
    if record is None or not isinstance(found, Primary | Fenced) or not same:
        raise Unsupported(f"{old.url} is not the primary of {replica.url}: nothing was changed", url=old.url)
    outbox = Outbox(old, clock=clock, ids=ids)
    outbox.take(found, record.version)
    if isinstance(found, Primary):
        await outbox.fence(replica.url, replica.namespace)
        [record] = await old.get(GUARD)
        found = None if record is None else role_of(record.value)
    if not isinstance(found, Fenced) or (found.url, found.namespace) != (replica.url, replica.namespace):
        raise Unsupported(f"{old.url} was fenced for another one: {found}", url=old.url)
    return outbox


async def _flipped(replica: Store, reason: str | None, clock: Clock) -> Promotion:
    [record] = await replica.get(GUARD)
    role = None if record is None else role_of(record.value)
    if isinstance(role, Primary):
        return await _done(replica, role)
    if record is None or not isinstance(role, Replica) or not role.is_whole:
        raise _unfinished(replica)
    loss = None
    if reason is not None:
        missing = max(role.known - role.number, 0)
        loss = Loss(number=role.number, last=role.last, at=role.at, at_least=missing, reason=reason)
    primary = Primary(
        replication=role.replication, epoch=role.epoch + 1, since=clock.now(), before_number=role.number,
        before_commit=role.last,
    )  # fmt: skip
    told: list[Change] = [] if loss is None else [Put(LOSS, document(loss), ABSENT)]
    try:
        await replica.commit([Put(GUARD, document(primary), record.version), *told])
    except Conflict as error:
        if error.key != GUARD:
            raise
        return await _flipped(
            replica, reason, clock
        )  # the old primary lives, and has just brought it further
    points.reached("replicated.promoted")
    return _promotion(primary, loss)


def _unfinished(replica: Store) -> Unsupported:
    return Unsupported(
        f"{replica.url} is not a whole copy of its primary yet: it holds no state that ever was, and is not promoted",
        url=replica.url,
    )


async def _done(replica: Store, role: Primary) -> Promotion:
    if role.epoch == 1:
        raise Unsupported(f"{replica.url} is the primary, and always was", url=replica.url)
    [record] = await replica.get(LOSS)
    return _promotion(role, loss_of(record))


def _promotion(role: Primary, loss: Loss | None) -> Promotion:
    return Promotion(epoch=role.epoch, number=role.before_number, last=role.before_commit, loss=loss)


async def set_aside(replica: Store, fresh: Store, reason: str, *, clock: Clock) -> str | None:
    """Refuse every later commit in a replica that diverged, and say there who took its place; return its name.

    What it holds stays as it is. Raises Unsupported for a primary, which is nobody's replica.
    """
    await replica.open()
    [record] = await replica.get(GUARD)
    role = None if record is None else role_of(record.value)
    if isinstance(role, Primary | Fenced):
        raise Unsupported(f"{replica.url} is or was a primary: it is not set aside", url=replica.url)
    aside = Aside(reason=reason, url=fresh.url, namespace=fresh.namespace, at=clock.now())
    await replica.commit([Put(GUARD, document(aside), _version(record))])
    return role.name if isinstance(role, Replica) else None


def _version(record: Record | None) -> Expect:
    return ABSENT if record is None else record.version
