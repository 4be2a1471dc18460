"""The bytes of a file at one moment: what of them is durable, and what may become of the rest."""

import enum
import hashlib
from collections.abc import Sequence

from holdfast.testing.explorer.models import DataEffect
from holdfast.testing.explorer.operations import Allocate, Resize, Write

__all__ = ("Fate", "File", "fates")

SECTOR = 512


class Fate(enum.Enum):
    """What became of a write that was not flushed; sizes and zeroed ranges are only kept or lost."""

    KEPT = "kept"
    LOST = "lost"
    FIRST = "only its first part is there"
    REST = "only its last part is there"
    ZEROS = "the file has grown, and holds zeros"


def fates(effect: DataEffect) -> tuple[Fate, ...]:
    """Return all that may become of an effect."""
    does = effect.does
    if not isinstance(does, Write):
        return (Fate.KEPT, Fate.LOST)
    found = [Fate.KEPT, Fate.LOST]
    if len(does.data) > 1:
        found.append(Fate.FIRST)
    if _cut(does) % SECTOR == 0 and len(does.data) > 1:
        found.append(Fate.REST)
    if does.grew:
        found.append(Fate.ZEROS)
    return tuple(found)


def _cut(write: Write) -> int:
    """Return where in the file a write is torn: between two sectors near its middle, if it has two."""
    middle = write.offset + len(write.data) // 2
    edge = middle - middle % SECTOR
    return edge if edge > write.offset else middle


class File:
    """The bytes of a file: `base` is durable, then `effects` in order, those in `pinned` durable as well."""

    __slots__ = ("_digests", "base", "effects", "free", "pinned")

    def __init__(
        self, base: bytes, effects: tuple[DataEffect, ...] = (), pinned: frozenset[int] = frozenset()
    ) -> None:
        while effects and effects[0].index in pinned:
            base, effects = bytes(_applied(bytearray(base), effects[0], Fate.KEPT)), effects[1:]
        self.base = base
        self.effects = effects
        self.pinned = pinned
        self.free = tuple(effect for effect in effects if effect.index not in pinned)
        self._digests: dict[tuple[Fate, ...], bytes] = {}

    def content(self, chosen: Sequence[Fate]) -> bytes:
        """Return the bytes where the free effects have these fates, and are kept where none is given."""
        if not self.effects:
            return self.base
        data, fate = bytearray(self.base), iter(chosen)
        for effect in self.effects:
            _applied(data, effect, Fate.KEPT if effect.index in self.pinned else next(fate, Fate.KEPT))
        return bytes(data)

    def digest(self, chosen: tuple[Fate, ...]) -> bytes:
        """Return what tells such bytes from all others."""
        if chosen not in self._digests:
            self._digests[chosen] = hashlib.blake2b(self.content(chosen), digest_size=16).digest()
        return self._digests[chosen]


def _applied(data: bytearray, effect: DataEffect, fate: Fate) -> bytearray:
    does = effect.does
    if fate is Fate.LOST:
        return data
    if isinstance(does, Write):
        return _written(data, does, fate)
    if isinstance(does, Resize):
        del data[does.size :]
    data.extend(bytes(max(0, does.size - len(data))))
    if isinstance(does, Allocate):
        data[slice(*does.zeroed)] = bytes(does.zeroed[1] - does.zeroed[0])
    return data


def _written(data: bytearray, write: Write, fate: Fate) -> bytearray:
    begin, end, cut = write.offset, write.offset + len(write.data), _cut(write)
    begin, end = {Fate.FIRST: (begin, cut), Fate.REST: (cut, end)}.get(fate, (begin, end))
    data.extend(bytes(max(0, (end if fate is Fate.ZEROS else begin) - len(data))))
    if fate is not Fate.ZEROS:
        data[begin:end] = write.data[begin - write.offset : end - write.offset]
    return data
