"""Ways that are checks of the conformance kit, made again and again with fresh seeds."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from holdfast.testing.conformance.case import Bench, Pace, lacking
from holdfast.testing.conformance.checks import Check, Level, NotShown, all_checks
from holdfast.testing.conformance.examining import Result, applies, made
from holdfast.testing.conformance.looking import look
from holdfast.testing.conformance.subject import Subject
from holdfast.testing.evidence.backends import backend
from holdfast.testing.evidence.ways import Found, Play

__all__ = (
    "checked",
    "examined",
    "fault_tolerant",
    "power_safe",
    "servers_killed",
    "stateful",
    "writers_killed",
)  # fmt: skip

PACE = Pace(times=2.0, limit=300.0)
SERVERS = Pace(times=5.0, limit=300.0)


@contextmanager
def checked(target: str, checks: Sequence[Check], *, pace: Pace = PACE) -> Iterator[Play]:
    """Yield what makes these checks of a backend with a seed; raises NotShown where none can be made here."""
    with backend(target) as subject:
        subject.found = asyncio.run(look(subject))
        chosen = [one for one in checks if not _why_not(one, subject)]
        if not chosen:
            why = [_why_not(one, subject) for one in checks]
            raise NotShown("; ".join(dict.fromkeys(why)) or "this version of the kit has no check of it")
        with Bench(preload=subject.preload) as bench:
            yield lambda seed: examined(chosen, subject, bench, seed, pace)


def _why_not(check: Check, subject: Subject) -> str:
    if check.level not in subject.claimed:
        return f"it does not claim to be {check.level}"
    return applies(check, subject) or lacking(check)


def examined(checks: Sequence[Check], subject: Subject, bench: Bench, seed: int, pace: Pace) -> Found:
    """Make checks with one seed; raises NotShown where none of them shows anything."""
    results = [made(one, subject, bench, seed=seed, pace=pace) for one in checks]
    broken = [_said(result) for result in results if result.state == "broken"]
    kept = sum(result.state == "kept" for result in results)
    if not broken and not kept:
        raise NotShown("; ".join(result.said for result in results))
    counts: Counter[str] = Counter()
    for result in results:
        counts.update(result.counts)
    return Found({"checks": kept, **counts, "checks broken": len(broken)}, tuple(broken))


def _said(result: Result) -> str:
    return "\n".join([f"{result.name}: {result.promise}: {result.said}", *result.history])


def _named(*names: str) -> list[Check]:
    return [one for one in all_checks() if one.name in names]


def _of(level: Level) -> list[Check]:
    return all_checks(level)


@contextmanager
def stateful(target: str) -> Iterator[Play]:
    """Yield what lets Hypothesis look for a sequence that breaks a backend."""
    with checked(target, _named("stateful"), pace=Pace(times=5.0, limit=600.0)) as play:
        yield play


@contextmanager
def writers_killed(target: str) -> Iterator[Play]:
    """Yield what kills writers at points, before calls and under load."""
    with checked(target, [one for one in _of(Level.CRASH_SAFE) if one.name != "server-killed"]) as play:
        yield play


@contextmanager
def servers_killed(target: str) -> Iterator[Play]:
    """Yield what kills the server under load."""
    with checked(target, _named("server-killed"), pace=SERVERS) as play:
        yield play


@contextmanager
def power_safe(target: str) -> Iterator[Play]:
    """Yield what makes the checks of the level power-safe."""
    with checked(target, _of(Level.POWER_SAFE)) as play:
        yield play


@contextmanager
def fault_tolerant(target: str) -> Iterator[Play]:
    """Yield what makes the checks of the level fault-tolerant."""
    with checked(target, _of(Level.FAULT_TOLERANT)) as play:
        yield play
