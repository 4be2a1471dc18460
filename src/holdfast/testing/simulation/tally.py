"""What has been counted of a seed's runs: kept in a file, so that an interrupted campaign goes on."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import msgspec
from msgspec import Struct, field

from holdfast.testing.simulation.judging import Outcome
from holdfast.testing.simulation.plan import Plan

__all__ = ("Part", "Tally", "counted")


class Part(Struct, kw_only=True):
    """The count of some runs; `failed` are their numbers, with what broke."""

    runs: int = 0
    transparent: int = 0
    halted: int = 0
    seconds: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    failed: dict[int, list[str]] = field(default_factory=dict)

    def count(self, number: int, plan: Plan, outcome: Outcome) -> None:
        """Add a run."""
        self.runs += 1
        self.transparent += plan.transparent
        self.halted += bool(outcome.halted)
        self.seconds += outcome.seconds
        self.counts = summed(self.counts, outcome.counts)
        if outcome.broken:
            self.failed[number] = list(outcome.broken[:8])


class Tally(Part, kw_only=True):
    """The count of all runs of a seed from 1 on, and how long (s) they took on how many processes."""

    seed: int
    took: float = 0.0

    @classmethod
    def at(cls, path: Path, seed: int) -> Self:
        """Return what is in a file, an empty tally where there is none."""
        return msgspec.json.decode(path.read_bytes(), type=cls) if path.exists() else cls(seed=seed)

    def add(self, part: Part) -> None:
        """Add the count of the next runs."""
        self.runs += part.runs
        self.transparent += part.transparent
        self.halted += part.halted
        self.seconds += part.seconds
        self.counts = summed(self.counts, part.counts)
        self.failed |= part.failed

    def keep(self, path: Path) -> None:
        """Write it down, in one step."""
        part = path.with_suffix(".part")
        part.write_bytes(msgspec.json.encode(self))
        part.replace(path)


def summed(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """Return two counts as one."""
    return dict(sorted((Counter(one) + Counter(other)).items()))


def counted(tally: Part) -> dict[str, int]:
    """Return the figures of a report, by what they count."""
    kills = tally.counts.get("kill", 0)
    harms = {name: n for name, n in tally.counts.items() if name not in _NO_HARM}
    return {
        "runs": tally.runs,
        "runs compared with an undisturbed twin (P3)": tally.transparent,
        "runs that halted a symbol by name": tally.halted,
        "kills": kills,
        "troubles in all": sum(harms.values()),
        "lives": tally.counts.get("lives", 0),
        "orders": tally.counts.get("orders", 0),
        "commits": tally.counts.get("commits", 0),
        "requests": tally.counts.get("requests", 0),
        "events": tally.counts.get("events", 0),
        "seconds simulated": round(tally.seconds),
        "runs that broke a promise": len(tally.failed),
    }


_NO_HARM = frozenset(
    {
        "calls without room",
        "commits",
        "ended early",
        "events",
        "failed flushes",
        "lives",
        "lost answers of rows",
        "network: unreachable",
        "orders",
        "replicas compared",
        "requests",
        "states of replicas compared",
    }
)
