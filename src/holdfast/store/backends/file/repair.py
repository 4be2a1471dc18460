"""`holdfast store repair`: restore what the journal and the manifest still know, move the rest to quarantine.

Nothing is deleted. What cannot be restored is absent afterwards, and named in what is returned: a person, or
a run that reconciles with the exchange, has to look at exactly that. A repair can be cut off anywhere and run
again: what it needs goes only once what replaces it is durable.
"""

from collections.abc import Iterable

from holdfast.errors import Corrupt, StoreMissing
from holdfast.store.backends.file.checkpoint import Checkpointer, Snapshot
from holdfast.store.backends.file.disk import Disk
from holdfast.store.backends.file.entries import Committed
from holdfast.store.backends.file.faults import explained
from holdfast.store.backends.file.findings import Finding
from holdfast.store.backends.file.layout import Layout
from holdfast.store.backends.file.lock import acquire
from holdfast.store.backends.file.manifest import Manifest, has_history, read_manifest
from holdfast.store.backends.file.mending import mend_streams, tidy_streams
from holdfast.store.backends.file.opening import sweep
from holdfast.store.backends.file.quarantine import keep, keep_bytes, set_aside
from holdfast.store.backends.file.rebuild import rebuilt
from holdfast.store.backends.file.recovery import Loaded, load
from holdfast.store.backends.file.replay import Replay, Torn, replay
from holdfast.store.backends.file.salvage import salvage
from holdfast.store.backends.file.segments import listed
from holdfast.store.backends.file.streams import check_newest
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
    with explained(layout.root):
        if not disk.is_folder(layout.own) and not has_history(disk, layout):
            raise StoreMissing(f"there is no store at {layout.root}; nothing was created", path=layout.root)
        for own in (Layout.of(disk.absolute(base_dir), "default").own, layout.own):
            disk.make_folder(own)  # raises where that is a link
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
        self._done += mend_streams(self._disk, self._layout, self._ids, manifest)
        if self._done:  # only now: a manifest made anew says nothing of a file that is to be mended
            self._done += tidy_streams(self._disk, self._layout, manifest)
        replayed = self._replay(manifest)
        loaded = load(self._disk, self._layout, manifest, replayed)
        self._settle_entities(loaded)
        if self._done:
            if replayed.torn is not None:
                self._keep_torn(replayed.torn)
            self._write(loaded)
        return self._done

    def _manifest(self, namespace: str) -> Manifest:
        reason = "is missing"
        try:
            manifest = read_manifest(self._disk, self._layout)
            if manifest is not None:
                check_newest(self._disk, self._layout, manifest)
                # Whoever gave it its name may have been killed before flushing that.
                self._disk.flush_folder(self._layout.own)
                return manifest
        except Corrupt as error:
            reason = error.reason
            self._keep(Finding("damaged", self._layout.manifest, reason))
        message = f"{reason}; made anew from the files that are whole"
        self._done.append(Finding("restored", self._layout.manifest, message))
        return rebuilt(self._disk, self._layout, namespace)

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
            salvaged = salvage(self._disk, self._layout, index)
            commits.update((commit.number, commit) for commit in salvaged.commits)
            if not salvaged.whole:
                self._keep(Finding("damaged", self._layout.segment(index), "is damaged"))
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

    def _keep_torn(self, torn: Torn) -> None:
        name = f"{torn.segment:016d}-{torn.offset}.torn"
        path = keep_bytes(self._disk, self._layout, name, torn.data)
        reason = f"{self._layout.segment(torn.segment)} ends in a batch that is not whole"
        self._done.append(Finding("quarantined", path, f"{reason}, and was never acknowledged"))

    def _keep(self, finding: Finding) -> None:
        """Copy to the quarantine what goes only once what replaces it is durable."""
        path = keep(self._disk, self._layout, finding.path)
        self._done.append(Finding("quarantined", path, f"{finding.path} {finding.reason}"))

    def _quarantine(self, finding: Finding) -> None:
        if self._disk.stamp(finding.path) is None:
            self._done.append(finding)
            return
        path = set_aside(self._disk, self._layout, finding.path)
        reason = f"{finding.path} {finding.reason}"
        self._done.append(Finding("quarantined", path, reason, finding.key, finding.stream))

    def _write(self, loaded: Loaded) -> None:
        self._done += tidy_streams(self._disk, self._layout, loaded.manifest)
        self._disk.flush_folder(self._layout.quarantine)
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
