"""The campaign: thousands of kills at random points and times, counted until they are done.

    python -m holdfast.testing.campaign --kills 2000 --seed 1
    python -m holdfast.testing.campaign --seed 1 --only 37        the 37th trial of that seed again, and no other
    python -m holdfast.testing.campaign --store redis             on a throw-away server, or on one of yours by its URL

Every trial follows from the seed and its number: which scenario, which faults of the exchange, and when its lives
end. Counts are kept in `.campaign/`, so that an interrupted campaign goes on. Broken designs are tried first, and
must be noticed.
"""

import argparse
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from holdfast.testing.campaign.trials import Campaign, Tally, controls_noticed
from holdfast.testing.crash import Nursery
from holdfast.testing.servers.park import KINDS, Park
from holdfast.testing.trial import Ground

__all__ = ("main",)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a campaign from the command line; 1 where a promise was broken, or a broken design went unnoticed."""
    asked, console = _parser().parse_args(argv), Console(highlight=False, emoji=False)
    memory = Path("/dev/shm")  # noqa: S108  # kills say nothing about a disk, and this one is quick
    with ExitStack() as stack:
        root = stack.enter_context(tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None))
        nursery = stack.enter_context(Nursery(preload=[*_drivers(asked.store)]))
        grounds = [stack.enter_context(Ground(folder=root, nursery=nursery)) for _ in range(asked.workers)]
        store = _store(asked.store, stack.enter_context(Park()))
        campaign = Campaign(asked.seed, asked.out, console, store=store)
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


def _again(campaign: Campaign, number: int, console: Console) -> int:
    plan, trial = campaign.one(number)
    console.print(plan)
    kept = not isinstance(trial, str) and trial.kept
    console.print("kept" if kept else trial if isinstance(trial, str) else trial.broken, markup=False)
    return 0 if kept else 1


def _followed(campaign: Campaign, kills: int, workers: int, console: Console) -> int:
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
