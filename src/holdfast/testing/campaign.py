"""The campaign: thousands of kills at random points and times, counted until they are done.

    python -m holdfast.testing.campaign --kills 2000 --seed 1
    python -m holdfast.testing.campaign --seed 1 --only 37        the 37th trial of that seed again, and no other
    python -m holdfast.testing.campaign --store redis             on a throw-away server, or on one of yours by its URL

Every trial follows from the seed and its number: which scenario, which faults of the exchange, and when its lives
end. Counts are kept in `.campaign/`, so that an interrupted campaign goes on. Broken designs are tried first, and
must be noticed.
"""

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from holdfast.testing.controls import CONTROLS
from holdfast.testing.crash import Kill, Nursery
from holdfast.testing.exchange.faults import Fault
from holdfast.testing.scenarios import SCENARIOS
from holdfast.testing.servers.park import KINDS, Park
from holdfast.testing.trial import Ground, Trial

__all__ = ("Plan", "Tally", "controls_noticed", "main", "plan_of")

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


def controls_noticed(ground: Ground) -> dict[str, bool]:
    """Return, by broken design, whether a kill between an order and its answer shows that it is broken."""
    kill = Kill(point="orders.sent", nth=1)
    return {patch: not ground.trial("take-profit", [kill], patches=[patch]).kept for patch in CONTROLS}


class _Campaign:
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


def main(argv: Sequence[str] | None = None) -> int:
    """Run a campaign from the command line; 1 where a promise was broken, or a broken design went unnoticed."""
    asked, console = _parser().parse_args(argv), Console(highlight=False, emoji=False)
    memory = Path("/dev/shm")  # noqa: S108  # kills say nothing about a disk, and this one is quick
    with ExitStack() as stack:
        root = stack.enter_context(tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None))
        nursery = stack.enter_context(Nursery(preload=[*_drivers(asked.store)]))
        grounds = [stack.enter_context(Ground(folder=root, nursery=nursery)) for _ in range(asked.workers)]
        store = _store(asked.store, stack.enter_context(Park()))
        campaign = _Campaign(asked.seed, asked.out, console, store=store)
        campaign.take(grounds)
        if asked.only:
            return _again(campaign, asked.only, console)
        console.print(f"seed {asked.seed}; the counts are in {asked.out}")
        if not _controls(grounds[0], console):
            return 1
        return _followed(campaign, asked.kills, asked.workers, console)


def _drivers(asked: str) -> Sequence[str]:
    return KINDS[asked].drivers if asked in KINDS else ()


def _store(asked: str, park: Park) -> str:
    """Return what trials make stores of: a URL as it is, a kind of store in folders, or on a server of the park."""
    if asked not in KINDS:
        return asked
    return park.server(asked).url if KINDS[asked].server else f"{asked}:"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m holdfast.testing.campaign", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--kills", type=int, default=2_000, help="kills in all, earlier ones of the seed included"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, default=0, metavar="TRIAL", help="try this one again")
    parser.add_argument("--store", default="file", help=f"{', '.join(KINDS)}, or a URL without a namespace")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(".campaign"))
    return parser


def _controls(ground: Ground, console: Console) -> bool:
    noticed = controls_noticed(ground)
    for patch, found in noticed.items():
        console.print(
            f"  broken on purpose, {patch.rpartition(':')[2]}: {'noticed' if found else 'NOT NOTICED'}"
        )
    return all(noticed.values())


def _again(campaign: _Campaign, number: int, console: Console) -> int:
    plan, trial = campaign.one(number)
    console.print(plan)
    kept = not isinstance(trial, str) and trial.kept
    console.print("kept" if kept else trial if isinstance(trial, str) else trial.broken, markup=False)
    return 0 if kept else 1


def _followed(campaign: _Campaign, kills: int, workers: int, console: Console) -> int:
    columns: list[Any] = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("kills", total=kills, completed=campaign.tally.kills)
        for tally in campaign.until(kills, workers):
            progress.update(task, completed=tally.kills)
    _report(campaign.tally, console)
    return 1 if campaign.tally.broken else 0


def _report(tally: Tally, console: Console) -> None:
    table = Table(box=None, show_header=False)
    facts: dict[str, int | str] = {
        "kills": tally.kills,
        "trials": tally.trials,
        "points hit": len([point for point in tally.hit if point]),
        "orders": tally.orders,
        "lost": tally.lost,
        "doubled": tally.doubled,
        "different": tally.different,
        "broken trials": len(tally.broken),
    }
    for name, value in facts.items():
        table.add_row(name, f"{value:,}" if isinstance(value, int) else value)
    console.print(table)
    console.print(msgspec.json.encode({"seed": tally.seed, **facts}).decode(), markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
