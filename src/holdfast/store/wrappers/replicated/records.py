"""What replication keeps in the stores themselves: who is what, what is owed, how far each replica is.

A primary has a guard (`Primary`), a stream that names its commits in their order, a record of what each commit
changed until all replicas have it, and a `Member` for each replica. A replica's guard (`Replica`) is its position: it
moves in the commit that it counts.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from holdfast.errors import Corrupt, FromTheFuture
from holdfast.store.base import Append, Change, CommitId, Delete, Key, Put, Record
from holdfast.store.changes import Added, Effect, Wrote
from holdfast.store.codec import decode
from holdfast.store.guard import GUARD

__all__ = (
    "LOSS", "MEMBERS", "ORDER", "OWED", "TRIMMED", "Aside", "Fenced", "Loss", "Member", "Owed", "Primary", "Replica",
    "Role", "document", "is_ours", "loss_of", "lost", "member_of", "owed_document", "owed_of", "role_of",
)  # fmt: skip

ORDER: Final = "holdfast.replication.order"
"""The stream whose event number n is of the n-th commit (`Event.version`); it never shrinks, and holds no values."""

OWED: Final = "holdfast.replication.owed"
MEMBERS: Final = "holdfast.replication.members"
TRIMMED: Final = Key("holdfast.replication", "trimmed")
LOSS: Final = Key("holdfast.replication", "loss")
OURS: Final = ("holdfast.replication", GUARD.entity_name)


def is_ours(name: str) -> bool:
    """Whether an entity name or stream is replication's own, and no part of what is replicated."""
    return name in OURS or name.startswith(f"{OURS[0]}.")


class Primary(Struct, frozen=True, kw_only=True, tag_field="role", tag="primary"):
    """The guard of a namespace that is replicated; `epoch` counts promotions, `before` is where the last one ended."""

    replication: str
    epoch: int = 1
    since: int = 0
    before_number: int = 0
    before_commit: CommitId | None = None


class Replica(Struct, frozen=True, kw_only=True, tag_field="role", tag="replica"):
    """The guard of a replica: it has the primary's commits up to `number`, the last of them `last`, made at `at` (ms).

    `known` is how many the primary had when last seen. What was copied is one state of the primary from `whole` on.
    """

    replication: str
    epoch: int
    name: str
    state: Literal["claimed", "copying", "following"] = "claimed"
    number: int = 0
    last: CommitId | None = None
    at: int = 0
    known: int = 0
    whole: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether what is there is one state of the primary."""
        return self.state == "following" and self.number >= self.whole


class Fenced(Struct, frozen=True, kw_only=True, tag_field="role", tag="fenced"):
    """The guard of what was the primary in `epoch`, before the replica at `url` was promoted: nobody commits here."""

    replication: str
    epoch: int
    url: str
    namespace: str
    at: int = 0


class Aside(Struct, frozen=True, kw_only=True, tag_field="role", tag="aside"):
    """The guard of a replica that diverged: kept as it was, and `url` follows the primary in its place."""

    reason: str
    url: str
    namespace: str
    at: int = 0


Role = Primary | Replica | Fenced | Aside


class Member(Struct, frozen=True, kw_only=True):
    """A replica as its primary knows it: it starts behind commit `start`, and has all up to `acknowledged` at least."""

    url: str
    namespace: str
    start: int
    start_commit: CommitId | None
    acknowledged: int


class Loss(Struct, frozen=True, kw_only=True):
    """What a promoted namespace may lack: all that the old primary acknowledged behind commit `last` (made `at`).

    `at_least` commits are known to be missing; how many there were in all, nobody knows (`reason`).
    """

    number: int
    last: CommitId | None
    at: int
    at_least: int
    reason: str


class Owed(Struct, frozen=True):
    """A commit as a replica is to repeat it; `at` is when it was made (ms)."""

    number: int
    commit_id: CommitId
    at: int
    effects: list[Effect]

    def changes(self) -> list[Change]:
        """Return the changes that make the same of the replica as the commit made of the primary."""
        return [_change(effect) for effect in self.effects]


class _OwedDocument(Struct, frozen=True):
    at: int
    effects: str


_encode = msgspec.json.Encoder().encode
_effects = msgspec.json.Decoder(list[Effect])


def owed_document(effects: Sequence[Effect], at: int) -> dict[str, Any]:
    """Return the document that `owed_of` reads; a text inside, so that no value is nested deeper than it was."""
    return {"at": at, "effects": _encode(effects).decode()}


def owed_of(number: int, record: Record) -> Owed:
    """Return what the record of the commit of that number owes; raises Corrupt."""
    found = _converted(record.value, _OwedDocument, record.key)
    try:
        effects = _effects.decode(found.effects)
    except (ValueError, RecursionError) as error:
        raise _corrupt(record.key, error) from error
    return Owed(number, record.key.entity_id, found.at, effects)


def document(entity: Struct) -> Any:
    """Return the document of a role, a member or a loss."""
    return msgspec.to_builtins(entity)


def role_of(value: Any) -> Role:
    """Return what a guard says; raises FromTheFuture for a role that this version does not know, Corrupt."""
    role = value.get("role") if isinstance(value, dict) else None
    if isinstance(role, str) and role not in ("primary", "replica", "fenced", "aside"):
        raise FromTheFuture(
            f"the namespace's guard says {role!r}, which this Holdfast does not know: upgrade it"
        )
    found: Role = _converted(value, Role, GUARD)
    return found


def member_of(record: Record) -> Member:
    """Return what the primary knows of a replica; raises Corrupt."""
    found: Member = _converted(record.value, Member, record.key)
    return found


def loss_of(record: Record | None) -> Loss | None:
    """Return the loss of a promotion, None where there was none; raises Corrupt."""
    return None if record is None else _converted(record.value, Loss, record.key)


def lost(loss: Loss) -> str:
    """Return what a promotion may have lost, in a sentence for people."""
    known = f", at least {loss.at_least} of them" if loss.at_least else ""
    return (
        f"This namespace was promoted from a replica that ended at commit {loss.number} ({loss.last}) of its primary; "
        f"what came after is missing here{known}, and nobody knows how much ({loss.reason}). Compare with the "
        "exchange, then accept the loss (`holdfast store accept-loss`)."
    )


def _change(effect: Effect) -> Change:
    if isinstance(effect, Added):
        return Append(effect.stream, decode(bytes(effect.value)))
    key = Key(effect.entity_name, effect.entity_id)
    return Put(key, decode(bytes(effect.value))) if isinstance(effect, Wrote) else Delete(key)


def _converted(value: Any, type: Any, key: Key) -> Any:
    try:
        return msgspec.convert(value, type)
    except msgspec.ValidationError as error:
        raise _corrupt(key, error) from error


def _corrupt(key: Key, error: Exception) -> Corrupt:
    return Corrupt(f"{key} is no document of replication: {error}", key=key, reason=str(error))
