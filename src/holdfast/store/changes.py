"""The changes of a commit, checked and encoded: the form in which every backend of ours stages them.

Everything that can be refused without looking at the store is refused here, before anything is written.
"""

from collections.abc import Sequence

from msgspec import Raw, Struct

from holdfast.errors import Conflict, InvalidKey, StoreError
from holdfast.store.base import ABSENT, ANY, Append, Change, Delete, Expect, Key, Put, Version
from holdfast.store.codec import check_key, check_name, check_stream, encode
from holdfast.store.guard import UNGUARDED, guarded, past

__all__ = (
    "Added",
    "Effect",
    "Removed",
    "Wrote",
    "check_commit_id",
    "conflict",
    "effects",
    "expectations",
    "meets",
)


class Wrote(Struct, frozen=True, array_like=True, tag="put"):
    """A key got a value."""

    entity_name: str
    entity_id: str
    value: Raw


class Removed(Struct, frozen=True, array_like=True, tag="delete"):
    """A key became absent."""

    entity_name: str
    entity_id: str


class Added(Struct, frozen=True, array_like=True, tag="append"):
    """A stream got one more event."""

    stream: str
    value: Raw


Effect = Wrote | Removed | Added


def effects(changes: Sequence[Change]) -> list[Effect]:
    """Return what the changes do, encoded; raises InvalidKey or InvalidValue before anything is written."""
    found: list[Effect] = []
    keys: list[Key] = []
    for change in changes:
        if isinstance(change, Append):
            check_stream(change.stream)
            found.append(Added(change.stream, Raw(encode(change.event))))
            continue
        key = change.key
        check_key(key)
        keys.append(key)
        if isinstance(change, Put):
            found.append(Wrote(key.entity_name, key.entity_id, Raw(encode(change.value))))
        elif isinstance(change, Delete):
            found.append(Removed(key.entity_name, key.entity_id))
    if len(keys) > 1 and len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise InvalidKey(
            f"{twice} is in one commit twice; make one change of them", key=twice, reason="twice"
        )
    return found


def expectations(changes: Sequence[Change]) -> list[tuple[Key, Expect]]:
    """Return every key of the changes with what they expect of it, `ANY` included, and the namespace's guard."""
    return guarded([(change.key, change.expect) for change in changes if not isinstance(change, Append)])


def meets(found: Version | None, expect: Expect) -> bool:
    """Whether a key at version `found` (None: absent) is as expected."""
    if expect is ANY:
        return True
    return found is None if expect is ABSENT else found == expect


def conflict(key: Key, expect: Expect, found: Version | None) -> StoreError:
    """Return the Conflict that says what was expected of `key` and what is there; Unsupported past the guard."""
    there = ABSENT if found is None else found
    if (key, expect) == UNGUARDED:
        return past(there)
    message = f"{key}: expected {expect!r}, found {there!r}; nothing was changed. Load it and decide again"
    return Conflict(message, key=key, expected=expect, found=there)


def check_commit_id(commit_id: str) -> None:
    """Return if `commit_id` can be kept; raises InvalidKey otherwise."""
    check_name(commit_id, "commit_id")
