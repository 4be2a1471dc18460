"""What a file system promises: which effects a flush makes durable, and which names may survive without others.

Two models. `STRICT` is POSIX to the letter: only a folder's own flush makes its names durable, and of those that are
not, any may survive. `ORDERED` is how journaling file systems (ext4, xfs) behave: names become durable in the order
in which they were changed, and a file's flush takes along all name changes up to the file's last own change. Where the
real ones promise more than is known for sure, less is assumed here. Bytes and sizes of files are alike in both: any
write that was not flushed may be missing, or there in part.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import chain, combinations
from typing import Final

from msgspec import Struct

from holdfast.testing.explorer.operations import (
    Allocate,
    Entry,
    Flush,
    FlushAll,
    FlushFolder,
    Name,
    Resize,
    Write,
)

__all__ = ("MODELS", "ORDERED", "STRICT", "DataEffect", "Model", "NameEffect")

Flushing = Flush | FlushFolder | FlushAll


class NameEffect(Struct, frozen=True):
    """Names that reach the disk together: operation `index`; `part` 1 only does after part 0 has."""

    index: int
    part: int
    entries: tuple[Entry, ...]
    text: str


class DataEffect(Struct, frozen=True):
    """What operation `index` did to the bytes and the size of a file."""

    index: int
    does: Write | Resize | Allocate


class Model(ABC):
    """A file system's promises about names, and about what a flush covers."""

    name: str

    @abstractmethod
    def parts(self, index: int, name: Name) -> list[NameEffect]:
        """Return what of a change of names can reach the disk on its own."""

    @abstractmethod
    def names(
        self, flush: Flushing, names: Sequence[NameEffect], data: Sequence[DataEffect]
    ) -> list[NameEffect]:
        """Return which of the `names` that are not durable yet a flush makes durable, seeing the `data` likewise."""

    @abstractmethod
    def lawful(self, names: Sequence[NameEffect], kept: frozenset[NameEffect]) -> frozenset[NameEffect]:
        """Return the most of `kept` that may survive where the rest of `names` does not."""

    @abstractmethod
    def surviving(self, names: Sequence[NameEffect]) -> Iterator[frozenset[NameEffect]]:
        """Yield every set of `names` that may survive without the others."""

    def data(self, flush: Flushing, data: Sequence[DataEffect]) -> list[DataEffect]:
        """Return which effects on files that are not durable yet a flush makes durable."""
        if isinstance(flush, FlushFolder):
            return []
        found = [effect for effect in data if effect.index < flush.since]
        if isinstance(flush, Flush):
            found = [effect for effect in found if effect.does.file == flush.file]
            if flush.only is not None:
                found = [effect for effect in found if effect.index == flush.only]
        return found


class Strict(Model):
    """POSIX to the letter."""

    name = "strict"

    def parts(self, index: int, name: Name) -> list[NameEffect]:
        """Return one effect for each folder: a rename between two adds the new name before it takes the old one."""
        folders = list(dict.fromkeys(entry.folder for entry in reversed(name.entries)))
        return [
            NameEffect(index, part, tuple(e for e in name.entries if e.folder == folder), name.text)
            for part, folder in enumerate(folders)
        ]

    def names(
        self, flush: Flushing, names: Sequence[NameEffect], data: Sequence[DataEffect]
    ) -> list[NameEffect]:
        """Return the names of that folder, and of a rename out of it the new name, too."""
        if isinstance(flush, Flush):
            return []
        before = [effect for effect in names if effect.index < flush.since]
        if isinstance(flush, FlushAll):
            return before
        own = {(e.index, e.part) for e in before if e.entries[0].folder == flush.folder}
        return [e for e in before if (e.index, e.part) in own or (e.index, 1) in own]

    def lawful(self, names: Sequence[NameEffect], kept: frozenset[NameEffect]) -> frozenset[NameEffect]:
        """Return all but old names taken without the new ones being there."""
        missing = {effect.index for effect in names if effect.part == 0 and effect not in kept}
        return frozenset(effect for effect in kept if effect.part == 0 or effect.index not in missing)

    def surviving(self, names: Sequence[NameEffect]) -> Iterator[frozenset[NameEffect]]:
        """Yield all subsets."""
        every = chain.from_iterable(combinations(names, size) for size in range(len(names) + 1))
        seen: set[frozenset[NameEffect]] = set()
        for kept in every:  # there may be more than anyone can wait for: one after the other
            lawful = self.lawful(names, frozenset(kept))
            if lawful not in seen:
                seen.add(lawful)
                yield lawful


class Ordered(Model):
    """Names in order, as a journal keeps them."""

    name = "ordered"

    def parts(self, index: int, name: Name) -> list[NameEffect]:
        """Return one effect: a rename is one transaction."""
        return [NameEffect(index, 0, name.entries, name.text)]

    def names(
        self, flush: Flushing, names: Sequence[NameEffect], data: Sequence[DataEffect]
    ) -> list[NameEffect]:
        """Return all names up to the last change of what is flushed: that transaction takes them along."""
        if isinstance(flush, FlushAll):
            last = flush.since - 1
        elif isinstance(flush, FlushFolder):
            own = (e.index for e in names if e.index < flush.since and _touches_folder(e, flush.folder))
            last = max(own, default=-1)
        else:
            last = _last_change(flush, names, data)
        return [effect for effect in names if effect.index <= last]

    def lawful(self, names: Sequence[NameEffect], kept: frozenset[NameEffect]) -> frozenset[NameEffect]:
        """Return those before the first that is lost."""
        first = min((effect.index for effect in names if effect not in kept), default=None)
        return frozenset(effect for effect in kept if first is None or effect.index < first)

    def surviving(self, names: Sequence[NameEffect]) -> Iterator[frozenset[NameEffect]]:
        """Yield all beginnings."""
        yield from (frozenset(names[:size]) for size in range(len(names) + 1))


def _touches_folder(effect: NameEffect, folder: int) -> bool:
    return any(folder in (entry.folder, entry.node) for entry in effect.entries)


def _last_change(flush: Flush, names: Sequence[NameEffect], data: Sequence[DataEffect]) -> int:
    """Return the last change of a file that its flush has to write down: for fdatasync only one of its size."""
    own = [e.index for e in data if e.does.file == flush.file and (not flush.data_only or _sized(e))]
    own += (
        [e.index for e in names if any(entry.node == flush.file for entry in e.entries)]
        if not flush.data_only
        else []
    )
    return max((index for index in own if index < flush.since), default=-1)


def _sized(effect: DataEffect) -> bool:
    return effect.does.grew if isinstance(effect.does, Write) else True


STRICT: Final = Strict()
ORDERED: Final = Ordered()
MODELS: Final[dict[str, Model]] = {model.name: model for model in (STRICT, ORDERED)}
"""The models by name."""
