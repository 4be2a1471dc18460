"""What a namespace is in a replication, by its records: read from any open store, without following or changing it."""

from msgspec import Struct

from holdfast.store.base import Store
from holdfast.store.guard import GUARD
from holdfast.store.wrappers.replicated.records import (
    LOSS,
    MEMBERS,
    ORDER,
    TRIMMED,
    Loss,
    Member,
    Role,
    loss_of,
    member_of,
    role_of,
)

__all__ = ("Status", "status")


class Status(Struct, frozen=True, kw_only=True):
    """What a namespace is (`role`, None: nothing special), and of a primary: its commits, its replicas by name.

    A replica has at least what it `acknowledged`; `owed` is how many commits are kept for those that have not.
    """

    role: Role | None
    commits: int = 0
    owed: int = 0
    members: dict[str, Member] = {}
    loss: Loss | None = None


async def status(store: Store) -> Status:
    """Return what an open store, bare or read-only, is in a replication."""
    guard, trimmed, loss = await store.get(GUARD, TRIMMED, LOSS)
    commits = await store.last_number(ORDER)
    return Status(
        role=None if guard is None else role_of(guard.value),
        commits=commits,
        owed=commits - (0 if trimmed is None else int(trimmed.value)),
        members={record.key.entity_id: member_of(record) async for record in store.scan(MEMBERS)},
        loss=loss_of(loss),
    )
