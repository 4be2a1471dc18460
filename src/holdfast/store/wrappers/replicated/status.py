"""How replication stands: what a namespace is by its own records, read from any open store, and what `lag` says."""

from msgspec import Struct

from holdfast.store.backends.network import REPEAT
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

__all__ = ("Lag", "Status", "status")


class Lag(Struct, frozen=True, kw_only=True):
    """How far a replica is behind: commits, and seconds since the first of these (None: not known), and why, if at all.

    `state` is following, copying, claimed, or unknown: it was not reached since this store was opened, and is behind
    by that much at most.
    """

    url: str
    namespace: str
    state: str
    commits: int | None
    seconds: float | None
    error: str | None

    @property
    def sentence(self) -> str:
        """What a person is told of a replica that is behind."""
        lacks = "everything, as far as is known" if self.commits is None else f"{self.commits:,} commits"
        since = f", the first {self.seconds:.0f} s old" if self.seconds else ""
        why = (
            f": {self.error.removesuffix(REPEAT)}"
            if self.error
            else ": it has not answered"
            if self.state == "unknown"
            else ""
        )
        return f"Replica {self.url} is behind by {lacks}{since}{why}"


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
