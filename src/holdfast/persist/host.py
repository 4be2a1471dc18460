"""What this machine knows of a namespace on adapters: a lock, and a note of what served it last."""

from typing import Final

import msgspec
from msgspec import Struct

from holdfast.errors import Corrupt, InvalidOption
from holdfast.persist.domains import DOMAINS
from holdfast.store.backends.file.disk import Disk
from holdfast.store.backends.file.faults import UNDECODABLE, explained
from holdfast.store.backends.file.layout import Layout, flush_folders
from holdfast.store.backends.file.lock import acquire
from holdfast.system import Clock

__all__ = ("COPY", "Host", "Note")

COPY: Final = (
    "move what is stored first: `holdfast store copy FROM TO --move`, where FROM and TO are URLs, or a bot.py whose "
    "desk has the adapters, in a base_dir of its own (`Adapters(base_dir=…)`, or `DEFAULT.base_dir = …` of "
    "holdfast.persist)"
)


class Note(Struct, frozen=True):
    """A name for this folder that no other has, and which adapter serves which domain."""

    place: str
    map: dict[str, str]


class Host:
    """The folder `{base_dir}/.holdfast` of one namespace, as far as adapters need it; file stores leave it alone.

    Everything raises Unavailable, or StoreFull, where the disk fails.
    """

    def __init__(self, base_dir: str, namespace: str, *, clock: Clock, disk: Disk | None = None) -> None:
        self._disk = disk or Disk()
        self._clock = clock
        self._layout = Layout.of(self._disk.absolute(base_dir), namespace)
        self._lock: int | None = None

    def acquire(self) -> None:
        """Keep every other process of this machine out until `release`, or the end of this one (StoreInUse)."""
        with explained(self._layout.own):
            self._make_folders()
            self._lock = acquire(self._disk, f"{self._layout.own}/adapters.lock", self._clock)

    def release(self) -> None:
        """Let other processes in; without the lock this does nothing."""
        lock, self._lock = self._lock, None
        if lock is not None:
            self._disk.close(lock)

    def read(self) -> Note | None:
        """Return the note, None where there is none yet; raises Corrupt where it is no note."""
        try:
            with explained(self.note):
                found = None if self._disk.stamp(self.note) is None else self._disk.read(self.note)
            return None if found is None else msgspec.json.decode(found, type=Note)
        except UNDECODABLE as error:
            message = f"{self.note} is damaged; if the adapters are the same as before, remove it"
            raise Corrupt(message, key=None, reason=str(error), path=self.note) from error

    def write(self, note: Note) -> None:
        """Replace the note, durably, wholly or not at all."""
        with explained(self.note):
            flush_folders(
                self._disk, self._layout
            )  # a start that made them may have failed before their flush
            self._write(f"{self.note}.new", msgspec.json.encode(note))

    def _write(self, aside: str, data: bytes) -> None:
        if self._disk.stamp(aside) is not None:
            self._disk.remove(
                aside
            )  # left by a start that was killed here; the lock says that it is ours now
        file = self._disk.create(aside)
        try:
            self._disk.write(file, data, 0)
            self._disk.flush(file)
        finally:
            self._disk.close(file)
        self._disk.rename(aside, self.note)
        self._disk.flush_folder(self._layout.own)

    def refuse_files(self) -> None:
        """Raise InvalidOption where a file store of this folder holds a strategy's state."""
        with explained(self._layout.root):
            there = self._disk.is_folder(self._layout.root)
            listed = self._disk.folder(self._layout.root) if there else []
        held = {name for name, is_folder in listed if is_folder}
        if any(name.startswith(f"{domain}.") for name in held for domain in DOMAINS):
            raise InvalidOption(
                f"the file store in {self._layout.root} holds the state of strategies, and adapters are to serve "
                f"them now: {COPY}",
                path=self._layout.root,
            )

    def refuse_adapters(self) -> None:
        """Raise InvalidOption where adapters served this folder, and files are to serve it now."""
        with explained(self.note):
            noted = self._disk.stamp(self.note) is not None
        if noted:
            raise InvalidOption(
                f"adapters served {self._layout.root} ({self.note} says which), and none is registered now: "
                f"register them again, or {COPY}",
                path=self.note,
            )

    @property
    def note(self) -> str:
        """The path of the note."""
        return f"{self._layout.own}/adapters.json"

    def _make_folders(self) -> None:
        path, missing = self._layout.own, []
        while not self._disk.is_folder(path):
            missing.append(path)
            path = path.rpartition("/")[0] or "/"
        for folder in reversed(missing):
            self._disk.make_folder(folder)
            self._disk.flush_folder(folder.rpartition("/")[0] or "/")
