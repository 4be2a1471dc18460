"""What is damaged: stores that the real writers have made, step by step on one thread, and so always the same.

A sample is a folder of files at some moment of a store's life, and what every head of that store held.
"""

import atexit
import itertools
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from holdfast.store import Append, Change, Delete, Key, Put
from holdfast.store.backends.file.applying import apply
from holdfast.store.backends.file.checkpoint import Snapshot
from holdfast.store.backends.file.disk import Disk
from holdfast.store.backends.file.entries import Committed, encode_entry
from holdfast.store.backends.file.layout import Layout
from holdfast.store.backends.file.opening import Opening, open_namespace
from holdfast.store.backends.file.streams import Stream
from holdfast.store.changes import effects
from holdfast.store.state import Stored
from holdfast.system import SystemClock

__all__ = ("ENTITIES", "KEYS", "STREAMS", "Sample", "State", "Tree", "place", "put", "samples", "seen_tree")

Tree = dict[str, bytes]
"""Files by their path in a store's folder."""

Held = tuple[Any, str]
"""A value and its version."""

KEYS: Final = (
    Key("signal.sma-cross", "BTCUSDT"), Key("signal.sma-cross", "ETH/USDT:USDT"), Key("signal.sma-cross", "btcusdt"),
    Key("risk", "All"), Key("con", "."), Key("state.größe", "x" * 300),
)  # fmt: skip
STREAMS: Final = ("history.sma-cross.BTCUSDT", "system.Own")
ENTITIES: Final = tuple(dict.fromkeys(key.entity_name for key in KEYS))

SEGMENT: Final = 2048
NOW: Final = 1_700_000_000_000
KEPT_OUT: Final = (".holdfast/lock",)


class State(Struct, frozen=True):
    """What a store holds at one head."""

    records: Mapping[Key, Held]
    streams: Mapping[str, Sequence[Held]]


class Sample(Struct, frozen=True):
    """A store's files at a moment, the head there, and what the store held at each head up to it."""

    name: str
    tree: Tree
    states: tuple[State, ...]

    @property
    def head(self) -> int:
        """The number of the last acknowledged commit."""
        return len(self.states) - 1

    @property
    def state(self) -> State:
        """What was acknowledged."""
        return self.states[-1]


class _SameTime(SystemClock):
    """A clock on which no time passes."""

    def now(self) -> int:
        return NOW


class _Ids:
    """Ids in order."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def __call__(self) -> str:
        return f"id{next(self._numbers)}"


@cache
def place() -> Path:
    """Return a folder of this process's own, in memory where there is such a place; gone when the process ends."""
    memory = Path("/dev/shm")  # noqa: S108  # what is read there is read as anywhere
    given = tempfile.gettempdir() != "/tmp"  # noqa: S108
    folder = Path(
        tempfile.mkdtemp(prefix="holdfast-fuzz-", dir=memory if memory.is_dir() and not given else None)
    )
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def put(tree: Tree, folder: Path) -> None:
    """Make a folder hold these files and no others."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    for path, data in tree.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        target.write_bytes(data)


def seen_tree(folder: Path) -> Tree:
    """Return the files in a store's folder, but for its lock and the spare segments."""
    found = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        name: path.read_bytes()
        for name, path in found.items()
        if name not in KEPT_OUT and not name.endswith(".spare")
    }


@cache
def samples() -> tuple[Sample, ...]:
    """Return the samples: after a crash, in several segments, closed, and opened again."""
    making = _Making(place() / "samples")
    making.open()
    making.commit(5)
    making.checkpoint()
    making.commit(3)
    found = [making.sample("crashed")]
    making.commit(9)
    making.write_files()
    found.append(making.sample("several segments"))
    making.checkpoint(clean=True)
    making.close()
    found.append(making.sample("closed"))
    making.open()
    making.commit(2)
    found.append(making.sample("opened again"))
    making.close()
    return tuple(found)


class _Making:
    """A store in the making: the parts of the file store that write, called one after the other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._disk = Disk()
        self._layout = Layout.of(str(folder), "default")
        self._ids = _Ids()
        self._states = [State({}, {})]
        self._streams: dict[str, Stream] = {}
        self._dirty: dict[Key, Stored | None] = {}
        self._recent: dict[str, float] = {}
        self._opening: Opening | None = None

    @property
    def _open(self) -> Opening:
        assert self._opening is not None
        return self._opening

    def open(self) -> None:
        self._opening = open_namespace(
            self._disk, self._layout, "default", clock=_SameTime(), ids=self._ids, segment_bytes=SEGMENT
        )
        self._streams = self._open.loaded.streams

    def close(self) -> None:
        self._open.journal.close()
        self._disk.close(self._open.lock)

    def commit(self, count: int) -> None:
        for number in range(len(self._states), len(self._states) + count):
            made = Committed(number, f"commit-{number}", NOW + number, effects(_changes(number)))
            self._open.journal.append([encode_entry(made)], number)
            changed: dict[Key, Stored | None] = {}
            apply(made, self._streams, changed)
            self._dirty.update(changed)
            self._recent[made.commit_id] = 0.0
            self._states.append(_after(self._states[-1], made, changed))

    def write_files(self) -> None:
        self._open.checkpointer.write_files(self._dirty)
        self._dirty.clear()

    def checkpoint(self, *, clean: bool = False) -> None:
        self.write_files()
        tails = {name: list(stream.tail) for name, stream in self._streams.items() if stream.tail}
        segment = self._open.journal.segment + clean
        manifest = self._open.checkpointer.checkpoint(
            Snapshot(len(self._states) - 1, segment, tails, dict(self._recent), NOW, clean=clean)
        )
        for name, chunks in manifest.streams.items():
            self._streams[name].chunks, self._streams[name].tail = tuple(chunks), []
        self._open.checkpointer.drop_segments()

    def sample(self, name: str) -> Sample:
        return Sample(name, seen_tree(self._folder), tuple(self._states))


def _changes(number: int) -> list[Change]:
    value: Any = {"number": number, "text": "ö" * (number % 4 * 60), "at": [number, None, -0.0, 1e308]}
    found: list[Change] = [Put(KEYS[number % 3], value), Append(STREAMS[0], {"n": number})]
    if number % 2:
        found += [Put(KEYS[3 + number % 3], number), Append(STREAMS[1], None), Append(STREAMS[1], "two\n")]
    if number % 5 == 4:
        found.append(Delete(KEYS[(number + 1) % 3]))
    return found


def _after(before: State, made: Committed, changed: Mapping[Key, Stored | None]) -> State:
    records, streams = dict(before.records), dict(before.streams)
    for key, stored in changed.items():
        records.pop(key, None)
        if stored is not None:
            records[key] = msgspec.json.decode(stored.value), stored.version
    for effect in made.effects:
        stream = getattr(effect, "stream", None)
        if stream is not None:
            value: Raw = effect.value  # type: ignore[union-attr]  # only an event has a stream
            streams[stream] = [*streams.get(stream, ()), (msgspec.json.decode(value), made.commit_id)]
    return State(records, streams)
