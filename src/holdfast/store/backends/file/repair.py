"""`holdfast store repair`: restore what the journal and the manifest still know, move the rest to quarantine.

Nothing is deleted. What cannot be restored is absent afterwards, and named in what is returned: a person, or
a run that reconciles with the exchange, has to look at exactly that.
"""

import zlib
from collections.abc import Iterable

from msgspec import Raw

from holdfast.errors import Corrupt, StoreMissing
from holdfast.store.backends.file.checkpoint import Checkpointer, Snapshot
from holdfast.store.backends.file.disk import Disk
from holdfast.store.backends.file.entries import Committed
from holdfast.store.backends.file.faults import explained
from holdfast.store.backends.file.files import replace
from holdfast.store.backends.file.findings import Finding
from holdfast.store.backends.file.layout import Layout
from holdfast.store.backends.file.lock import acquire
from holdfast.store.backends.file.manifest import Chunk, Manifest, read_manifest
from holdfast.store.backends.file.opening import set_aside, sweep
from holdfast.store.backends.file.rebuild import rebuilt
from holdfast.store.backends.file.recovery import Loaded, load
from holdfast.store.backends.file.replay import Replay, replay, salvage
from holdfast.store.backends.file.segments import listed
from holdfast.store.backends.file.streams import Line, chunk_path, encode_line, good_lines
from holdfast.store.backends.file.verify import stream_faults
from holdfast.system import Clock, Ids, SystemClock, system_ids

__all__ = ("repair",)


def repair(
    base_dir: str,
    *,
    namespace: str = "default",
    disk: Disk | None = None,
    clock: Clock | None = None,
    ids: Ids = system_ids,
) -> list[Finding]:
    """Make a namespace usable again and return what was done, nothing if it was sound.

    Raises StoreInUse while a process has it open, StoreMissing, FromTheFuture, Unavailable, StoreFull.
    """
    disk = disk or Disk()
    layout = Layout.of(disk.absolute(base_dir), namespace)
    if not disk.is_folder(layout.own):
        raise StoreMissing(f"there is no store at {layout.root}; nothing was created", path=layout.root)
    with explained(layout.root):
        lock = acquire(disk, layout.lock, clock or SystemClock())
        try:
            return _Repair(disk, layout, ids).run(namespace)
        finally:
            disk.close(lock)


