"""A moment: what is durable at one point of a trace, what is not, and the states that a power cut can leave.

Moments do not change; walking a trace yields a new one for each point.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct, structs

from holdfast.testing.explorer.files import Fate, File
from holdfast.testing.explorer.models import DataEffect, Model, NameEffect
from holdfast.testing.explorer.operations import (
    Allocate,
    Entry,
    FailedFlush,
    Flush,
    FlushAll,
    FlushFolder,
    Mark,
    Name,
    Operation,
    Resize,
    Trace,
    Write,
    listing,
)  # fmt: skip

__all__ = ("Choice", "Moment", "State", "walk")


class Choice(Struct, frozen=True):
    """What survives: which names of those that need not, and what became of each file's free effects."""

    names: frozenset[NameEffect]
    fates: Mapping[int, tuple[Fate, ...]]


class State(Struct, frozen=True):
    """A folder as a power cut at `point` may leave it; `marks` is what the program had told by then."""

    point: int
    marks: tuple[str, ...]
    moment: "Moment"
    choice: Choice
    paths: tuple[tuple[str, int], ...]
    digest: bytes

    def write(self, folder: Path) -> None:
        """Make it, in an empty folder."""
        made: dict[int, Path] = {}
        for path, node in self.paths:
            place = folder / path
            if node in self.moment.folders:
                place.mkdir()
            elif node in made:
                place.hardlink_to(made[node])
            else:
                made[node] = place
                _fill(place, self.moment.files[node].content(self.choice.fates.get(node, ())))

    def lost(self) -> dict[int, str]:
        """Return, by the index of the operation, what became of those that are not, or not wholly, there."""
        missing = [effect for effect in self.moment.free_names if effect not in self.choice.names]
        found = {effect.index: "lost" for effect in missing}
        for file, chosen in self.choice.fates.items():
            for effect, fate in zip(self.moment.files[file].free, chosen, strict=True):
                if fate is not Fate.KEPT:
                    found[effect.index] = fate.value
        return found


def _fill(place: Path, data: bytes) -> None:
    kept = data.rstrip(b"\0")
    with place.open("xb") as file:
        file.write(kept)
        if len(kept) < len(data):
            file.truncate(len(data))  # megabytes of zeros cost nothing this way


class Moment(Struct, frozen=True):
    """One point of a trace: after the first `point` of its `operations`."""

    operations: tuple[Operation, ...]
    point: int
    marks: tuple[str, ...]
    marks_digest: bytes
    folders: frozenset[int]
    entries: Mapping[tuple[int, str], int]
    names: tuple[NameEffect, ...]
    pinned: frozenset[NameEffect]
    files: Mapping[int, File]
    doomed: frozenset[int] = frozenset()

    @property
    def free_names(self) -> tuple[NameEffect, ...]:
        """The name effects that may be lost."""
        return tuple(effect for effect in self.names if effect not in self.pinned)

    @property
    def free_data(self) -> tuple[DataEffect, ...]:
        """The effects on files that may be lost, in order."""
        free = [effect for file in self.files.values() for effect in file.free]
        return tuple(sorted(free, key=lambda effect: effect.index))

    def paths(self, kept: frozenset[NameEffect]) -> tuple[tuple[str, int], ...]:
        """Return all paths where those names survive."""
        entries = dict(self.entries)
        for effect in self.names:
            if effect in kept or effect in self.pinned:
                _rename(entries, effect.entries)
        return tuple(listing(entries, self.folders))

    def state(self, choice: Choice, paths: tuple[tuple[str, int], ...] | None = None) -> State:
        """Return the state that a choice makes."""
        paths = self.paths(choice.names) if paths is None else paths
        told = hashlib.blake2b(self.marks_digest, digest_size=16)
        for path, node in paths:
            known = b"" if node in self.folders else self.files[node].digest(choice.fates.get(node, ()))
            told.update(b"%d %s %s" % (len(path), path.encode("utf-8", "surrogateescape"), known))
        return State(self.point, self.marks, self, choice, paths, told.digest())


def _rename(entries: dict[tuple[int, str], int], changes: Sequence[Entry]) -> None:
    for change in changes:
        if change.node is None:
            entries.pop((change.folder, change.name), None)
        else:
            entries[change.folder, change.name] = change.node


def walk(trace: Trace, model: Model) -> Iterator[tuple[Moment, Operation | None]]:
    """Yield the moment after each operation, with that operation; the first is before all."""
    start = trace.start
    files = {node: File(data) for node, data in start.nodes.items() if data is not None}
    marks = hashlib.blake2b("\n".join(trace.before).encode()).digest()
    moment = Moment(
        trace.operations, 0, trace.before, marks, trace.folders, dict(start.entries), (), frozenset(), files
    )  # fmt: skip
    yield moment, None
    for point, operation in enumerate(trace.operations, 1):
        moment = structs.replace(_after(moment, operation, model), point=point)
        yield moment, operation


def _after(moment: Moment, operation: Operation, model: Model) -> Moment:
    index = moment.point
    match operation:
        case Mark(text=text):
            digest = hashlib.blake2b(moment.marks_digest + text.encode()).digest()
            return structs.replace(moment, marks=(*moment.marks, text), marks_digest=digest)
        case Name():
            created = [
                e.node for e in operation.entries if e.node is not None and e.node not in moment.folders
            ]
            files = {**{node: File(b"") for node in created}, **moment.files}
            return structs.replace(moment, names=(*moment.names, *model.parts(index, operation)), files=files)
        case Write() | Resize() | Allocate():
            file = moment.files[operation.file]
            grown = File(file.base, (*file.effects, DataEffect(index, operation)), file.pinned)
            return structs.replace(moment, files={**moment.files, operation.file: grown})
        case Flush() | FlushFolder() | FlushAll():
            return _flushed(moment, operation, model)
        case FailedFlush():
            return structs.replace(moment, doomed=moment.doomed | _given_up(moment, operation))


def _given_up(moment: Moment, failed: FailedFlush) -> frozenset[int]:
    """Return the writes that a failed flush leaves marked clean; sizes and names are in a journal of their own."""
    return frozenset(
        effect.index
        for effect in moment.free_data
        if failed.file in (None, effect.does.file)
        and effect.index < failed.since
        and isinstance(effect.does, Write)
    )


def _flushed(moment: Moment, flush: Flush | FlushFolder | FlushAll, model: Model) -> Moment:
    names = moment.free_names
    data = [effect for effect in moment.free_data if effect.index not in moment.doomed]
    files = dict(moment.files)
    done = model.data(flush, data)
    for node in {effect.does.file for effect in done}:
        own = frozenset(effect.index for effect in done if effect.does.file == node)
        files[node] = File(files[node].base, files[node].effects, files[node].pinned | own)
    pinned = moment.pinned | frozenset(model.names(flush, names, data))
    entries, waiting = dict(moment.entries), list(moment.names)
    while waiting and waiting[0] in pinned:
        _rename(entries, waiting.pop(0).entries)
    left = frozenset(effect for effect in waiting if effect in pinned)
    return structs.replace(moment, entries=entries, names=tuple(waiting), pinned=left, files=files)
