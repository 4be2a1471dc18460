"""Making a failure smaller: troubles are left out one at a time, for as long as what is left still fails."""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from holdfast.testing.simulation.judging import Outcome, outcome_of
from holdfast.testing.simulation.plan import Plan

__all__ = ("kept_of", "smallest")


def kept_of(plan: Plan, kept: Sequence[int] | None) -> Plan:
    """Return a plan with only those of its troubles, by their places (None: all)."""
    if kept is None:
        return plan
    return replace(plan, troubles=tuple(plan.troubles[place] for place in kept))


def smallest(plan: Plan, run: Callable[[Plan], Outcome] = outcome_of) -> tuple[list[int], Outcome]:
    """Return the places of a few troubles with which a plan still fails, and how; all where it does not fail."""
    places, found = list(range(len(plan.troubles))), run(plan)
    for place in list(places) if found.broken else ():
        fewer = [one for one in places if one != place]
        outcome = run(kept_of(plan, fewer))
        if _alike(outcome, found):
            places, found = fewer, outcome
    return places, found


def _alike(one: Outcome, other: Outcome) -> bool:
    """Whether two runs break a promise in common."""
    return bool({line[:3] for line in one.broken} & {line[:3] for line in other.broken})
