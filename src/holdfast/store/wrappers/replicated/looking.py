"""How a replica stands, as anybody sees it who can read it and its primary: nothing is followed, nothing changed."""

from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from holdfast.errors import Diverged, StoreError
from holdfast.store.base import Store
from holdfast.store.guard import GUARD
from holdfast.store.wrappers.replicated.outbox import Outbox
from holdfast.store.wrappers.replicated.records import Aside, Fenced, Primary, Replica, Role, role_of
from holdfast.store.wrappers.replicated.status import Status, status
from holdfast.system import Clock, SystemClock, system_ids

__all__ = ("Seen", "look")

TURNS: Final = 3

State = Literal["claimed", "copying", "following", "new", "promoted", "aside", "other", "unknown"]


class Seen(Struct, frozen=True, kw_only=True):
    """A replica as it was found: it has the primary's commits up to `number`, and lacks `behind` of them.

    `seconds` is how old the first is that it lacks, None where that is not known. `error` says why it cannot follow, or
    not be looked at: then `number` is what the primary knows that it has. `name` is its name at the primary. What a
    promoted one lacks (`behind`) is what was lost.
    """

    url: str
    namespace: str
    state: State = "unknown"
    name: str | None = None
    number: int | None = None
    behind: int | None = None
    seconds: float | None = None
    error: str | None = None


async def look(
    primary: Store, replica: Store | None, *, url: str, namespace: str, clock: Clock | None = None
) -> Seen:
    """Return how the replica that the primary knows by that `url` and `namespace` stands; both may be read-only.

    `primary` is open; `replica` is opened and closed here, None where only the primary can be asked.
    """
    outbox = Outbox(primary, clock=clock or SystemClock(), ids=system_ids)
    known = await _known(await status(primary), url, namespace)
    if replica is not None:
        try:
            async with replica:
                known = await _asked(outbox, replica, known)
        except StoreError as error:
            known = replace(known, state="unknown", error=str(error))
    if known.number is None:
        return known
    behind = max(await outbox.length() - known.number, 0)
    return replace(known, behind=behind, seconds=await outbox.age(known.number + 1) if behind else 0.0)


async def _known(standing: Status, url: str, namespace: str) -> Seen:
    for name, member in standing.members.items():
        if (member.url, member.namespace) == (url, namespace):
            return Seen(url=url, namespace=namespace, name=name, number=member.acknowledged)
    return Seen(url=url, namespace=namespace)


async def _asked(outbox: Outbox, replica: Store, known: Seen) -> Seen:
    """Ask the replica itself; what seems wrong is looked at again where it has moved meanwhile."""
    role = await _role(replica)
    for _ in range(TURNS):
        error = await _wrong(outbox, replica, role)
        again = await _role(replica)
        if error is None or again == role:
            break
        role = again
    if isinstance(role, Replica) and error is None:
        ours = await _role(outbox.store)
        begins = isinstance(ours, Primary) and role.epoch < ours.epoch  # counted anew from here
        return replace(known, state=role.state, name=role.name, number=0 if begins else role.number)
    if isinstance(role, Primary) and _succeeds(role, await _role(outbox.store)):
        return replace(known, state="promoted", number=role.before_number, error=error)
    return replace(known, state=await _state(outbox, role), error=error)


async def _role(store: Store) -> Role | None:
    [record] = await store.get(GUARD)
    return None if record is None else role_of(record.value)


async def _state(outbox: Outbox, role: Role | None) -> State:
    ours = await _role(outbox.store)
    if isinstance(role, Replica) and _is_of(role, ours):
        return role.state
    return "new" if role is None else "aside" if isinstance(role, Aside) else "other"


def _is_of(role: Primary | Replica, ours: Role | None) -> bool:
    return isinstance(ours, Primary | Fenced) and ours.replication == role.replication


def _succeeds(role: Primary, ours: Role | None) -> bool:
    return _is_of(role, ours) and isinstance(ours, Primary | Fenced) and role.epoch == ours.epoch + 1


async def _wrong(outbox: Outbox, replica: Store, role: Role | None) -> str | None:
    """Return why a namespace that is `role` cannot follow this primary, None where it can."""
    ours = await _role(outbox.store)
    if role is None:
        names = await replica.names()
        held = ", ".join((*names.entities, *names.streams)[:3])
        return f"it is not empty ({held}, …), and nothing of it comes from this primary" if held else None
    if isinstance(role, Aside):
        return (
            f"it was set aside, and {role.url} (namespace {role.namespace!r}) took its place: {role.reason}"
        )
    if isinstance(role, Primary) and _succeeds(role, ours):
        return f"it was promoted, and is the primary now (epoch {role.epoch}): trade there, and nowhere else"
    if not isinstance(role, Replica):
        return "it is, or was, a primary itself"
    if not _is_of(role, ours):
        return "it is a replica of another primary"
    return await _parted(outbox, role, ours)


async def _parted(outbox: Outbox, role: Replica, ours: Role | None) -> str | None:
    if not isinstance(ours, Primary):
        return None  # fenced, and nobody's primary any more
    if role.epoch != ours.epoch:
        ended = (ours.epoch - 1, ours.before_number, ours.before_commit)
        if role.is_whole and (role.epoch, role.number, role.last) == ended:
            return None  # it is taken over as it is
        return f"it is at commit {role.number} of epoch {role.epoch}, which is over: re-seed it"
    trimmed = await outbox.members.trimmed()
    if role.state == "following" and role.number < trimmed:
        return f"it is at commit {role.number}, and its primary has dropped what came next, up to {trimmed}: re-seed it"
    try:
        await outbox.linked(role.number, role.last, 0)
    except Diverged as error:
        return str(error)
    return None
