"""Files and folders in memory: what is seen, what is durable, and what a power cut may leave of the difference.

The model is the strict reading of POSIX. Bytes survive a power cut once their file was flushed; a name, once
its folder was. Of what was not flushed, any part may survive: some writes, some names, a write cut in the
middle. After a failed flush the pages count as clean, although they are not on the disk.
"""

import random
from collections.abc import Callable
from typing import Final

__all__ = ("Choice", "File", "Folder", "all_kept", "all_lost", "some")

SECTOR: Final = 512

Choice = Callable[[], bool]
"""Says of one unflushed part whether it survives."""


def all_lost() -> bool:
    """Nothing that was not flushed survives."""
    return False


def all_kept() -> bool:
    """Everything survives: what a killed process leaves behind."""
    return True


def some(seed: int) -> Choice:
    """Each unflushed part survives or not, by the throw of a seeded coin."""
    coin = random.Random(seed)  # noqa: S311  # repeatable on purpose
    return lambda: coin.random() < 0.5


class File:
    """A file: what is seen, what is durable, and the writes in between."""

    def __init__(self, data: bytes = b"") -> None:
        self.seen = bytearray(data)
        self.durable = bytes(data)
        self.pending: list[tuple[int, bytes]] = []
        self.changed = 0
        self.locked = False

    def write(self, data: bytes, offset: int) -> None:
        """Write: seen at once, durable once flushed."""
        self.seen.extend(bytes(max(0, offset + len(data) - len(self.seen))))
        self.seen[offset : offset + len(data)] = data
        self.pending.append((offset, bytes(data)))
        self.changed += 1

    def truncate(self, size: int) -> None:
        """Cut the end off."""
        del self.seen[size:]
        self.pending.append((size, b""))
        self.changed += 1

    def flush(self) -> None:
        """Make all that was written durable."""
        self.durable = bytes(self._written(all_kept))
        self.pending.clear()

    def lose(self) -> None:
        """A failed flush: what is pending stays visible, counts as clean, and is not on the disk."""
        self.pending.clear()

    def after_cut(self, keep: Choice) -> "File":
        """Return the file as a power cut leaves it."""
        return File(bytes(self._written(keep)))

    def _written(self, keep: Choice) -> bytearray:
        """What is on the disk once those of the pending writes that survive are: not what was lost before."""
        data = bytearray(self.durable)
        for offset, piece in self.pending:
            if not keep():
                continue
            if not piece:
                del data[offset:]
                continue
            kept = piece if keep() else piece[: (len(piece) // 2 // SECTOR) * SECTOR or len(piece) // 2]
            data.extend(bytes(max(0, offset + len(kept) - len(data))))
            data[offset : offset + len(kept)] = kept
        return data

    def copy(self) -> "File":
        """Return a file of its own that is the same, pending writes included; nobody has it locked."""
        other = File()
        other.seen, other.durable = bytearray(self.seen), self.durable
        other.pending, other.changed = list(self.pending), self.changed
        return other


class Folder:
    """A folder: the names that are seen, those that are durable, and the changes in between."""

    def __init__(self) -> None:
        self.seen: dict[str, File | Folder] = {}
        self.durable: dict[str, File | Folder] = {}
        self.pending: list[tuple[tuple[str, File | Folder | None], ...]] = []

    def change(self, *names: tuple[str, "File | Folder | None"]) -> None:
        """Give names to nodes (None: take a name away), all at one instant."""
        self._apply(self.seen, names)
        self.pending.append(names)

    def flush(self) -> None:
        """Make all names durable."""
        self.durable = dict(self.seen)
        self.pending.clear()

    @staticmethod
    def _apply(
        names: dict[str, "File | Folder"], change: tuple[tuple[str, "File | Folder | None"], ...]
    ) -> None:
        for name, node in change:
            if node is None:
                names.pop(name, None)
            else:
                names[name] = node

    def after_cut(self, keep: Choice) -> "Folder":
        """Return the folder, and all in it, as a power cut leaves it."""
        names = dict(self.durable)
        for change in self.pending:
            if keep():
                self._apply(names, change)
        other = Folder()
        other.seen = {name: node.after_cut(keep) for name, node in names.items()}
        other.durable = dict(other.seen)
        return other

    def copy(self, memo: "dict[int, File | Folder]") -> "Folder":
        """Return a folder of its own that is the same, pending changes included."""
        other = Folder()
        memo[id(self)] = other

        def copied(node: "File | Folder") -> "File | Folder":
            if id(node) not in memo:
                memo[id(node)] = node.copy() if isinstance(node, File) else node.copy(memo)
            return memo[id(node)]

        other.seen = {name: copied(node) for name, node in self.seen.items()}
        other.durable = {name: copied(node) for name, node in self.durable.items()}
        other.pending = [
            tuple((name, None if node is None else copied(node)) for name, node in change)
            for change in self.pending
        ]
        return other
