"""The ways of trying: each is a name, what must hold, where it is tried, and a function that tries it.

A play is what is made ready once for many seeds: a context manager that yields a function from a seed to what came of
it, or raises NotShown. One seed takes seconds. A way more is an entry more, and a function in `plays`.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Final

from msgspec import Struct

from holdfast.errors import InvalidOption
from holdfast.testing.evidence.backends import SERVED

__all__ = ("FILE_SYSTEMS", "WAYS", "Cell", "Found", "Play", "Way", "cells", "play_of", "way")

PLAYS: Final = "holdfast.testing.evidence.plays"


class Found(Struct, frozen=True):
    """What came of one seed: how much was tried, and which promises were broken, in words."""

    counts: dict[str, int]
    broken: tuple[str, ...] = ()


Play = Callable[[int], Found]


class Cell(Struct, frozen=True):
    """One way on one target, spelled `way:target`."""

    way: str
    target: str

    def __str__(self) -> str:
        return f"{self.way}:{self.target}"


class Way(Struct, frozen=True, kw_only=True):
    """A way of trying. `play` ("module:name" in `plays`) takes a target; `zeros` are counts that must stay zero.

    `least` is how many seconds a turn is worth its while, where it takes some until the first seed.
    """

    name: str
    title: str
    promise: str
    play: str
    targets: tuple[str, ...]
    zeros: tuple[str, ...] = ()
    least: float = 0.0


FILE_SYSTEMS: Final = ("ext4", "xfs")
IN_FOLDERS: Final = ("file", "sqlite")
HISTORIES: Final = (
    "file", "sqlite", "redis", "postgres", "adapter", "file-cached", "redis-cached", "sqlite-replicated",
    "redis-to-postgres", "file-encrypted",
)  # fmt: skip

WAYS: Final[Mapping[str, Way]] = {
    way.name: way
    for way in (
        Way(
            name="crash-states",
            title="Every state that a power cut may leave",
            promise="A store is traced from the first use of its folder on, killed now and then; at each point, all "
            "that was not flushed is dropped or reordered, names and data. Each state is recovered, some recoveries "
            "are traced and cut off likewise: what was acknowledged is there, whole, once; what comes next works.",
            play="crash_states:crash_states",
            targets=(*IN_FOLDERS, "file-repair", "file-as-shipped", "sqlite-as-shipped"),
            zeros=("states broken",),
        ),
        Way(
            name="power-cuts",
            title="Power cuts on real file systems",
            promise="The disk under a writer, or under its server, is stopped dead and mounted again: what was "
            "acknowledged is there, whole, once, and the writer goes on.",
            play="power_cuts:power_cuts",
            targets=tuple(f"{name}-{on}" for name in (*IN_FOLDERS, *SERVED) for on in FILE_SYSTEMS),
            zeros=("cuts broken",),
        ),
        Way(
            name="wrapped-power-safe",
            title="Power cuts of wrapped stores",
            promise="What the checks of the level power-safe say, of both kinds: nothing acknowledged is lost, nothing "
            "torn.",
            play="kit:power_safe",
            targets=("file-cached", "file-encrypted", "sqlite-replicated"),
            zeros=("checks broken",),
        ),
        Way(
            name="kills",
            title="Bots killed at random instants",
            promise="A bot that trades one of thirteen scenarios is killed up to five times, at named points and at "
            "any instant, while the exchange loses answers; its orders and its history are those of a bot left alone.",
            play="kills:kills",
            targets=("file", "sqlite", "redis", "postgres", "adapter"),
            zeros=("lost", "doubled", "different"),
            least=60.0,
        ),
        Way(
            name="writers-killed",
            title="Writers killed before every call",
            promise="Processes that commit are killed at named points, before each system call that changes "
            "anything, and under load, while they recover, too: nothing acknowledged is lost, nothing is torn.",
            play="kit:writers_killed",
            targets=(*IN_FOLDERS, *SERVED, "adapter"),
            zeros=("checks broken",),
        ),
        Way(
            name="servers-killed",
            title="Servers killed under load",
            promise="The server is killed while processes write, and started again: nothing acknowledged is lost, "
            "doubled or torn.",
            play="kit:servers_killed",
            targets=SERVED,
            zeros=("checks broken",),
        ),
        Way(
            name="histories",
            title="Linearizable histories",
            promise="Clients commit to and read from a few keys at once, 400 operations a history: tasks, processes, "
            "cancelled calls, processes that are killed, connections that are cut. One order of whole commits explains "
            "all that they were told.",
            play="histories:histories",
            targets=HISTORIES,
            zeros=("histories broken",),
        ),
        Way(
            name="stateful",
            title="Stateful steps",
            promise="Any sequence of commits, reopenings, crashes and a second writer leaves what a dict and a list "
            "hold.",
            play="kit:stateful",
            targets=("memory", *IN_FOLDERS, *SERVED, "adapter", "file-cached", "sqlite-replicated"),
            zeros=("checks broken",),
        ),
        Way(
            name="network",
            title="Networks that fail",
            promise="Connections are reset, requests and answers lost, the server stopped and slow while clients "
            "commit: each commit happened once or not at all, as they were told, and one order explains it all.",
            play="network:network",
            targets=(*SERVED, "redis-cached"),
            zeros=("histories broken",),
        ),
        Way(
            name="faults",
            title="Errors of every call",
            promise="What the checks of the level fault-tolerant say: an error of a call (a full disk, a failed flush) "
            "loses nothing that was acknowledged, and is told.",
            play="kit:fault_tolerant",
            targets=(*IN_FOLDERS, *SERVED, "adapter"),
            zeros=("checks broken",),
        ),
        Way(
            name="simulation",
            title="The whole framework, simulated",
            promise="Live bots, store and exchange on a simulated clock, network and disk, crashed anywhere: at most "
            "once, nothing lost, transparency.",
            play="whole:simulation",
            targets=("bots",),
            zeros=("runs that broke a promise",),
            least=60.0,
        ),
        Way(
            name="fuzzing",
            title="Whatever is read, fuzzed",
            promise="Frames, documents, manifests, streams, commands and candle files that are nonsense are refused "
            "with an error that says so, and never taken for something else.",
            play="whole:fuzzing",
            targets=("all",),
            zeros=("crashes",),
            least=60.0,
        ),
        Way(
            name="controls",
            title="Negative controls",
            promise="Designs that are broken on purpose, each real code with one idea changed, and wrong models of a "
            "disk: every one is noticed.",
            play="controls:controls",
            targets=("suite",),
            zeros=("not noticed",),
        ),
    )
}  # fmt: skip
"""By name, in the order of the page."""


def way(name: str) -> Way:
    """Return the way of a name; raises InvalidOption where there is none."""
    if name not in WAYS:
        raise InvalidOption(f"there is no way {name!r}; known: {', '.join(WAYS)}", known=tuple(WAYS))
    return WAYS[name]


def cells(wanted: Sequence[str] = ()) -> list[Cell]:
    """Return all cells, or those that `way` and `way:target` name; raises InvalidOption for one that is not there."""
    if not wanted:
        return [Cell(one.name, target) for one in WAYS.values() for target in one.targets]
    return [cell for word in wanted for cell in _named(word)]


def _named(word: str) -> list[Cell]:
    name, _, target = word.partition(":")
    known = way(name).targets
    if target and target not in known:
        raise InvalidOption(f"{name} is not tried on {target!r}; known: {', '.join(known)}", known=known)
    return [Cell(name, one) for one in ([target] if target else known)]


def play_of(cell: Cell) -> AbstractContextManager[Play]:
    """Return what makes a cell's play ready."""
    module, _, name = way(cell.way).play.partition(":")
    made: AbstractContextManager[Play] = getattr(import_module(f"{PLAYS}.{module}"), name)(cell.target)
    return made
