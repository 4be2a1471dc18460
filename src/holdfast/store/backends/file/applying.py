"""What a commit does to a namespace: the same for a live store, for recovery and for a reader."""

from holdfast.store.backends.file.entries import Committed
from holdfast.store.backends.file.streams import Stream
from holdfast.store.base import Key
from holdfast.store.changes import Added, Removed, Wrote
from holdfast.store.state import Stored

__all__ = ("apply", "extend", "records")


def apply(commit: Committed, streams: dict[str, Stream], changed: dict[Key, Stored | None]) -> None:
    """Append the commit's events to `streams`, and put what its keys are now into `changed` (None: absent)."""
    changed.update(records(commit))
    extend(streams, commit)


def records(commit: Committed) -> dict[Key, Stored | None]:
    """Return what the commit's keys are by it, None for those that it makes absent."""
    changed: dict[Key, Stored | None] = {}
    for effect in commit.effects:
        if isinstance(effect, Wrote):
            stored = Stored(bytes(effect.value), commit.commit_id, commit.number)
            changed[Key(effect.entity_name, effect.entity_id)] = stored
        elif isinstance(effect, Removed):
            changed[Key(effect.entity_name, effect.entity_id)] = None
    return changed


def extend(streams: dict[str, Stream], commit: Committed) -> None:
    """Append the commit's events to `streams`."""
    for effect in commit.effects:
        if isinstance(effect, Added):
            stream = streams.get(effect.stream)
            if stream is None:
                stream = streams[effect.stream] = Stream()
            stream.tail.append((bytes(effect.value), commit.commit_id))
