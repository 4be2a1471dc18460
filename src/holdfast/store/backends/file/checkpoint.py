"""Checkpoints: entity files and streams made durable, a manifest that says so, and only then fewer segments.

Everything here runs on the maintenance thread, on what the event loop handed over. Whatever could not be done
stays to be done, and is then written anew, to new files: after a failed flush nothing on the disk is trusted.
"""

from collections.abc import Mapping

from msgspec import Struct

from holdfast import points
from holdfast.store.backends.file.disk import Disk
from holdfast.store.backends.file.files import dump, mark, replace
from holdfast.store.backends.file.layout import Layout
from holdfast.store.backends.file.manifest import Manifest, write_manifest
from holdfast.store.backends.file.places import Places
from holdfast.store.backends.file.segments import listed
from holdfast.store.backends.file.streams import Tail, append, chunk_path
from holdfast.store.base import CommitId, Key
from holdfast.store.state import Stored
from holdfast.system import Ids

__all__ = ("Checkpointer", "Snapshot")


class Snapshot(Struct, frozen=True):
    """The durable state of an instant, as far as it is news: what a checkpoint has to cover.

    `recent` are commit ids with their seconds since `zero`, which is in milliseconds of wall time.
    """

    head: int
    segment: int
    tails: Mapping[str, list[Tail]]
    recent: Mapping[CommitId, float]
    zero: int
    clean: bool = False


class Checkpointer:
    """Writes entity files and checkpoints of one open store; used by one thread at a time."""

    def __init__(self, disk: Disk, layout: Layout, ids: Ids, places: Places, manifest: Manifest) -> None:
        self._disk = disk
        self._layout = layout
        self._ids = ids
        self._places = places
        self.manifest = manifest
        self._todo: dict[Key, Stored | None] = {}
        self._unflushed: dict[Key, Stored | None] = {}
        self._folders: set[str] = set()
        self._changed_folders: set[str] = set()

    def write_files(self, changed: Mapping[Key, Stored | None]) -> None:
        """Bring the entity files up to date; not durable yet. What fails stays to be done next time."""
        self._todo.update(changed)
        gone = [key for key, stored in self._todo.items() if stored is None]
        for key in gone:  # first, so that a name that only differs in case is free again
            self._remove(key)
            self._unflushed[key] = self._todo.pop(key)
        for key, stored in list(self._todo.items()):
            assert stored is not None
            self._write(key, stored)
            self._unflushed[key] = self._todo.pop(key)

    def checkpoint(self, snapshot: Snapshot) -> Manifest:
        """Make everything up to `snapshot.head` durable outside the journal."""
        streams = dict(self.manifest.streams)
        for stream, tail in snapshot.tails.items():
            streams[stream] = append(self._disk, self._layout, stream, streams.get(stream, []), tail)
        recent = {
            commit_id: snapshot.zero + int(since * 1000) for commit_id, since in snapshot.recent.items()
        }
        manifest = Manifest(
            self.manifest.namespace, snapshot.head, snapshot.segment, snapshot.clean, recent, streams,
            self.manifest.entities,
        )  # fmt: skip
        self._flush(manifest, snapshot)
        points.reached("checkpoint.files-flushed")
        write_manifest(self._disk, self._ids, self._layout, manifest)
        self._unflushed.clear()
        self._changed_folders.clear()
        self.manifest = manifest
        return manifest

    def drop_segments(self) -> None:
        """Remove the segments that the durable manifest does not need."""
        for index in listed(self._disk, self._layout):
            if index < self.manifest.segment:
                self._disk.remove(self._layout.segment(index))
        points.reached("checkpoint.segments-dropped")

    def _write(self, key: Key, stored: Stored) -> None:
        folder, name = self._places.of(key)
        if folder not in self._folders:
            self._disk.make_folder(folder)
            self._folders.add(folder)
        replace(self._disk, self._ids, folder, name, dump(key, stored))
        self._changed_folders.add(folder)
        self.manifest.entities.setdefault(key.entity_name, {})[key.entity_id] = mark(key, stored)

    def _remove(self, key: Key) -> None:
        path = self._places.find(key)
        if path is not None and self._disk.stamp(path) is not None:
            self._disk.remove(path)
            self._changed_folders.add(path.rpartition("/")[0])
        self._places.free(key)  # only now: where the removal failed, the file still has its place
        self.manifest.entities.get(key.entity_name, {}).pop(key.entity_id, None)

    def _flush(self, manifest: Manifest, snapshot: Snapshot) -> None:
        """Make files and names durable, before a manifest says that they are."""
        try:
            if not self._disk.flush_all(self._layout.root):
                self._flush_each(manifest, snapshot)
        except OSError:
            # The pages may count as clean now although they are lost: write all of them again, elsewhere.
            self._todo = {**self._unflushed, **self._todo}
            raise

    def _flush_each(self, manifest: Manifest, snapshot: Snapshot) -> None:
        folders = {self._layout.root, self._layout.streams} | self._changed_folders
        kept = [key for key, stored in self._unflushed.items() if stored is not None]
        paths = ["/".join(self._places.of(key)) for key in kept]
        for stream in snapshot.tails:
            folder = self._layout.stream(stream)
            folders.add(folder)
            old = {chunk.first: chunk for chunk in self.manifest.streams.get(stream, [])}
            paths += [chunk_path(folder, c) for c in manifest.streams[stream] if old.get(c.first) != c]
        for path in paths:
            self._flush_file(path)
        for folder in sorted(folders):
            self._disk.flush_folder(folder)

    def _flush_file(self, path: str) -> None:
        fd = self._disk.open(path)
        try:
            self._disk.flush(fd)
        finally:
            self._disk.close(fd)
