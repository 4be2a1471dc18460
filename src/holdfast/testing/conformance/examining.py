"""Makes the checks of the levels that a subject claims, one after the other, and says what came of each."""

import asyncio
import inspect
import time
import traceback
from collections.abc import Callable, Collection, Iterable
from difflib import get_close_matches
from typing import Any, Final, Literal

from msgspec import Struct

from holdfast.errors import HoldfastError, InvalidOption, InvalidTarget
from holdfast.testing.conformance.case import Bench, Case, Pace, lacking
from holdfast.testing.conformance.checks import (
    NEEDED,
    Broken,
    Check,
    Level,
    NotShown,
    SaysNothing,
    all_checks,
)
from holdfast.testing.conformance.looking import look
from holdfast.testing.conformance.subject import Found, Subject

__all__ = ("NORMAL", "PACES", "QUICK", "THOROUGH", "Report", "Result", "State", "applies", "examine", "made")

QUICK: Final = Pace(times=1.0, limit=60.0)
NORMAL: Final = Pace(times=4.0, limit=120.0)
THOROUGH: Final = Pace(times=25.0, limit=900.0)
PACES: Final = {"quick": QUICK, "normal": NORMAL, "thorough": THOROUGH}

State = Literal["kept", "broken", "not shown", "does not apply"]


class Result(Struct, frozen=True, kw_only=True):
    """What came of one check: kept, broken and how (`said`), not shown here or not applicable and why (`said`)."""

    name: str
    level: Level
    promise: str
    state: State
    said: str = ""
    history: tuple[str, ...] = ()
    counts: dict[str, int] = {}
    seed: int = 0
    seconds: float = 0.0


class Report(Struct, frozen=True, kw_only=True):
    """What came of an examination. `sound`: every level claimed holds, and those that are needed were claimed."""

    subject: str
    claims: tuple[Level, ...]
    seed: int
    found: Found
    results: tuple[Result, ...]
    real: bool = True
    untried: tuple[Level, ...] = ()
    """Levels that its durability would claim, and that the kit has no check of it for."""

    def level(self, level: Level) -> State:
        """Return what came of a level: broken by one check, else not shown by one check, or where it has none."""
        states = {result.state for result in self.results if result.level is level}
        if level not in self.claims:
            return "does not apply"
        if "broken" in states:
            return "broken"
        return "not shown" if "not shown" in states or "kept" not in states else "kept"

    @property
    def broken(self) -> tuple[Result, ...]:
        """The checks that found a promise broken."""
        return tuple(result for result in self.results if result.state == "broken")

    @property
    def unclaimed(self) -> tuple[Level, ...]:
        """The levels that a store needs to be trusted with, and that were not claimed."""
        return tuple(level for level in NEEDED if level not in self.claims)

    @property
    def sound(self) -> bool:
        """Whether every level claimed holds, core, atomic and crash-safe among them."""
        return not self.unclaimed and all(self.level(level) == "kept" for level in self.claims)


def examine(
    subject: Subject,
    *,
    levels: Iterable[Level] | None = None,
    only: Collection[str] = (),
    seed: int = 0,
    pace: Pace = NORMAL,
    bench: Bench | None = None,
    tell: Callable[[Result], None] = lambda _: None,
    begin: Callable[[Check], None] = lambda _: None,
) -> Report:
    """Make the checks of the levels claimed (or of `levels` alone; `only` names checks), and report.

    `tell` is called with each result as it comes, `begin` before each check. Raises what opening the store raises.
    """
    _known(only)
    subject.found = _found(subject)
    wanted = _shown(subject) if levels is None else set(levels)
    claims = [level for level in Level if level in wanted]
    results: list[Result] = []
    with bench or Bench(preload=subject.preload) as shared:
        for one in (one for level in claims for one in _listed(level)):
            if (only and one.name not in only) or ("adapter" in one.needs and not subject.adapter):
                continue
            begin(one)
            results.append(made(one, subject, shared, seed=seed, pace=pace))
            tell(results[-1])
    return Report(
        subject=subject.name, claims=tuple(claims), seed=seed, found=subject.found, results=tuple(results),
        real=subject.real, untried=() if levels is not None else _untried(subject, wanted),
    )  # fmt: skip