class _Repair:
    """One repair of one namespace, under its lock."""

    def __init__(self, disk: Disk, layout: Layout, ids: Ids) -> None:
        self._disk = disk
        self._layout = layout
        self._ids = ids
        self._done: list[Finding] = []

    def run(self, namespace: str) -> list[Finding]:
        for folder in (self._layout.journal, self._layout.streams, self._layout.quarantine):
            self._disk.make_folder(folder)
        sweep(self._disk, self._layout)
        manifest = self._manifest(namespace)
        replayed = self._replay(manifest)
        loaded = load(self._disk, self._layout, manifest, replayed)
        self._settle_entities(loaded)
        self._settle_streams(loaded)
        if self._done:
            self._write(loaded)
        return self._done

    def _manifest(self, namespace: str) -> Manifest:
        try:
            manifest = read_manifest(self._disk, self._layout)
            reason = "is missing"
        except Corrupt as error:
            manifest, reason = None, error.reason
            self._quarantine(Finding("damaged", self._layout.manifest, reason))
        if manifest is None:
            manifest = rebuilt(self._disk, self._layout, namespace)
            message = f"{reason}; made anew from the files that are whole"
            self._done.append(Finding("restored", self._layout.manifest, message))
        return manifest

    def _replay(self, manifest: Manifest) -> Replay:
        """Read the journal; where it is damaged, keep every batch that is whole and say which are not there."""
        try:
            return replay(self._disk, self._layout, manifest)
        except Corrupt as error:
            found = Finding("damaged", error.path, error.reason)
        there = listed(self._disk, self._layout)
        result = Replay(last_segment=max(there, default=manifest.segment))
        commits: dict[int, Committed] = {}
        for index in there:
            salvaged, whole = salvage(self._disk, self._layout, index)
            commits.update((commit.number, commit) for commit in salvaged)
            if not whole:
                self._quarantine(Finding("damaged", self._layout.segment(index), "is damaged"))
        result.commits = [commits[number] for number in sorted(commits) if number > manifest.head]
        result.covered = [commits[number] for number in sorted(commits) if number <= manifest.head]
        self._done.append(Finding("lost", found.path, f"{found.reason}; {_gaps(manifest.head, commits)}"))
        return result

    def _settle_entities(self, loaded: Loaded) -> None:
        for finding in loaded.findings:
            if finding.kind == "restored":
                self._done.append(finding)
        for path in loaded.aside:
            set_aside(self._disk, self._layout, path)
        for key, finding in loaded.broken.items():
            loaded.manifest.entities.get(key.entity_name, {}).pop(key.entity_id, None)
            loaded.places.free(key)
            self._quarantine(finding)
        nameless = [
            finding for finding in loaded.findings if finding.kind == "damaged" and finding.key is None
        ]
        for finding in nameless:
            self._quarantine(finding)

    def _settle_streams(self, loaded: Loaded) -> None:
        for finding in stream_faults(self._disk, self._layout, loaded.manifest):
            assert finding.stream is not None
            chunks = loaded.manifest.streams[finding.stream]
            folder = self._layout.stream(finding.stream)
            self._disk.make_folder(folder)
            place = next(i for i, chunk in enumerate(chunks) if chunk_path(folder, chunk) == finding.path)
            chunks[place] = self._mend_chunk(folder, chunks[place], finding)
            loaded.streams[finding.stream].chunks = tuple(chunks)

    def _mend_chunk(self, folder: str, chunk: Chunk, finding: Finding) -> Chunk:
        """Replace a damaged file by its whole events; those that are lost are null, so that numbers stay."""
        exists = self._disk.stamp(finding.path) is not None
        good = good_lines(self._disk.read(finding.path)) if exists else {}
        self._quarantine(finding)
        numbers = range(chunk.first, chunk.first + chunk.count)
        stream = finding.stream or ""
        lost = Line(stream, 0, "lost", 0, Raw(b"null"))
        lines = [good.get(number, lost) for number in numbers]
        encoded = (
            encode_line(stream, n, bytes(x.value), x.version) for n, x in zip(numbers, lines, strict=True)
        )
        data = b"".join(encoded)
        replace(self._disk, self._ids, folder, finding.path.rpartition("/")[2], data)
        kept = sum(n in good for n in numbers)
        reason = f"{kept} of {chunk.count} events kept; the others are null now"
        self._done.append(Finding("restored", finding.path, reason, stream=finding.stream))
        return Chunk(chunk.first, chunk.count, len(data), zlib.crc32(data))

    def _quarantine(self, finding: Finding) -> None:
        if self._disk.stamp(finding.path) is None:
            self._done.append(finding)
            return
        path = set_aside(self._disk, self._layout, finding.path)
        reason = f"{finding.path} {finding.reason}"
        self._done.append(Finding("quarantined", path, reason, finding.key, finding.stream))

    def _write(self, loaded: Loaded) -> None:
        checkpointer = Checkpointer(self._disk, self._layout, self._ids, loaded.places, loaded.manifest)
        checkpointer.write_files(loaded.touched)
        following = max(loaded.replay.last_segment + 1, loaded.manifest.segment)
        tails = {name: list(stream.tail) for name, stream in loaded.streams.items() if stream.tail}
        recent = {commit_id: at / 1000 for commit_id, at in loaded.recent.items()}
        checkpointer.checkpoint(Snapshot(loaded.head, following, tails, recent, 0, clean=True))
        for folder in (self._layout.quarantine, self._layout.own):
            self._disk.flush_folder(folder)
        checkpointer.drop_segments()


def _gaps(head: int, commits: Iterable[int]) -> str:
    """Say which commits after `head` are not there."""
    there = set(commits)
    last = max(there, default=head)
    missing = [number for number in range(head + 1, last) if number not in there]
    if not missing:
        return f"no commit up to {last} is missing; any after it is lost"
    return f"lost: commits {', '.join(map(str, missing[:50]))}, and any after {last}"
