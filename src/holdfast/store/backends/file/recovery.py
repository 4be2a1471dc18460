"""What a namespace holds after whatever happened: the manifest, the journal on top, the entity files compared.

Nothing is changed here, so that readers, `verify` and `open` see the same. An entity file counts only if it is
byte for byte what the manifest says, or if the journal has the entity's bytes, which then win.
"""

from msgspec import Struct, structs

from holdfast.errors import InvalidKey
from holdfast.store.backends.file.applying import apply
from holdfast.store.backends.file.disk import Disk
from holdfast.store.backends.file.files import SUFFIX, Unreadable, mark, parse
from holdfast.store.backends.file.findings import Finding
from holdfast.store.backends.file.layout import Layout
from holdfast.store.backends.file.manifest import Manifest
from holdfast.store.backends.file.names import decoded
from holdfast.store.backends.file.places import Places
from holdfast.store.backends.file.replay import Replay
from holdfast.store.backends.file.streams import Stream, check_newest
from holdfast.store.base import CommitId, Key
from holdfast.store.codec import check_key
from holdfast.store.state import Stored, Table

__all__ = ("Loaded", "load")


class Loaded(Struct):
    """A namespace as it was found.

    `touched` is what the journal changed since the manifest (None: absent). `broken` keys cannot be trusted.
    `aside` are unreadable files whose entity the journal restores: to be moved before they are replaced.
    """

    manifest: Manifest
    replay: Replay
    table: Table
    streams: dict[str, Stream]
    recent: dict[CommitId, int]
    head: int
    places: Places
    touched: dict[Key, Stored | None]
    broken: dict[Key, Finding]
    findings: list[Finding]
    aside: list[str]


def load(disk: Disk, layout: Layout, manifest: Manifest, replay: Replay) -> Loaded:
    """Return the namespace that the manifest, the journal and the entity files make; changes nothing.

    Raises Corrupt where the manifest is not the newest there was.
    """
    check_newest(disk, layout, manifest)
    loaded = Loaded(
        manifest, replay, Table(), {name: Stream(chunks) for name, chunks in manifest.streams.items()},
        dict(manifest.recent), manifest.head, Places(layout.root), {}, {}, [], [],
    )  # fmt: skip
    _apply(loaded)
    found, unreadable = _read_files(disk, layout, loaded)
    _miss(layout, loaded, found, unreadable)
    _restore(loaded)
    found.update((key, stored) for key, stored in loaded.touched.items() if stored is not None)
    for key in sorted(found):
        loaded.table.put(key, found[key])
    for path, finding in unreadable.items():
        if finding.key in loaded.touched:
            loaded.aside.append(path)
    return loaded


def _apply(loaded: Loaded) -> None:
    for commit in loaded.replay.commits:
        loaded.head = commit.number
        loaded.recent[commit.commit_id] = commit.at
        apply(commit, loaded.streams, loaded.touched)


def _read_files(disk: Disk, layout: Layout, loaded: Loaded) -> tuple[dict[Key, Stored], dict[str, Finding]]:
    found: dict[Key, Stored] = {}
    unreadable: dict[str, Finding] = {}
    for folder, is_folder in disk.folder(layout.root):
        if not is_folder or folder.startswith("."):
            continue
        for name, is_nested in disk.folder(f"{layout.root}/{folder}"):
            if is_nested or name.startswith(".") or not name.endswith(SUFFIX):
                continue
            path = f"{layout.root}/{folder}/{name}"
            try:
                key, stored = _read_file(disk, path, folder, name, loaded)
            except Unreadable as error:
                unreadable[path] = Finding("damaged", path, str(error))
            else:
                if stored is not None:
                    found[key] = stored
    return found, unreadable


