"""What a person does to a primary by hand: accept a loss, forget a replica, end the replication.

Each is given a bare store, which it opens and closes, and works beside a run where several processes may have it open.
"""

from holdfast.errors import InvalidOption, Unsupported
from holdfast.store.base import Store
from holdfast.store.guard import GUARD
from holdfast.store.wrappers.replicated.outbox import Outbox
from holdfast.store.wrappers.replicated.records import Loss, Member, member_of
from holdfast.system import Clock, Ids, SystemClock, system_ids

__all__ = ("accept_loss", "forget", "unreplicate")


async def accept_loss(store: Store, *, clock: Clock | None = None, ids: Ids = system_ids) -> Loss | None:
    """Take what a promotion lost for dealt with, for every later run; return it, None where there was nothing.

    Raises Unsupported for what is no primary, Unavailable for one that was fenced.
    """
    async with store:
        outbox = await _primary(store, clock=clock, ids=ids)
        loss = await outbox.loss()
        if loss is not None:
            await outbox.accept()
        return loss


async def forget(
    store: Store,
    name: str,
    namespace: str | None = None,
    *,
    clock: Clock | None = None,
    ids: Ids = system_ids,
) -> list[Member]:
    """Owe the replica of that name, or those at that URL and namespace, nothing more; return what was known of them.

    Raises InvalidOption, which lists the known ones, where there is none.
    """
    async with store:
        outbox = await _primary(store, clock=clock, ids=ids)
        known = {one: member_of(record) for one, record in (await outbox.members.known()).items()}
        there = (name, store.namespace if namespace is None else namespace)
        found = [
            one for one, member in known.items() if one == name or (member.url, member.namespace) == there
        ]
        if not found:
            listed = ", ".join(f"{one} ({member.url})" for one, member in known.items()) or "none"
            raise InvalidOption(f"{store.url} knows no replica {name!r}; it knows: {listed}", url=store.url)
        for one in found:
            await outbox.members.forget(one)
        return [known[one] for one in found]


async def unreplicate(store: Store, *, clock: Clock | None = None, ids: Ids = system_ids) -> None:
    """End the replication of the primary `store`: replicas stay as they are, anybody may commit again.

    Raises Unsupported for a replica (promote it first), and where a promotion's loss was not accepted: no run would
    be told of it any more. Raises Unavailable for a primary that was fenced.
    """
    async with store:
        [record] = await store.get(GUARD)
        if record is None:
            return
        outbox = await _primary(store, clock=clock, ids=ids)
        if await outbox.loss() is not None:
            raise Unsupported(
                f"{store.url} was promoted, and the loss of what it may lack was not accepted: a run that opens it "
                "unreplicated would not be told. Compare with the exchange, accept the loss (`holdfast store "
                "accept-loss`), then end it. Nothing was changed",
                url=store.url,
            )
        await outbox.end()


async def _primary(store: Store, *, clock: Clock | None, ids: Ids) -> Outbox:
    [record] = await store.get(GUARD)
    if record is None:
        raise Unsupported(f"{store.url} is not replicated: there is nothing to do", url=store.url)
    outbox = Outbox(store, clock=clock or SystemClock(), ids=ids)
    await outbox.begin()
    return outbox
