"""The traced folder as its program sees it: names, sizes and bytes, followed call by call."""

import os
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path

from holdfast.testing.explorer.operations import ROOT, Entry, Tree, listing
from holdfast.testing.explorer.strace import Untraceable

__all__ = ("View", "tree_of")


def tree_of(root: Path, ignore: Sequence[str] = ()) -> Tree:
    """Return what is in a folder now, without what `ignore` matches; raises Untraceable for links and devices."""
    entries: dict[tuple[int, str], int] = {}
    nodes: dict[int, bytes | None] = {ROOT: None}
    known: dict[int, int] = {}
    waiting = [(str(root), ROOT)]
    while waiting:
        path, number = waiting.pop()
        for child in sorted(os.scandir(path), key=lambda entry: entry.name):
            if any(fnmatch(child.name, pattern) for pattern in ignore):
                continue
            node = known.setdefault(child.inode(), len(known) + 1)
            entries[number, child.name] = node
            nodes[node] = _bytes(child)
            if nodes[node] is None:
                waiting.append((child.path, node))
    return Tree(entries, nodes)


def _bytes(entry: "os.DirEntry[str]") -> bytes | None:
    if entry.is_dir(follow_symlinks=False):
        return None
    if not entry.is_file(follow_symlinks=False):
        raise Untraceable(f"{entry.path} is neither file nor folder")
    return Path(entry.path).read_bytes()


class View:
    """Names and bytes of now. Paths are relative to the traced folder, which is ""."""

    def __init__(self, root: Path, start: Tree, ignore: Sequence[str]) -> None:
        self._root = str(root)
        self._ignore = ignore
        self._names = dict(start.entries)
        self._home = {node: slot for slot, node in start.entries.items()}
        self.bytes = {node: bytearray(data) for node, data in start.nodes.items() if data is not None}
        self.folders = {node for node, data in start.nodes.items() if data is None}
        self._last = max(start.nodes)

    def inside(self, path: str) -> str | None:
        """Return the path relative to the traced folder of an absolute one; None where it is not in there."""
        for spelled in (os.path.normpath(path), os.path.realpath(path)):
            if spelled == self._root:
                return ""
            if spelled.startswith(f"{self._root}/"):
                relative = spelled[len(self._root) + 1 :]
                return None if self.ignored(relative) else relative
        return None

    def ignored(self, path: str) -> bool:
        """Whether a path was to be left out."""
        return any(fnmatch(path.rpartition("/")[2], pattern) for pattern in self._ignore)

    def find(self, path: str) -> int | None:
        """Return what has that path; None where nothing has."""
        return self._names.get(self.slot(path)) if path else ROOT

    def slot(self, path: str) -> tuple[int, str]:
        """Return the folder and the name of a path; raises Untraceable where that folder was never seen."""
        folder = ROOT
        *parents, name = path.split("/")
        for parent in parents:
            found = self._names.get((folder, parent))
            if found is None or found not in self.folders:
                raise Untraceable(f"{path} was used, and how its folder came there is not in the trace")
            folder = found
        return folder, name

    def new(self, *, folder: bool) -> int:
        """Return the number of a new file or folder, which has no name yet."""
        self._last += 1
        if folder:
            self.folders.add(self._last)
        else:
            self.bytes[self._last] = bytearray()
        return self._last

    def name(self, entry: Entry) -> None:
        """Change a name."""
        slot = (entry.folder, entry.name)
        if entry.node is None:
            self._names.pop(slot, None)
        else:
            self._names[slot] = entry.node
            self._home[entry.node] = slot

    def write(self, file: int, offset: int, data: bytes) -> bool:
        """Write to a file; whether it grew."""
        seen = self.bytes[file]
        grew = offset + len(data) > len(seen)
        if offset > len(seen):
            seen.extend(bytes(offset - len(seen)))
        seen[offset : offset + len(data)] = data
        return grew

    def resize(self, file: int, size: int) -> None:
        """Cut or extend a file."""
        seen = self.bytes[file]
        del seen[size:]
        seen.extend(bytes(size - len(seen)))

    def path(self, node: int) -> str:
        """Return the last path that something had, for people."""
        if node == ROOT:
            return "."
        folder, name = self._home[node]
        return name if folder == ROOT else f"{self.path(folder)}/{name}"

    def check(self, real: Tree) -> None:
        """Return if this is how the folder really is; raises Untraceable where a call was missed or misread."""
        ours, theirs = _contents(self._names, self.bytes), _contents(real.entries, real.nodes)
        wrong = sorted(path for path in {*ours, *theirs} if ours.get(path) != theirs.get(path))
        if wrong:
            raise Untraceable(f"the trace does not explain what is in {', '.join(wrong[:5])}", paths=wrong)


def _contents(
    names: Mapping[tuple[int, str], int], nodes: Mapping[int, bytearray | bytes | None]
) -> dict[str, bytes]:
    folders = {node for node in names.values() if nodes.get(node) is None}
    return {
        path: b"a folder" if node in folders else bytes(nodes[node] or b"")
        for path, node in listing(names, folders)
    }
