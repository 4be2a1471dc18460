"""What goes wrong between a trader and a simulated exchange: planned by count, or seeded and random."""

import random
from collections import Counter
from typing import Literal

from msgspec import Struct

__all__ = ("Fault", "FaultPlan", "Faults")

Harm = Literal[
    "delay",
    "delay_answer",
    "drop_before",
    "drop_after",
    "error_before",
    "error_after",
    "nonsense",
    "partial",
    "reject",
]


class Fault(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Something done to requests of one kind (`submit`, `lookup`, `cancel`, `candles` ..., or `any`).

    It hits the `nth` such request since the plan was set and the `times` - 1 after it (0: all of them), or with a
    `chance` above 0 each one by itself. `_before` harms keep the request from the market, `_after` harms only
    its answer: the connection is cut, or `status` answered. `delay` holds a request back for `ms`, and
    `delay_answer` its answer; `nonsense` answers what is no answer; `reject` refuses for `reason`; `partial`
    cuts an order's next fill to `part` of it.
    """

    on: str
    do: Harm
    nth: int = 1
    times: int = 1
    chance: float = 0.0
    ms: int = 0
    part: float = 0.5
    status: int = 503
    reason: str = "refused by the fault plan"


class FaultPlan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Faults, and the seed of those that come by chance."""

    faults: tuple[Fault, ...] = ()
    seed: int = 0


class Faults:
    """A plan at work: the same requests in the same order meet the same faults."""

    def __init__(self, plan: FaultPlan | None = None) -> None:
        self.plan = plan or FaultPlan()
        self.done: Counter[str] = Counter()
        self._seen = [0] * len(self.plan.faults)
        self._random = random.Random(self.plan.seed)  # noqa: S311  # repeatable on purpose

    def meet(self, kind: str) -> tuple[Fault, ...]:
        """Return the faults that the next request of this kind meets."""
        met = tuple(
            fault
            for index, fault in enumerate(self.plan.faults)
            if fault.on in (kind, "any") and self._hits(index, fault)
        )
        self.done.update(fault.do for fault in met)
        return met

    def _hits(self, index: int, fault: Fault) -> bool:
        self._seen[index] += 1
        if fault.chance:
            return self._random.random() < fault.chance
        over = self._seen[index] - fault.nth
        return over >= 0 and (not fault.times or over < fault.times)
