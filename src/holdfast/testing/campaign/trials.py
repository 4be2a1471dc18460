"""The trials of a campaign, several at a time, and what has been counted: it goes on where it was."""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from queue import SimpleQueue

import msgspec
from msgspec import Struct
from rich.console import Console

from holdfast.testing.campaign.plan import Plan, plan_of
from holdfast.testing.controls import CONTROLS
from holdfast.testing.crash import Kill
from holdfast.testing.scenarios import SCENARIOS
from holdfast.testing.trial import Ground, Trial

__all__ = ("Campaign", "Tally", "controls_noticed")


class Tally(Struct, kw_only=True):
    """What has been counted so far; `broken` says which trials broke a promise, and how."""

    seed: int
    trials: int = 0
    kills: int = 0
    orders: int = 0
    lost: int = 0
    doubled: int = 0
    different: int = 0
    hit: dict[str, int] = msgspec.field(default_factory=dict)
    broken: list[str] = msgspec.field(default_factory=list)

    def count(self, plan: Plan, trial: Trial | str) -> None:
        """Add a trial, or what went wrong instead of one."""
        self.trials += 1
        if isinstance(trial, str):
            self.broken.append(f"trial {plan.number} ({plan.scenario}): {trial}")
            return
        self.kills += trial.story.kills
        self.orders += trial.seen.witness.orders
        self.lost += len(trial.lost)
        self.doubled += len(trial.doubled)
        self.different += bool(trial.different)
        self.hit = dict(sorted((Counter(self.hit) + Counter(trial.story.died_at)).items()))
        if not trial.kept:
            self.broken.append(f"trial {plan.number} ({plan.scenario}): {trial.broken}")


def controls_noticed(ground: Ground) -> dict[str, bool]:
    """Return, by broken design, whether a kill between an order and its answer shows that it is broken."""
    kill = Kill(point="orders.sent", nth=1)
    return {patch: not ground.trial("take-profit", [kill], patches=[patch]).kept for patch in CONTROLS}


class Campaign:
    """The trials of a seed, two at a time, from where an earlier process has left off."""

    def __init__(self, seed: int, folder: Path, console: Console, *, store: str) -> None:
        self._console = console
        self._store = store
        kind = "" if store == "file:" else f"{store.partition(':')[0]}-"
        self._path = folder / f"{kind}seed-{seed}.json"
        folder.mkdir(parents=True, exist_ok=True)
        known = self._path.read_bytes() if self._path.exists() else b""
        self.tally = msgspec.json.decode(known, type=Tally) if known else Tally(seed=seed)
        self._free: SimpleQueue[Ground] = SimpleQueue()
        self._traces: dict[str, tuple[str, ...]] = {}

    def take(self, grounds: Sequence[Ground]) -> None:
        """Use these grounds, and learn from one what every scenario passes when left alone."""
        for ground in grounds:
            self._free.put(ground)
        self._traces = {name: self._trace(grounds[0], name) for name in sorted(SCENARIOS)}

    def _trace(self, ground: Ground, scenario: str) -> tuple[str, ...]:
        if self._store == "file:":
            return ground.trace(scenario)
        return ground.trial(scenario, store=self._store).story.last.reached

    def one(self, number: int) -> tuple[Plan, Trial | str]:
        """Try one trial; what goes wrong in it is told instead."""
        plan = plan_of(self.tally.seed, number, self._traces)
        ground = self._free.get()
        try:
            trial = ground.trial(
                plan.scenario, plan.kills, faults=plan.faults, dedupe=plan.dedupe, store=self._store
            )
        except (
            Exception
        ) as error:  # a bot that raises or hangs is a finding, and the others are still to be tried
            return plan, f"{type(error).__name__}: {error}"
        finally:
            self._free.put(ground)
        return plan, trial

    def until(self, kills: int, workers: int) -> Iterator[Tally]:
        """Go on until so many kills are counted in all, and yield the tally after each trial."""
        number, running = self.tally.trials, set[Future[tuple[Plan, Trial | str]]]()
        with ThreadPoolExecutor(workers) as pool:
            while self.tally.kills < kills:
                while len(running) < workers:
                    number += 1
                    running.add(pool.submit(self.one, number))
                done, running = wait(running, return_when="FIRST_COMPLETED")
                for future in done:
                    self._keep(*future.result())
                    yield self.tally
            for future in running:
                self._keep(*future.result())

    def _keep(self, plan: Plan, trial: Trial | str) -> None:
        before = len(self.tally.broken)
        self.tally.count(plan, trial)
        for line in self.tally.broken[before:]:
            self._console.print(line, style="red", markup=False)
        part = self._path.with_suffix(".part")
        part.write_bytes(msgspec.json.encode(self.tally))
        part.replace(self._path)
