"""Runs by the thousand: from where an earlier process left off, on several processes, with what failed made small.

    python -m holdfast.testing.simulation --seed 1 --runs 10000 --jobs 2
    python -m holdfast.testing.simulation --seed 1 --only 37 --trace      the 37th run again, with all that happens
    python -m holdfast.testing.simulation --seed 1 --only 37 --keep 0,2   with only two of its troubles

Counts are kept in `.campaign/`. Broken designs are tried first, and must be noticed.
"""

import multiprocessing
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Final

from rich.console import Console

from holdfast.testing.simulation.controls import CONTROLS, noticed
from holdfast.testing.simulation.hushing import hushed
from holdfast.testing.simulation.judging import Outcome, outcome_of
from holdfast.testing.simulation.plan import plan_of
from holdfast.testing.simulation.shrinking import kept_of, smallest
from holdfast.testing.simulation.tally import Part, Tally

__all__ = ("CHUNK", "Campaign", "again", "controls_noticed", "some_runs", "told")

CHUNK: Final = 25


def some_runs(seed: int, first: int, count: int) -> Part:
    """Return the count of some runs of a seed, whatever they come to."""
    part = Part()
    with hushed():
        for number in range(first, first + count):
            plan = plan_of(seed, number)
            part.count(number, plan, outcome_of(plan))
    return part


def again(seed: int, number: int, kept: Sequence[int] | None = None, *, trace: bool = False) -> Outcome:
    """Return what comes of one run, or of the part of it that has only those of its troubles."""
    with hushed():
        return outcome_of(kept_of(plan_of(seed, number), kept), trace=trace)


def controls_noticed(seed: int) -> Iterator[tuple[str, int]]:
    """Yield each broken design, and in how many runs it was noticed (0: not at all)."""
    with hushed():
        for name in CONTROLS:
            found = noticed(name, seed=seed)
            yield name, found[0] if found is not None else 0


class Campaign:
    """The runs of a seed, some processes at a time."""

    def __init__(self, seed: int, folder: Path, console: Console) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"simulation-seed-{seed}.json"
        self._console = console
        self.tally = Tally.at(self._path, seed)

    def until(self, runs: int, seconds: float, jobs: int) -> Iterator[Tally]:
        """Go on until so many runs are counted in all, or so many seconds have passed; yield the tally now and then."""
        began, before = time.monotonic(), self.tally.took
        first, waiting = self.tally.runs, dict[int, Part]()
        running: dict[Future[Part], int] = {}
        with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
            begun = first
            while first < runs:
                going = time.monotonic() - began < seconds
                while going and len(running) < 2 * jobs and begun < runs:
                    count = min(CHUNK, runs - begun)
                    running[pool.submit(some_runs, self.tally.seed, begun, count)] = begun
                    begun += count
                if not running:
                    break
                for future in wait(running, return_when="FIRST_COMPLETED").done:
                    waiting[running.pop(future)] = future.result()
                while first in waiting:  # in their order, so that what is kept has no holes
                    part = waiting.pop(first)
                    first += part.runs
                    self.tally.took = before + time.monotonic() - began
                    self._keep(part)
                    yield self.tally

    def _keep(self, part: Part) -> None:
        self.tally.add(part)
        self.tally.keep(self._path)
        for number in part.failed:
            self._console.print(told(self.tally.seed, number), style="red", markup=False, soft_wrap=True)


def told(seed: int, number: int) -> str:
    """Return a failure in words: what broke, with the fewest troubles that break it, and how to see it again."""
    plan = plan_of(seed, number)
    with hushed():
        kept, outcome = smallest(plan)
    command = f"python -m holdfast.testing.simulation --seed {seed} --only {number} --trace"
    lines = [
        f"run {number} of seed {seed}: {plan.words}",
        *(f"  {line}" for line in outcome.broken[:5]),
        *(f"  trouble {place}: {plan.troubles[place]}" for place in kept),
        f"  again: {command} --keep {','.join(map(str, kept)) or 'none'}",
    ]
    return "\n".join(lines)
