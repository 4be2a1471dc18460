"""The crash-state explorer: a seed is a round, of one plan and of recoveries from some states that it left."""

from collections.abc import Iterator
from contextlib import contextmanager

from holdfast.testing.conformance.checks import NotShown
from holdfast.testing.evidence.ways import Found, Play
from holdfast.testing.explorer.campaign import Tally, played
from holdfast.testing.explorer.strace import TraceAgain, missing

__all__ = ("SEED", "crash_states")

SEED = "campaign"


@contextmanager
def crash_states(target: str) -> Iterator[Play]:
    """Yield what explores a round of a target of `holdfast.testing.targets`."""
    if why := missing():
        raise NotShown(why)
    yield lambda seed: _round(target, seed)


def _round(target: str, seed: int) -> Found:
    tally = Tally(target=target, seed=SEED)
    try:
        for index, found in enumerate(played(target, SEED, seed)):
            tally.count(seed, found, recovery=index > 0)
    except TraceAgain:
        return Found({"rounds": 0, "rounds skipped": 1})
    counts = {
        "rounds": 1, "points": tally.points, "states": tally.states,
        "of them in a recovery": tally.states_in_recovery, "states broken": tally.failed,
    }  # fmt: skip
    return Found(counts, tuple(tally.violations))
