"""Deciding a batch of commits, one after the other, on what was read under the namespace's lock.

For backends that read versions, decide here, and write all that came of it in one transaction.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from holdfast.errors import StoreError
from holdfast.store.base import CommitId, Key, Version
from holdfast.store.changes import Added, Wrote, conflict, meets
from holdfast.store.group import Request

__all__ = ("Decision", "NewEvent", "keys_of", "streams_of")


class NewEvent(Struct, frozen=True):
    """An event to be written, with the number it has got."""

    stream: str
    number: int
    value: bytes
    version: Version


class Decision:
    """What a batch of commits comes to: `written` (None: absent), `events`, `commits` in the order of their heads.

    Made of what the store holds: the versions of all keys that the batch names (those that are there), the newest
    number of its streams (those that have events), which of its commit ids are remembered, and the head.
    """

    def __init__(
        self,
        versions: Mapping[Key, Version],
        numbers: Mapping[str, int],
        remembered: Iterable[CommitId],
        head: int,
    ) -> None:
        self.head = head
        self.written: dict[Key, tuple[bytes, Version] | None] = {}
        self.events: list[NewEvent] = []
        self.commits: list[tuple[CommitId, int]] = []
        self.numbers = dict(numbers)
        self._versions: dict[Key, Version | None] = dict(versions)
        self._remembered = set(remembered)

    def assume(self, key: Key, version: Version | None) -> None:
        """Take a key to be at a version (None: absent) that nobody has decided anything on yet."""
        self._versions[key] = version

    def take(self, request: Request) -> StoreError | None:
        """Decide one commit behind those before it; return why it changes nothing, None where it counts."""
        if request.commit_id in self._remembered:
            return None
        for key, expect in request.expectations:
            found = self._versions.get(key)
            if not meets(found, expect):
                return conflict(key, expect, found)
        self._apply(request)
        return None

    def _apply(self, request: Request) -> None:
        self.head += 1
        self._remembered.add(request.commit_id)
        self.commits.append((request.commit_id, self.head))
        for effect in request.effects:
            if isinstance(effect, Added):
                number = self.numbers[effect.stream] = self.numbers.get(effect.stream, 0) + 1
                self.events.append(NewEvent(effect.stream, number, bytes(effect.value), request.commit_id))
                continue
            key = Key(effect.entity_name, effect.entity_id)
            if isinstance(effect, Wrote):
                self._versions[key] = request.commit_id
                self.written[key] = (bytes(effect.value), request.commit_id)
            else:
                self._versions[key] = self.written[key] = None


def keys_of(batch: Iterable[Request]) -> list[Key]:
    """Return every key that the batch names, once each, sorted: locks are taken in this order."""
    return sorted({key for request in batch for key, _ in request.expectations})


def streams_of(batch: Iterable[Request]) -> list[str]:
    """Return every stream that the batch appends to, once each, sorted."""
    return sorted(
        {effect.stream for request in batch for effect in request.effects if isinstance(effect, Added)}
    )
