"""Trials of a crash-state campaign: what to trace, how to check it, and what to trace on the states that it leaves."""

import random
from collections.abc import Callable

import msgspec
from msgspec import Struct

from holdfast.testing.explorer.checking import Check
from holdfast.testing.targets.checking import check_of
from holdfast.testing.targets.living import live, plan_of, recovery_of
from holdfast.testing.targets.repairing import check_repaired, damage, mend
from holdfast.testing.targets.stores import target

__all__ = ("REPAIR", "Trial", "trial_of")

REPAIR = "file-repair"
"""The target that is no store: `holdfast store repair` of a damaged file store."""


class Trial(Struct, frozen=True):
    """A `program` to trace in a folder with `arguments`; `again` gives those for recovery in a state that it left."""

    program: Callable[..., object]
    arguments: Callable[[str], list[str]]
    again: Callable[[str, random.Random], list[str]]
    check: Check
    ignore: tuple[str, ...]


def trial_of(name: str, seed: str, number: int, folder: str) -> Trial:
    """Return a target's trial of that number, with the folder made ready: always the same for the same seed."""
    if name == REPAIR:
        return _repair(f"{seed}.{number}", folder)
    made, plan = target(name), plan_of(seed, number)

    def arguments(place: str) -> list[str]:
        return [name, place, msgspec.json.encode(plan).decode()]

    def again(place: str, chance: random.Random) -> list[str]:
        return [name, place, msgspec.json.encode(recovery_of(plan.seed, chance)).decode()]

    return Trial(live, arguments, again, check_of(made, plan.seed), made.ignore)


def _repair(seed: str, folder: str) -> Trial:
    damaged = damage(folder, seed)
    return Trial(mend, lambda place: [place], lambda place, _: [place], check_repaired(damaged), ())
