"""A file store with something wrong in its folder, and what may be said of it then.

Damage without a forger is either refused or reads back exactly what was written. The one exception is named in the
design: batches at the very end of the journal that are damaged, all of them, cannot be told from a torn one.
"""

from typing import Final

from msgspec import Struct

from holdfast.errors import Corrupt
from holdfast.store import Key, Store
from holdfast.store.backends.file import frames
from holdfast.store.backends.file.entries import Committed, decode_entries
from holdfast.store.backends.file.segments import MAGIC
from holdfast.testing.fuzzing.damage import damaged
from holdfast.testing.fuzzing.dice import Dice
from holdfast.testing.fuzzing.formats import forged
from holdfast.testing.fuzzing.samples import ENTITIES, KEYS, STREAMS, Sample, State, Tree, samples
from holdfast.testing.fuzzing.target import require

__all__ = ("Damaged", "damaged_store", "require_right")

UNREADABLE: Final = Corrupt


class Damaged(Struct, frozen=True):
    """A store's files after damage to those at `paths`; `forged`: their checksums were made right again."""

    sample: Sample
    tree: Tree
    paths: tuple[str, ...]
    forged: bool

    @property
    def changed(self) -> bool:
        """Whether anything is not as it was."""
        return self.tree != self.sample.tree


def damaged_store(dice: Dice) -> Damaged:
    """Return one of the samples with damage to a file, at times to two."""
    sample = dice.pick(samples())
    tree, paths, is_forged = dict(sample.tree), [], False
    for _ in range(1 + dice.chance(4)):
        path = dice.pick(sorted(tree))
        is_forged |= _harm(dice, sample, tree, path)
        paths.append(path)
    return Damaged(sample, tree, tuple(paths), is_forged)


def _harm(dice: Dice, sample: Sample, tree: Tree, path: str) -> bool:
    """Do something to a file; return whether a forger did it."""
    match dice.below(10):
        case 6:
            del tree[path]
        case 7:
            tree[path] = tree[dice.pick(sorted(tree))]
        case 8:
            older = dice.pick(samples()).tree.get(path, b"")
            tree[path] = older
            return path.startswith(
                ".holdfast"
            )  # of the store's own files a whole older one is as good as forged
        case 9:
            tree[path] = damaged(dice, tree[path])
            forged(dice, tree, path)
            return tree != sample.tree
        case _:
            tree[path] = damaged(dice, tree[path])
    return False


async def require_right(store: Store, found: Damaged) -> None:
    """Return where an open store says of each thing what was written, or that it cannot be trusted."""
    seen = await _seen(store)
    if found.forged:
        return
    require(_may_end(found, store.head), f"head: {store.head} of {found.sample.head}")
    state = found.sample.states[store.head]
    for key, held in seen.records.items():
        require(held == state.records.get(key), f"record: {key} is {held}, not {state.records.get(key)}")
    for key in state.records:
        if key not in seen.records:
            require(key in seen.refused, f"absent: {key} is gone")
    for stream, events in seen.streams.items():
        require(events == [*state.streams.get(stream, ())], f"stream: {stream} is {events}")


class _Seen(Struct):
    records: dict[Key, object]
    streams: dict[str, list[tuple[object, str]]]
    refused: set[Key]


async def _seen(store: Store) -> _Seen:
    seen = _Seen({}, {}, set())
    for key in KEYS:
        try:
            (record,) = await store.get(key)
        except UNREADABLE:
            seen.refused.add(key)
        else:
            if record is not None:
                seen.records[key] = (record.value, record.version)
    names = await store.names()
    for name in (*ENTITIES, *names.entities):
        await _scanned(store, name, seen)
    for stream in (*STREAMS, *names.streams):
        try:
            seen.streams[stream] = [(event.value, event.version) async for event in store.read(stream)]
        except UNREADABLE:
            continue
    return seen


async def _scanned(store: Store, name: str, seen: _Seen) -> None:
    found = set()
    try:
        async for record in store.scan(name):
            found.add(record.key)
            held = (record.value, record.version)
            require(
                seen.records.setdefault(record.key, held) == held, f"scan: {record.key} is not what get says"
            )
    except UNREADABLE:
        return
    missed = {key for key in seen.records if key.entity_name == name} - found
    require(
        not missed and not any(key.entity_name == name for key in seen.refused),
        f"scan: {missed} are not in it",
    )


def _may_end(found: Damaged, head: int) -> bool:
    """Whether a store may take its commit `head` for the last one: all that came after it is damaged."""
    if head == found.sample.head:
        return True
    after = [one for one in _frames(found.sample.tree) if one[3] > head]
    if not 0 <= head < found.sample.head or {path for path, *_ in after} - set(found.paths):
        return False
    path, begin, data, _ = after[0]
    there = found.tree.get(path, b"")
    return there[begin : begin + len(data)] != data and not any(
        frame in found.tree.get(path, b"") for path, _, frame, _ in after[1:]
    )


def _frames(tree: Tree) -> list[tuple[str, int, bytes, int]]:
    """Return path, offset, bytes and commit number of each frame with a commit, in order of the numbers."""
    found = []
    for path in sorted(path for path in tree if path.endswith(".log")):
        data, offset = tree[path], len(MAGIC)
        while (frame := frames.parse(data, offset)) is not None:
            for entry in decode_entries(frame.payload):
                if isinstance(entry, Committed):
                    found.append((path, offset, data[offset : frame.end], entry.number))
            offset = frame.end
    return sorted(found, key=lambda one: one[3])


def state_of(found: Damaged) -> State:
    """Return what was acknowledged before the damage."""
    return found.sample.state