def _read_file(disk: Disk, path: str, folder: str, name: str, loaded: Loaded) -> tuple[Key, Stored | None]:
    """Return the key of a file, and its record if that is the one the manifest knows."""
    try:
        key, stored, checksum = parse(disk.read(path))
    except OSError as error:
        raise Unreadable(f"cannot be read ({error.strerror})") from error
    if not loaded.places.claim(key, folder, name):
        raise Unreadable(f"holds {key}, which has its place elsewhere")
    if key in loaded.touched:
        return key, None
    known = loaded.manifest.entities.get(key.entity_name, {}).get(key.entity_id)
    if known == (stored.version, checksum):
        return key, stored
    if known is None:
        _break(loaded, key, Finding("unknown", path, "is not one the store knows to be there", key))
    else:
        reason = f"holds version {stored.version!r}, and the store knows {known[0]!r}"
        _break(loaded, key, Finding("stale", path, reason, key))
    return key, None


def _miss(layout: Layout, loaded: Loaded, found: dict[Key, Stored], unreadable: dict[str, Finding]) -> None:
    """Break every key that the manifest knows and no file showed, and name what unreadable files stand for."""
    for entity_name, marks in loaded.manifest.entities.items():
        for entity_id in marks:
            key = Key(entity_name, entity_id)
            if key not in found and key not in loaded.broken and key not in loaded.touched:
                _miss_one(loaded, key, unreadable)
    for key in loaded.touched:
        _claim_unreadable(loaded, key, unreadable, "restored")
    for path, finding in list(unreadable.items()):
        if finding.key is None:
            _name(loaded, path, found, unreadable)


def _miss_one(loaded: Loaded, key: Key, unreadable: dict[str, Finding]) -> None:
    finding = _claim_unreadable(loaded, key, unreadable, "damaged")
    if finding is None:
        folder, name = loaded.places.of(key)
        finding = Finding("missing", f"{folder}/{name}", "is missing", key)
        loaded.findings.append(finding)
    loaded.broken[key] = finding


def _claim_unreadable(loaded: Loaded, key: Key, unreadable: dict[str, Finding], kind: str) -> Finding | None:
    """Return the finding of the unreadable file where `key` has its place, None where there is none."""
    folder, name = loaded.places.of(key)
    path = f"{folder}/{name}"
    if path not in unreadable:
        return None
    finding = Finding(kind, path, unreadable[path].reason, key)
    unreadable[path] = finding
    loaded.findings.append(finding)
    return finding


def _restore(loaded: Loaded) -> None:
    """Mend what is broken and known: the journal may still have the bytes that the manifest speaks of."""
    known: dict[Key, Stored | None] = {}
    for commit in loaded.replay.covered:
        apply(commit, {}, known)
    for key, finding in list(loaded.broken.items()):
        stored = known.get(key)
        wanted = loaded.manifest.entities.get(key.entity_name, {}).get(key.entity_id)
        if stored is None or mark(key, stored) != wanted:
            continue
        loaded.touched[key] = stored
        del loaded.broken[key]
        loaded.findings[loaded.findings.index(finding)] = structs.replace(finding, kind="restored")
        if finding.kind == "stale":
            loaded.aside.append(finding.path)


def _name(loaded: Loaded, path: str, found: dict[Key, Stored], unreadable: dict[str, Finding]) -> None:
    """Break the key that an unreadable file is named for: what is there and unreadable is not absent.

    Not where the journal has the key, which then has another place, nor where its own file is whole.
    """
    folder, name = path.split("/")[-2:]
    key = _named(folder, name.removesuffix(SUFFIX))
    if key in loaded.touched:
        unreadable[path] = structs.replace(unreadable[path], kind="restored", key=key)
        loaded.findings.append(unreadable[path])
    elif key is None or key in found:
        loaded.findings.append(unreadable[path])
    else:
        _break(loaded, key, structs.replace(unreadable[path], key=key))


def _named(folder: str, name: str) -> Key | None:
    entity_name, entity_id = decoded(folder), decoded(name)
    if entity_name is None or entity_id is None:
        return None
    key = Key(entity_name, entity_id)
    try:
        check_key(key)
    except InvalidKey:  # nothing could ever be stored there
        return None
    return key


def _break(loaded: Loaded, key: Key, finding: Finding) -> None:
    loaded.broken[key] = finding
    loaded.findings.append(finding)
