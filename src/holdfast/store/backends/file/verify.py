"""`holdfast store verify`: read every byte of a namespace and say what is not as it should be. Changes nothing."""

from holdfast.errors import Corrupt
from holdfast.store.backends.file.disk import Disk
from holdfast.store.backends.file.faults import explained
from holdfast.store.backends.file.findings import Finding
from holdfast.store.backends.file.layout import Layout
from holdfast.store.backends.file.manifest import Manifest
from holdfast.store.backends.file.reader import Follower
from holdfast.store.backends.file.replay import Segment
from holdfast.store.backends.file.streams import read_chunk

__all__ = ("stream_faults", "verify")


def verify(base_dir: str, *, namespace: str = "default", disk: Disk | None = None) -> list[Finding]:
    """Return everything that is wrong with a namespace, nothing if it is sound; also while it is in use.

    Raises StoreMissing where there is none, FromTheFuture where a newer Holdfast wrote it, Unavailable.
    """
    disk = disk or Disk()
    layout = Layout.of(disk.absolute(base_dir), namespace)
    seen = Follower(disk, layout)
    try:
        seen.refresh()
    except Corrupt as error:
        return [Finding("damaged", error.path, error.reason)]
    with explained(layout.root):
        return [*seen.findings, *_torn(layout, seen.segment), *stream_faults(disk, layout, seen.manifest)]


def stream_faults(disk: Disk, layout: Layout, manifest: Manifest) -> list[Finding]:
    """Return a finding for each file of a stream that is not as the manifest says."""
    found = []
    for stream, chunks in manifest.streams.items():
        for chunk in chunks:
            try:
                read_chunk(disk, layout.stream(stream), chunk, stream)
            except Corrupt as error:
                found.append(Finding("damaged", error.path, error.reason, stream=stream))
    return found


def _torn(layout: Layout, last: Segment | None) -> list[Finding]:
    if last is None or not last.rest:
        return []
    reason = f"ends at byte {last.last.end} in a batch that is not whole, and was never acknowledged"
    return [Finding("torn", layout.segment(last.index), reason)]
