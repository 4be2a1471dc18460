"""Live bots, their stores and their exchange on a simulated clock, network and disk, all from one seed.

    outcome = outcome_of(plan_of(seed=1, number=37))
    assert not outcome.broken
    python -m holdfast.testing.simulation --seed 1 --runs 10000

The framework is the real one, all of it: what it is handed (clock, ids, threads, disk, a client's session) is
simulated, and the exchange is the engine of the simulated exchange. The store is the file store on a simulated disk, a
user's adapter, or a model of a server that several bots share, by itself or in the real wrappers: cached, encrypted,
observed, and replicated to a server on another machine.

Bots are killed at any instant, machines lose their power or are suspended, disks fill up and fail, clocks jump,
requests and answers are lost, late or repeated, two bots share a store that goes away or back. Replicas stay away,
have no room, or go back; a primary is lost for good, or is to be left, and an operator, who may be killed on the way,
promotes its replica, on which the bots go on. After each run the three promises are checked, and that every replica
was some state of its primary whenever it could be read, and is its primary in the end. A failure is replayed from its
seed, and made smaller by leaving troubles out.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.testing.simulation.hushing import hushed
    from holdfast.testing.simulation.judging import Outcome, outcome_of
    from holdfast.testing.simulation.plan import Plan, Trouble, plan_of

__all__ = ("Outcome", "Plan", "Trouble", "hushed", "outcome_of", "plan_of")

_HOME_OF = {
    "Outcome": "judging",
    "Plan": "plan",
    "Trouble": "plan",
    "hushed": "hushing",
    "outcome_of": "judging",
    "plan_of": "plan",
}


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return value
