"""Where things are: one folder a namespace, Holdfast's own things in `.holdfast/` inside it.

The namespace `default` is the base folder itself. Another is a whole such folder of its own at
`.holdfast/namespaces/{name}`: with its own lock and journal, so that two namespaces can be used by two
processes, and nothing of one can be taken for an entity of the other.
"""

from typing import Final

from msgspec import Struct

from holdfast.store.backends.file import names
from holdfast.store.backends.file.disk import Disk

__all__ = ("FORMAT", "OWN", "Layout", "make_folders", "namespaces")

FORMAT: Final = 1
OWN: Final = ".holdfast"


class Layout(Struct, frozen=True):
    """The paths of one namespace."""

    root: str

    @classmethod
    def of(cls, base_dir: str, namespace: str) -> "Layout":
        """Return the layout of a namespace below an absolute `base_dir`."""
        if namespace == "default":
            return cls(base_dir)
        return cls(f"{base_dir}/{OWN}/namespaces/{names.stable(namespace)}")

    @property
    def own(self) -> str:
        """The folder of Holdfast's own things."""
        return f"{self.root}/{OWN}"

    @property
    def lock(self) -> str:
        """The file whose lock says who has the store open."""
        return f"{self.own}/lock"

    @property
    def manifest(self) -> str:
        """The file that says what a checkpoint made durable."""
        return f"{self.own}/manifest"

    @property
    def journal(self) -> str:
        """The folder of journal segments."""
        return f"{self.own}/journal"

    @property
    def quarantine(self) -> str:
        """The folder of what could not be read: moved there, never deleted."""
        return f"{self.own}/quarantine"

    @property
    def streams(self) -> str:
        """The folder of streams, a folder each."""
        return f"{self.own}/streams"

    def segment(self, index: int) -> str:
        """Return the path of a journal segment."""
        return f"{self.journal}/{index:016d}.log"

    def stream(self, stream: str) -> str:
        """Return the folder of a stream."""
        return f"{self.streams}/{names.stable(stream)}"


def namespaces(disk: Disk, base_dir: str, most: int = 10) -> list[str]:
    """Return the namespaces below a `base_dir`, some of them where there are many; a hidden name as its folder's."""
    place = f"{base_dir}/{OWN}/namespaces"
    own = ["default"] if disk.stamp(Layout.of(base_dir, "default").manifest) is not None else []
    others = sorted(name for name, _ in disk.folder(place)) if disk.is_folder(place) else []
    return [*own, *(names.decoded(name) or name for name in others)][:most]


def make_folders(disk: Disk, layout: Layout) -> None:
    """Make the folders of a namespace and everything above them, each one durable before anything is in it."""
    missing = []
    path = layout.root
    while not disk.is_folder(path):
        missing.append(path)
        path = _parent(path)
    for folder in reversed(missing):
        disk.make_folder(folder)
        disk.flush_folder(_parent(folder))
    for folder in (layout.own, layout.journal, layout.streams, layout.quarantine):
        disk.make_folder(folder)


def flush_folders(disk: Disk, layout: Layout) -> None:
    """Flush the names of every folder from the namespace's own up to the root of the file system.

    A folder that is there may have been made by a process killed before its flush. One that this user may
    not read was made by someone else.
    """
    path = layout.own
    while True:
        try:
            disk.flush_folder(path)
        except PermissionError:
            return
        if path == _parent(path):
            return
        path = _parent(path)


def _parent(path: str) -> str:
    return path.rpartition("/")[0] or "/"
