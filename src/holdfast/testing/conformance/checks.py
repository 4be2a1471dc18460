"""What a check is: one promise, one function, one line of the report; and how it says that the promise broke.

    @check(Level.ATOMIC, promise="a reader sees all of a commit or nothing of it")
    async def seen_whole(case: Case) -> None: ...

A check is registered where its module is imported. The modules of the levels are listed in `MODULES`; one that is not
there yet is left out, and its level is then not shown.
"""

import enum
import random
from collections.abc import Awaitable, Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from holdfast.errors import HoldfastError, InvalidOption

if TYPE_CHECKING:
    from holdfast.testing.conformance.case import Case

__all__ = (
    "MODULES",
    "NEEDED",
    "Broken",
    "Check",
    "Level",
    "NotShown",
    "SaysNothing",
    "all_checks",
    "chance",
    "check",
)

PACKAGE: Final = "holdfast.testing.conformance"


class Level(enum.StrEnum):
    """What a backend can claim; each is proved or refuted by checks of its own."""

    CORE = "core"
    ATOMIC = "atomic"
    CONCURRENT = "concurrent"
    CRASH_SAFE = "crash-safe"
    POWER_SAFE = "power-safe"
    FAULT_TOLERANT = "fault-tolerant"


NEEDED: Final = (Level.CORE, Level.ATOMIC, Level.CRASH_SAFE)
"""What a store has to keep to be trusted with a live run's state."""

MODULES: Final = {
    Level.CORE: ("four_methods", "records", "values", "names", "listing", "large", "using"),
    Level.ATOMIC: ("methods_at_once", "atomic"),
    Level.CONCURRENT: ("contention", "concurrent", "stateful"),
    Level.CRASH_SAFE: ("methods_killed", "killed", "killed_servers", "replicas"),
    Level.POWER_SAFE: ("power_safe",),
    Level.FAULT_TOLERANT: ("fault_calls", "fault_limits", "fault_flushes", "fault_disks", "fault_servers"),
}
"""Where the checks of each level are, in the order of the report."""


KNOWN_NEEDS: Final = frozenset({
    "fresh", "again", "elsewhere", "shared", "alone", "reader", "served", "replica", "in-folder", "lasting", "adapter",
    "replica-adapter", "strace", "hypothesis",
})  # fmt: skip
"""What a check can need."""


class Broken(HoldfastError):
    """A promise was broken: `promise`, what was seen, the shortest `history` that shows it, and the `seed`."""

    def __init__(
        self, message: str, *, promise: str = "", history: Sequence[str] = (), seed: int | None = None
    ) -> None:
        super().__init__(message, promise=promise, history=tuple(history), seed=seed)

    def __str__(self) -> str:
        lines = [self.args[0], *(f"    {line}" for line in self.history)]
        if self.promise:
            lines.insert(0, f"broken: {self.promise}")
        if self.seed is not None:
            lines.append(f"    (seed {self.seed})")
        return "\n".join(lines)


class SaysNothing(HoldfastError):
    """A check turned out to say nothing of this subject, and why: it does not apply."""


class NotShown(HoldfastError):
    """A check cannot be made here, and why: it has been neither kept nor broken."""


class Check(Struct, frozen=True, kw_only=True):
    """One check. `needs` says what a subject must be for it to mean anything: see `Subject.lacks`."""

    name: str
    level: Level
    promise: str
    needs: tuple[str, ...]
    run: Callable[["Case"], Awaitable[None] | None]


_REGISTERED: dict[str, Check] = {}


def check(level: Level | str, *, promise: str, needs: Sequence[str] = ()) -> Callable[[Any], Any]:
    """Register a function of a `Case`, sync or async, as the check of a promise; its name is the function's.

    Of `needs`, those that are about the subject are `fresh`, `again`, `elsewhere`, `shared`, `alone`, `reader`,
    `served`, `replica`, `in-folder`, `lasting`, `adapter` and `replica-adapter`; those about the machine `strace` and
    `hypothesis`. Raises InvalidOption for another one.
    """
    if unknown := sorted({*needs} - KNOWN_NEEDS):
        raise InvalidOption(
            f"a check needs what is not known: {', '.join(unknown)}", known=tuple(sorted(KNOWN_NEEDS))
        )

    def register(function: Any) -> Any:
        name = function.__name__.replace("_", "-")
        _REGISTERED[name] = Check(
            name=name, level=Level(level), promise=promise, needs=tuple(needs), run=function
        )
        return function

    return register


def all_checks(level: Level | None = None) -> list[Check]:
    """Return the checks that there are, of one level or of all, in the order of the report."""
    for modules in MODULES.values():
        for name in modules:
            if find_spec(f"{PACKAGE}.{name}") is not None:
                import_module(f"{PACKAGE}.{name}")
    found = [one for one in _REGISTERED.values() if level is None or one.level is level]
    order = list(Level)
    return sorted(found, key=lambda one: order.index(one.level))


def chance(seed: int, name: str) -> random.Random:
    """Return what a check draws from: the same for the same seed."""
    return random.Random(f"{seed}/{name}")  # noqa: S311  # repeatable on purpose
