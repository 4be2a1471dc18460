"""What the commits of a primary did, and whether a replica was ever anything else than the primary after some of them.

A chronicle sits between the replicating wrapper and its primary, so it does not depend on what that records. What a
replica's server held after each of its commits is kept as a `View`: that is all that a reader could ever have seen.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from holdfast.store import Change, CommitId, Key, Store
from holdfast.store.backends.memory import MemoryStore
from holdfast.store.changes import Added, Effect, Wrote, effects
from holdfast.store.guard import GUARD
from holdfast.store.wrappers.base import Wrapper
from holdfast.store.wrappers.replicated.outbox import WORKERS
from holdfast.store.wrappers.replicated.records import Primary, Replica, is_ours, role_of

__all__ = ("Annals", "Chronicle", "View", "view_of")

MOST: Final = 5
SEALED: Final = b'{"holdfast.encrypted"'


class View(Struct, frozen=True):
    """What a namespace holds of a portfolio, and what its guard says that it is."""

    role: Any
    records: dict[Key, tuple[bytes, CommitId]]
    streams: dict[str, list[tuple[bytes, CommitId]]]


def view_of(store: MemoryStore) -> View:
    """Return what a server holds, without replication's own and without heartbeats, which are not repeated."""
    guard = store._table.records.get(GUARD)
    records = {
        key: (_seen(stored.value), stored.version)
        for key, stored in store._table.records.items()
        if _is_replicated(key.entity_name)
    }
    streams = {
        name: [(_seen(value), commit_id) for value, commit_id in events]
        for name, events in store._streams.items()
        if _is_replicated(name)
    }
    return View(None if guard is None else role_of(msgspec.json.decode(guard.value)), records, streams)


class Annals:
    """What each commit of a primary did, by its id; `base` is what was there before the first of them."""

    def __init__(self, base: View | None = None) -> None:
        self.base = base or View(None, {}, {})
        self.made: dict[CommitId, list[Effect]] = {}

    def parted(self, order: Sequence[CommitId], views: Iterable[View]) -> list[str]:
        """Return where a replica was not the primary as it was after the commits that it says it has.

        `order` are the commits as the primary numbered them. A copy that is not whole yet is nobody's to read.
        """
        records, streams = dict(self.base.records), {n: list(e) for n, e in self.base.streams.items()}
        wrong, at = list[str](), 0
        for view in sorted(_whole(views), key=_number):
            number, last = _position(view)
            if number > len(order) or (number and order[number - 1] != last):
                wrong.append(f"it was at commit {number} ({last}), which is not one of its primary")
                continue
            for commit_id in order[at:number]:
                _apply(self.made[commit_id], commit_id, records, streams)
            at = max(at, number)
            if (view.records, view.streams) != (records, streams):
                wrong.append(
                    f"at commit {number} it held something else: {_differing(view, records, streams)}"
                )
        return wrong[:MOST]


class Chronicle(Wrapper):
    """A primary, with what its commits do written down."""

    def __init__(self, inner: Store, annals: Annals) -> None:
        super().__init__(inner)
        self._annals = annals

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        """Make all changes or none, as inside; what they do is noted before."""
        if commit_id is not None:
            kept = [effect for effect in effects(changes) if _is_replicated(_name(effect))]
            self._annals.made.setdefault(commit_id, kept)
        return await self.inner.commit(changes, commit_id=commit_id, vital=vital)


def _seen(value: bytes) -> bytes:
    """Return a value; of one that is encrypted nothing, as each try of a commit encrypts it anew."""
    return b"" if value.startswith(SEALED) else bytes(value)


def _name(effect: Effect) -> str:
    return effect.stream if isinstance(effect, Added) else effect.entity_name


def _is_replicated(name: str) -> bool:
    return not is_ours(name) and name != WORKERS


def _whole(views: Iterable[View]) -> list[View]:
    return [
        v for v in views if isinstance(v.role, Primary) or (isinstance(v.role, Replica) and v.role.is_whole)
    ]


def _position(view: View) -> tuple[int, CommitId | None]:
    role = view.role
    if isinstance(role, Primary):
        return role.before_number, role.before_commit
    return role.number, role.last


def _number(view: View) -> int:
    return _position(view)[0]


def _apply(made: Sequence[Effect], commit_id: CommitId, records: Any, streams: Any) -> None:
    for effect in made:
        if isinstance(effect, Added):
            streams.setdefault(effect.stream, []).append((_seen(bytes(effect.value)), commit_id))
        elif isinstance(effect, Wrote):
            records[Key(effect.entity_name, effect.entity_id)] = (_seen(bytes(effect.value)), commit_id)
        else:
            records.pop(Key(effect.entity_name, effect.entity_id), None)


def _differing(view: View, records: Any, streams: Any) -> str:
    pairs: list[tuple[dict[Any, Any], Any]] = [(view.records, records), (view.streams, streams)]
    names = [name for one, other in pairs for name in {**one, **other} if one.get(name) != other.get(name)]
    return ", ".join(map(str, names[:3]))
