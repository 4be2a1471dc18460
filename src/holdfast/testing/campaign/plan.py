"""What is done in a trial of the campaign: all of it follows from a seed and the trial's number."""

import random
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from holdfast.testing.crash import Kill
from holdfast.testing.exchange.faults import Fault
from holdfast.testing.scenarios import SCENARIOS

__all__ = ("Plan", "plan_of")

MOST_KILLS: Final = 5
IN_RECOVERY: Final = ("orders.looked-up", "orders.renewed", "orders.settled")
HARMS: Final = ("drop_after", "drop_before", "error_after", "error_before", "nonsense")


class Plan(Struct, frozen=True, kw_only=True):
    """One trial: a scenario, the kill of each of its lives, and what the exchange does to requests meanwhile."""

    number: int
    scenario: str
    kills: tuple[Kill, ...]
    faults: tuple[Fault, ...] = ()
    dedupe: str = "open"


def plan_of(seed: int, number: int, traces: dict[str, tuple[str, ...]]) -> Plan:
    """Return a campaign's trial of that number: always the same for the same traces."""
    chance = random.Random(f"{seed}/{number}")  # noqa: S311  # repeatable on purpose
    scenario = chance.choice(sorted(SCENARIOS))
    lives = chance.randint(1, MOST_KILLS)
    kills = tuple(_kill(chance, traces[scenario], lives) for _ in range(lives))
    # A scenario's own faults are counted by request: one more would make it another market.
    faults = [_fault(chance)] if chance.random() < 0.3 and not SCENARIOS[scenario].faults else []
    return Plan(
        number=number,
        scenario=scenario,
        kills=kills,
        faults=tuple(faults),
        dedupe=chance.choice(("open", "open", "always")),
    )


def _kill(chance: random.Random, trace: Sequence[str], lives: int) -> Kill:
    # The market goes on from life to life: what a whole run passes is shared among them.
    where = chance.random()
    if where < 0.4:
        point = chance.choice(sorted({*trace, *IN_RECOVERY}))
        return Kill(point=point, nth=chance.randint(1, max(trace.count(point) // lives, 1)))
    if where < 0.8:
        return Kill(nth=chance.randint(1, len(trace) // lives))
    return Kill(after=chance.uniform(0.01, 0.3 / lives))


def _fault(chance: random.Random) -> Fault:
    on = chance.choice(("submit", "submit", "lookup", "cancel", "candles"))
    return Fault(on=on, do=chance.choice(HARMS), nth=chance.randint(1, 3))
