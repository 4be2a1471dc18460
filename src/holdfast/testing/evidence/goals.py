"""How much of each kind is to be tried, on each change and in a campaign, and how much of it the ledger has."""

from typing import Final

from msgspec import Struct

from holdfast.testing.evidence.ledger import Ledger
from holdfast.testing.evidence.ways import FILE_SYSTEMS, WAYS, Cell

__all__ = ("GOALS", "Goal", "is_reached", "reached")


class Goal(Struct, frozen=True, kw_only=True):
    """One line of targets: `count` of a way, summed over its `targets`, or for `each` of them."""

    what: str
    way: str
    count: str
    campaign: int
    change: str = ""
    each: bool = False
    targets: tuple[str, ...] = ()

    @property
    def where(self) -> tuple[str, ...]:
        """The targets that count."""
        return self.targets or WAYS[self.way].targets


GOALS: Final = (
    Goal(what="points where the power may go", way="crash-states", count="points", campaign=5_000, change="300"),
    Goal(what="states that it may leave", way="crash-states", count="states", campaign=50_000, change="2,000"),
    *(
        Goal(
            what=f"power cuts under {label}, on ext4 and on xfs", way="power-cuts", count="cuts", campaign=campaign,
            change=change, each=True, targets=tuple(f"{name}-{on}" for on in FILE_SYSTEMS),
        )
        for name, label, change, campaign in (
            ("file", "files", "50", 1_000), ("sqlite", "SQLite", "50", 1_000), ("redis", "Redis", "50", 1_000),
            ("postgres", "PostgreSQL", "10", 200),
        )
    ),
    Goal(what="bots killed", way="kills", count="kills", campaign=20_000, change="1,000"),
    Goal(what="servers killed under load", way="servers-killed", count="server kills", campaign=200, each=True),
    Goal(
        what="checks of errors of calls", way="faults", count="checks", campaign=100, each=True,
        change="each call of a put, a delete, an open",
    ),
    Goal(what="stateful steps", way="stateful", count="steps", campaign=200_000, change="5,000"),
    Goal(what="histories of 400 operations", way="histories", count="histories", campaign=2_000, change="50"),
    *(
        Goal(what=f"networks: {harm}", way="network", count=harm, campaign=100, change="1", each=True)
        for harm in ("connections reset", "requests lost", "answers lost", "server stopped", "network slow")
    ),
    Goal(what="runs of the whole framework, simulated", way="simulation", count="runs", campaign=10_000),
    Goal(what="inputs that were fuzzed", way="fuzzing", count="inputs", campaign=1_000_000),
    Goal(what="broken designs noticed", way="controls", count="noticed", campaign=8, change="8"),
)  # fmt: skip


def reached(ledger: Ledger, goal: Goal) -> int:
    """Return how much of a goal the ledger has: the sum, or the least of its targets."""
    counts = [ledger.total(goal.way, target)[goal.count] for target in goal.where]
    return min(counts) if goal.each else sum(counts)


def is_reached(ledger: Ledger, cell: Cell) -> bool:
    """Return whether a cell has its part of every goal that it counts for; a cell that counts for none never has."""
    mine = [goal for goal in GOALS if goal.way == cell.way and cell.target in goal.where]
    total = ledger.total(cell.way, cell.target)
    return bool(mine) and all(
        total[goal.count] * (1 if goal.each else len(goal.where)) >= goal.campaign for goal in mine
    )
