"""What a program did to a folder, as operations of a file system: the language of traces, models and reports.

Files and folders are numbers, for names change; the traced folder is number 0. Each operation carries the text that
reports show of it. Flushes carry `since`: they cover only what was done before they *began* (operations are in the
order in which they returned, and another thread may have written meanwhile). `nth` counts a thread's calls of a name.
"""

from collections.abc import Container, Mapping
from typing import Final

from msgspec import Struct

__all__ = (
    "ROOT", "Allocate", "Entry", "FailedFlush", "Flush", "FlushAll", "FlushFolder", "Mark", "Name", "Operation",
    "Resize", "Trace", "Tree", "Write", "listing",
)  # fmt: skip

ROOT: Final = 0


class Entry(Struct, frozen=True):
    """A name in a folder, and the file or folder that has it; None: nothing has."""

    folder: int
    name: str
    node: int | None


class Write(Struct, frozen=True):
    """Bytes written to a file; `grew`: it was shorter before."""

    text: str
    file: int
    offset: int
    data: bytes
    grew: bool


class Resize(Struct, frozen=True):
    """A file cut or extended to `size`, what is new being zeros."""

    text: str
    file: int
    size: int


class Allocate(Struct, frozen=True):
    """Room made in a file (fallocate): it is at least `size` long then, and zeros are in `zeroed`, (from, to)."""

    text: str
    file: int
    size: int
    zeroed: tuple[int, int] = (0, 0)


class Name(Struct, frozen=True):
    """Names that changed at one instant: create, mkdir, link, unlink, rename."""

    text: str
    entries: tuple[Entry, ...]


class Flush(Struct, frozen=True):
    """A file flushed: by fsync, by fdatasync (`data_only`), or just one write of it (`only`), by O_SYNC or O_DSYNC."""

    text: str
    file: int
    since: int
    data_only: bool = False
    only: int | None = None
    nth: int = 0


class FlushFolder(Struct, frozen=True):
    """A folder flushed."""

    text: str
    folder: int
    since: int
    nth: int = 0


class FlushAll(Struct, frozen=True):
    """Everything flushed: sync, or syncfs."""

    text: str
    since: int
    nth: int = 0


class FailedFlush(Struct, frozen=True):
    """A flush that returned an error: it flushed nothing, and no later flush takes along what it was to cover.

    `file` is None where everything was to be flushed. The kernel marks the pages of a file clean that it could not
    write: who flushes once more is told of success, and what is read back comes from memory.
    """

    text: str
    file: int | None
    since: int


class Mark(Struct, frozen=True):
    """A line that the program told its checker: what was asked for, what was acknowledged."""

    text: str


Operation = Write | Resize | Allocate | Name | Flush | FlushFolder | FlushAll | FailedFlush | Mark


class Tree(Struct, frozen=True):
    """A folder and all below it: the names, and the bytes of each file (None for a folder)."""

    entries: Mapping[tuple[int, str], int]
    nodes: Mapping[int, bytes | None]


class Trace(Struct, frozen=True):
    """One run: the folder as it was at first (all of it durable), the marks made before it, and what was done since.

    `folders` are the numbers of all folders that ever were; `error` is what the program wrote to stderr.
    """

    start: Tree
    before: tuple[str, ...]
    operations: tuple[Operation, ...]
    folders: frozenset[int]
    error: str = ""

    @property
    def marks(self) -> tuple[str, ...]:
        """All marks, earlier ones first."""
        return self.before + tuple(each.text for each in self.operations if isinstance(each, Mark))


def listing(entries: Mapping[tuple[int, str], int], folders: Container[int]) -> list[tuple[str, int]]:
    """Return every path below the root with what has it, a folder before what is in it; lost folders hide theirs."""
    inside: dict[int, list[tuple[str, int]]] = {}
    for (folder, name), node in entries.items():
        inside.setdefault(folder, []).append((name, node))
    found: list[tuple[str, int]] = []
    waiting = [("", ROOT)]
    while waiting:
        prefix, folder = waiting.pop()
        for name, node in sorted(inside.pop(folder, ())):
            found.append((prefix + name, node))
            if node in folders:
                waiting.append((f"{prefix}{name}/", node))
    return found
