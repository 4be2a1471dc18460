"""The parts of the file store, each fed with bytes of its own: frames, segments, envelopes, manifest, streams, lock."""

from functools import cache
from pathlib import Path
from typing import Final

from holdfast.cli.app import sentence
from holdfast.errors import Corrupt, FromTheFuture, StoreInUse
from holdfast.store.backends.file import files, frames
from holdfast.store.backends.file.disk import Disk
from holdfast.store.backends.file.layout import Layout
from holdfast.store.backends.file.lock import acquire, refuse_locked
from holdfast.store.backends.file.manifest import read_manifest
from holdfast.store.backends.file.names import decoded, hashed, plain, stable
from holdfast.store.backends.file.replay import read_segment
from holdfast.store.backends.file.salvage import salvage
from holdfast.store.backends.file.streams import good_lines
from holdfast.store.codec import check_key, check_name
from holdfast.system import SystemClock
from holdfast.testing.fuzzing.damage import damaged
from holdfast.testing.fuzzing.dice import Dice
from holdfast.testing.fuzzing.formats import forged
from holdfast.testing.fuzzing.samples import Tree, place, put, samples
from holdfast.testing.fuzzing.target import require

__all__ = ("envelope", "lock", "manifest", "name", "segment", "stream")

SEGMENT: Final = ".holdfast/journal/0000000000000001.log"
MANIFEST: Final = ".holdfast/manifest"


def segment(data: bytes) -> None:
    """A segment's frames are read to the last whole one; what is no segment is Corrupt; no good frame is overlooked."""
    dice = Dice(data)
    given, changed = _damaged(dice, ".log")
    disk, layout = _placed({SEGMENT: given})
    found = salvage(disk, layout, 1)
    try:
        read = read_segment(disk, layout, 1)
    except (Corrupt, FromTheFuture):
        require(changed, "refused: a segment that nothing happened to")
        return
    require(len(read.commits) <= len(found.commits), f"salvaged less than what can be read: {read.commits}")
    frame = frames.find(given, read.last.salt, read.last.end, read.last.sequence + 1)
    require(read.proof == (frame is not None and bool(read.rest)), "proof: of a frame that is not there")


def envelope(data: bytes) -> None:
    """An entity file holds what was written, or is unreadable."""
    given, _ = _damaged(Dice(data), ".json")
    try:
        key, stored, checksum = files.parse(given)
    except files.Unreadable:
        return
    check_key(key)
    require(files.checksum(key, stored) == checksum, "checksum: is not of what was read")
    require(
        files.parse(files.dump(key, stored)) == (key, stored, checksum), f"written anew: {key} is another"
    )


def manifest(data: bytes) -> None:
    """A manifest is what was written, or Corrupt, or FromTheFuture."""
    dice = Dice(data)
    sample = dice.pick(samples())
    tree = {MANIFEST: damaged(dice, sample.tree[MANIFEST])}
    is_forged = dice.chance(2)
    if is_forged:
        forged(dice, tree, MANIFEST)
    disk, layout = _placed(tree)
    try:
        found = read_manifest(disk, layout)
    except (Corrupt, FromTheFuture):
        require(tree[MANIFEST] != sample.tree[MANIFEST], "refused: a manifest that nothing happened to")
        return
    true = read_manifest(*_placed({MANIFEST: sample.tree[MANIFEST]}))
    require(found is not None, "absent: a manifest that is there")
    require(is_forged or found == true, f"another manifest: {found}")


def stream(data: bytes) -> None:
    """Of a stream's damaged file exactly those lines are good that were written."""
    dice = Dice(data)
    path = dice.pick([name for name in sorted(samples()[2].tree) if name.endswith(".jsonl")])
    before = samples()[2].tree[path]
    true, found = good_lines(before), good_lines(damaged(dice, before))
    require(all(true.get(number) == line for number, line in found.items()), f"invented: {found}")


def lock(data: bytes) -> None:
    """Whoever comes second is told StoreInUse, whatever the lock says, in a sentence for people."""
    path, valid = _locked()
    given = data if valid is None else damaged(Dice(data), valid)
    Path(path).write_bytes(given)
    try:
        refuse_locked(Disk(), path)
    except StoreInUse as error:
        sentence(error, ["live"])
        return
    require(False, "free: a lock that somebody has")


def name(data: bytes) -> None:
    """A file's name is decoded to the name that it was made of, or not at all; none leads out of its folder."""
    dice = Dice(data)
    text = dice.take(dice.below(600)).decode("utf-8", errors="ignore").replace("\0", "") or "x"
    check = text[:128]
    check_name(check, "name")
    for made in (plain(check), hashed(check), stable(check)):
        require(
            0 < len(made.encode()) <= 255 and "/" not in made and made not in (".", ".."), f"name: {made!r}"
        )
        require(
            decoded(made) in (check, None), f"name: {made!r} is decoded to {decoded(made)!r}, not {check!r}"
        )
    decoded(dice.rest().decode("utf-8", errors="replace"))


def _damaged(dice: Dice, suffix: str) -> tuple[bytes, bool]:
    """Return a sample's file of that kind with damage, perhaps with checksums made right; and whether it changed."""
    sample = dice.pick(samples())
    paths = [path for path in sorted(sample.tree) if path.endswith(suffix)] or [MANIFEST]
    path = dice.pick(paths)
    tree = {**sample.tree, path: damaged(dice, sample.tree[path])}
    if dice.chance(2):
        forged(dice, tree, path)
    return tree[path], tree[path] != sample.tree[path] or path == MANIFEST


def _placed(tree: Tree) -> tuple[Disk, Layout]:
    folder = place() / "part"
    put(tree, folder)
    return Disk(), Layout.of(str(folder), "default")


@cache
def _locked() -> tuple[str, bytes]:
    """Lock a file for as long as this process lives, and return its path and what the lock says."""
    path = str(place() / "lock")
    acquire(Disk(), path, SystemClock())
    return path, b'{"pid":4711,"host":"elsewhere","since":1700000000000}'.ljust(512)
