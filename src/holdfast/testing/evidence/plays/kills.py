"""Bots killed at random instants: a seed is a trial, one scenario with several kills and perhaps a fault."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from holdfast.testing.campaign import Tally, controls_noticed, plan_of
from holdfast.testing.conformance.checks import NotShown
from holdfast.testing.crash import Nursery
from holdfast.testing.evidence.ways import Found, Play
from holdfast.testing.scenarios import SCENARIOS
from holdfast.testing.servers.park import KINDS, Park
from holdfast.testing.servers.process import NotStarted
from holdfast.testing.trial import Ground

__all__ = ("SEED", "kills")

SEED: Final = 11
"""Of the plans: a trial's number is the seed of the evidence."""

MEMORY: Final = Path("/dev/shm")  # noqa: S108  # kills say nothing about a disk, and this one is quick


@contextmanager
def kills(target: str) -> Iterator[Play]:
    """Yield what makes a trial on a kind of store; broken designs come first, and must be noticed."""
    with ExitStack() as stack:
        folder = str(MEMORY) if MEMORY.is_dir() else None
        root = stack.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-kills-", dir=folder))
        nursery = stack.enter_context(Nursery(preload=KINDS[target].drivers))
        ground = stack.enter_context(Ground(folder=root, nursery=nursery))
        store = _store(target, stack.enter_context(Park()))
        traces = {name: _trace(ground, name, store) for name in sorted(SCENARIOS)}
        controls = controls_noticed(ground)
        yield lambda seed: _trial(ground, store, seed, traces, controls)


def _store(target: str, park: Park) -> str:
    """Return what trials make stores of."""
    try:
        return park.server(target).url if KINDS[target].server else f"{target}:"
    except (NotStarted, FileNotFoundError) as error:
        raise NotShown(str(error)) from error


def _trace(ground: Ground, scenario: str, store: str) -> tuple[str, ...]:
    if store == "file:":
        return ground.trace(scenario)
    return ground.trial(scenario, store=store).story.last.reached


def _trial(
    ground: Ground, store: str, seed: int, traces: dict[str, tuple[str, ...]], controls: dict[str, bool]
) -> Found:
    tally, plan = Tally(seed=SEED), plan_of(SEED, seed, traces)
    try:
        trial = ground.trial(plan.scenario, plan.kills, faults=plan.faults, dedupe=plan.dedupe, store=store)
        tally.count(plan, trial)
    except Exception as error:  # a bot that raises or hangs is a finding
        tally.count(plan, f"{type(error).__name__}: {error}")
    missed = [f"a broken design was not noticed: {name}" for name, noticed in controls.items() if not noticed]
    counts = {
        "trials": 1, "kills": tally.kills, "orders": tally.orders, "lost": tally.lost, "doubled": tally.doubled,
        "different": tally.different,
    }  # fmt: skip
    return Found(counts, (*tally.broken, *missed))