def _known(names: Collection[str]) -> None:
    """Raise InvalidOption for a name that is no check's."""
    known = [one.name for one in all_checks()]
    for name in names:
        if name not in known:
            alike = "".join(f" (did you mean {other}?)" for other in get_close_matches(name, known, 1))
            raise InvalidOption(f"there is no check {name!r}{alike}")


def _found(subject: Subject) -> Found:
    try:
        return asyncio.run(look(subject))
    except HoldfastError:
        raise
    except Exception as error:
        message = f"{subject.name} cannot be opened: {type(error).__name__}: {error}"
        raise InvalidTarget(message, target=subject.name) from error


def _shown(subject: Subject) -> set[Level]:
    """Return the levels claimed: where nobody said which, those that this kit has checks of it for."""
    if subject.claims is not None:
        return set(subject.claims)
    return {level for level in subject.claimed if any(not applies(one, subject) for one in all_checks(level))}


def _untried(subject: Subject, wanted: Collection[Level]) -> tuple[Level, ...]:
    return tuple(level for level in Level if level in subject.claimed and level not in wanted)


def _listed(level: Level) -> list[Check]:
    return all_checks(level) or [_MISSING[level]]


def applies(check: Check, subject: Subject) -> str:
    """Return why a check says nothing about a subject; "" where it does."""
    return next((why for need in check.needs if (why := subject.lacks(need))), "")


def made(check: Check, subject: Subject, bench: Bench, *, seed: int, pace: Pace) -> Result:
    """Make one check; whatever it raises is in the result."""
    began = time.monotonic()
    counts: dict[str, int] = {}
    state: State = "kept"
    said, history = "", tuple[str, ...]()
    if why := applies(check, subject):
        state, said = "does not apply", why
    elif why := lacking(check):
        state, said = "not shown", why
    else:
        try:
            counts = _tidied(check, Case(subject, check, bench, seed=seed, pace=pace))
        except NotShown as error:
            state, said = "not shown", str(error)
        except SaysNothing as error:
            state, said = "does not apply", str(error)
        except Broken as error:
            state, said, history = "broken", error.args[0], error.facts["history"]
    return Result(
        name=check.name, level=check.level, promise=check.promise, state=state, said=said, history=history,
        counts=counts, seed=seed, seconds=round(time.monotonic() - began, 3),
    )  # fmt: skip


def _tidied(check: Check, case: Case) -> dict[str, int]:
    try:
        return _made(check, case)
    finally:
        case.tidy()


def _made(check: Check, case: Case) -> dict[str, int]:
    try:
        if inspect.iscoroutinefunction(check.run):
            asyncio.run(_awaited(check.run, case))
        else:
            check.run(case)
    except (Broken, NotShown, SaysNothing, KeyboardInterrupt):
        raise
    except _TooLong:
        raise _late(case) from None
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        said = f"{type(error).__name__}: {error} ({where.name}, line {where.lineno} of {where.filename})"
        raise _unexpected(case, said) from error
    return case.counts


class _TooLong(Exception):
    """A check was not over in time; a TimeoutError may be the store's own."""


async def _awaited(run: Any, case: Case) -> None:
    try:
        async with asyncio.timeout(case.pace.limit) as limit, case:
            await run(case)
    except TimeoutError:
        if limit.expired():
            raise _TooLong from None
        raise


def _late(case: Case) -> NotShown:
    """Return what a check says that was not over in time: on a machine that is busy, nobody is to blame."""
    seconds, asked = case.history.unanswered
    waited = f"{asked} had no answer for {seconds:.0f} s" if seconds > 1 else "it was answered all the while"
    return NotShown(f"it was not over after {case.pace.limit:g} s: {waited}")


def _unexpected(case: Case, said: str) -> Broken:
    return Broken(said, promise=case.check.promise, history=case.history.lines, seed=case.seed)


def _no_check(case: Case) -> None:
    raise NotShown("this version of the kit has no check of it")


_MISSING: Final = {
    level: Check(name=level.value, level=level, promise=f"it is {level.value}", needs=(), run=_no_check)
    for level in Level
}
