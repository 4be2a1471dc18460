"""What a commit does to a namespace: the same for a live store, for recovery and for a reader."""

from holdfast.store.backends.file.entries import Committed
from holdfast.store.backends.file.streams import Stream
from holdfast.store.base import Key
from holdfast.store.changes import Removed, Wrote
from holdfast.store.state import Stored

__all__ = ("apply",)


def apply(commit: Committed, streams: dict[str, Stream], changed: dict[Key, Stored | None]) -> None:
    """Append the commit's events to `streams`, and put what its keys are now into `changed` (None: absent)."""
    for effect in commit.effects:
        if isinstance(effect, Wrote):
            stored = Stored(bytes(effect.value), commit.commit_id, commit.number)
            changed[Key(effect.entity_name, effect.entity_id)] = stored
        elif isinstance(effect, Removed):
            changed[Key(effect.entity_name, effect.entity_id)] = None
        else:
            stream = streams.get(effect.stream)
            if stream is None:
                stream = streams[effect.stream] = Stream()
            stream.tail.append((bytes(effect.value), commit.commit_id))
