"""Opening a namespace for writing: lock, replay, copy into a new segment, and only then answer.

What was read back after a crash may sit in the page cache of a flush that failed, and never have reached the
disk. So everything that no checkpoint covers is written again, to a new segment, before anyone relies on it.
"""

from msgspec import Struct, structs

from holdfast import points
from holdfast.errors import StoreFull
from holdfast.store.backends.file.checkpoint import Checkpointer
from holdfast.store.backends.file.disk import Disk
from holdfast.store.backends.file.entries import Committed
from holdfast.store.backends.file.faults import NO_ROOM, explained
from holdfast.store.backends.file.findings import Finding, corrupt_store
from holdfast.store.backends.file.journal import Journal
from holdfast.store.backends.file.layout import Layout, flush_folders, make_folders
from holdfast.store.backends.file.lock import acquire
from holdfast.store.backends.file.manifest import (
    MISSING,
    Manifest,
    has_history,
    read_manifest,
    write_manifest,
)
from holdfast.store.backends.file.quarantine import keep_bytes, set_aside
from holdfast.store.backends.file.recovery import Loaded, load
from holdfast.store.backends.file.replay import Torn, replay
from holdfast.store.backends.file.segments import Spare, listed
from holdfast.system import Clock, Ids

__all__ = ("Opening", "open_namespace", "sweep")


class Opening(Struct):
    """An open namespace: its lock, what was found in it, and where new commits go."""

    lock: int
    loaded: Loaded
    journal: Journal
    spare: Spare
    checkpointer: Checkpointer


def open_namespace(
    disk: Disk, layout: Layout, namespace: str, *, clock: Clock, ids: Ids, segment_bytes: int
) -> Opening:
    """Lock and recover a namespace, making it if it is not there.

    Raises StoreInUse, Corrupt, FromTheFuture, StoreFull or Unavailable, and then lets go of the lock.
    """
    with explained(layout.root):
        make_folders(disk, layout)
        lock = acquire(disk, layout.lock, clock)
        try:
            points.reached("open.locked")
            return _recover(disk, layout, namespace, lock, ids=ids, segment_bytes=segment_bytes)
        except BaseException:
            disk.close(lock)
            raise


def _recover(
    disk: Disk, layout: Layout, namespace: str, lock: int, *, ids: Ids, segment_bytes: int
) -> Opening:
    sweep(disk, layout)
    manifest = _manifest(disk, layout, namespace, ids)
    replayed = replay(disk, layout, manifest)
    loaded = load(disk, layout, manifest, replayed)
    points.reached("open.replayed")
    _keep_unreadable(disk, layout, loaded)
    spare = Spare(disk, layout, ids, segment_bytes)
    spare.adopt()
    journal = Journal(disk, layout, ids, spare)
    try:
        manifest = _anew(disk, layout, journal, manifest, loaded, ids=ids)
    except BaseException:
        journal.close()
        raise
    checkpointer = Checkpointer(disk, layout, ids, loaded.places, manifest)
    return Opening(lock, loaded, journal, spare, checkpointer)


def _anew(
    disk: Disk, layout: Layout, journal: Journal, manifest: Manifest, loaded: Loaded, *, ids: Ids
) -> Manifest:
    """Go over to a new segment and return the manifest that says so."""
    first = _begin(disk, layout, journal, manifest, loaded)
    points.reached("open.segment-copied")
    for index in listed(disk, layout):
        if index < first:  # superseded: what it held is in segments that are whole and durable
            disk.remove(layout.segment(index))
    manifest = structs.replace(manifest, segment=first, clean=False)
    _switch(disk, layout, ids, manifest)
    points.reached("open.switched")
    return manifest


def _manifest(disk: Disk, layout: Layout, namespace: str, ids: Ids) -> Manifest:
    """Return the manifest; in a new namespace, write the first one, which makes it one."""
    manifest = read_manifest(disk, layout)
    if manifest is None:
        if has_history(disk, layout):
            raise corrupt_store(layout.manifest, MISSING)
        flush_folders(disk, layout)
        manifest = Manifest(namespace)
        write_manifest(disk, ids, layout, manifest)
    else:  # its name may still be what a process was killed before it flushed, and segments are dropped because of it
        disk.flush_folder(layout.own)
    if manifest.namespace != namespace:
        raise corrupt_store(layout.manifest, f"is of the namespace {manifest.namespace!r}, not {namespace!r}")
    return manifest


def _begin(disk: Disk, layout: Layout, journal: Journal, manifest: Manifest, loaded: Loaded) -> int:
    """Begin the new segment, and return the first one that counts from now on.

    On a full disk there may be a spare, and no room for a copy of everything. Then the same bytes are written
    over themselves and flushed, which makes them as durable, and the new segment goes on behind them.
    """
    found = loaded.replay
    following = max(found.last_segment, manifest.segment - 1) + 1
    try:
        journal.start(following, found.sequence, *_needed(manifest, loaded))
    except StoreFull:
        if not found.segments:
            raise
        for index in found.segments:
            _write_again(disk, layout.segment(index))
        journal.go_on(following, found.sequence, found.checksum, loaded.head + 1)
        return found.segments[0]
    return following


def _needed(manifest: Manifest, loaded: Loaded) -> tuple[int, list[Committed]]:
    """Return what the new segment has to hold: commits, and the number of the last one before them.

    What was restored is in files that are still to be written again. Until a checkpoint has, the journal keeps
    the commits that it was restored from, and all after them.
    """
    numbers = [stored.sequence for stored in loaded.touched.values() if stored is not None]
    first = min([manifest.head + 1, *numbers])
    covered = [commit for commit in loaded.replay.covered if commit.number >= first]
    return first - 1, covered + loaded.replay.commits


def _write_again(disk: Disk, path: str) -> None:
    fd = disk.open(path, write=True)
    try:
        disk.write(fd, disk.read(path), 0)
        disk.flush(fd)
    finally:
        disk.close(fd)


def _switch(disk: Disk, layout: Layout, ids: Ids, manifest: Manifest) -> None:
    """Say in the manifest that the new segment is needed, unless the full disk has no room for that.

    The new segment counts without it, as a base segment. It is only its loss that would go unnoticed.
    """
    try:
        write_manifest(disk, ids, layout, manifest)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise


def sweep(disk: Disk, layout: Layout) -> None:
    """Remove the temporary files of runs that were killed; the lock says that nobody else is writing them."""
    folders = [name for name, is_folder in disk.folder(layout.root) if is_folder and not name.startswith(".")]
    for folder in (layout.own, *(f"{layout.root}/{name}" for name in folders)):
        for name, is_folder in disk.folder(folder):
            if not is_folder and name.startswith(".") and name.endswith(".tmp"):
                disk.remove(f"{folder}/{name}")


def _keep_unreadable(disk: Disk, layout: Layout, loaded: Loaded) -> None:
    """Keep what cannot be read, before anything takes its place."""
    if loaded.replay.torn is not None:
        loaded.findings.append(_keep_torn(disk, layout, loaded.replay.torn))
    for path in loaded.aside:
        set_aside(disk, layout, path)


def _keep_torn(disk: Disk, layout: Layout, torn: Torn) -> Finding:
    path = keep_bytes(disk, layout, f"{torn.segment:016d}-{torn.offset}.torn", torn.data)
    reason = f"ends in a batch of {len(torn.data)} bytes that is not whole, and was never acknowledged"
    return Finding("torn", path, f"{layout.segment(torn.segment)} {reason}")
