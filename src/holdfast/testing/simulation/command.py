"""The command line of the simulation."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from holdfast.testing.extras import lacking
from holdfast.testing.simulation import campaign
from holdfast.testing.simulation.plan import plan_of
from holdfast.testing.simulation.stores import EXTRAS
from holdfast.testing.simulation.tally import Tally, counted

__all__ = ("main",)

FOR_EVER = 10**9


def main(argv: Sequence[str] | None = None) -> int:
    """Run a campaign, or one run again; 1 where a promise was broken, or a broken design went unnoticed.

    2 where it cannot run here.
    """
    asked, console = _parser().parse_args(argv), Console(highlight=False, emoji=False)
    if why := lacking(*EXTRAS):
        console.print(why, markup=False, soft_wrap=True)
        return 2
    if asked.only is not None:
        return _again(asked, console)
    if not _controls(asked.seed, console):
        return 1
    return _followed(asked, console)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m holdfast.testing.simulation", description=campaign.__doc__
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=0, help="runs in all, earlier ones of the seed included")
    parser.add_argument("--minutes", type=float, default=0.0, help="no new runs after so long")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--only", type=int, metavar="RUN", help="this run again, and no other")
    parser.add_argument(
        "--keep", default="", metavar="PLACES", help="only these of its troubles: 0,2 or none"
    )
    parser.add_argument("--trace", action="store_true", help="print all that happens in it")
    parser.add_argument("--out", type=Path, default=Path(".campaign"))
    return parser


def _again(asked: Any, console: Console) -> int:
    kept = [int(place) for place in asked.keep.split(",") if place != "none"] if asked.keep else None
    plan = plan_of(asked.seed, asked.only)
    outcome = campaign.again(asked.seed, asked.only, kept, trace=asked.trace)
    lines = [*outcome.trace, plan.words]
    lines += [f"  trouble {i}: {t}" for i, t in enumerate(plan.troubles) if kept is None or i in kept]
    lines += [f"  halted: {line}" for line in outcome.halted]
    lines += [f"  BROKEN {line}" for line in outcome.broken] or ["  every promise was kept"]
    lines += [f"  {outcome.seconds:.3f} s simulated; trace {outcome.digest}"]
    console.print("\n".join(lines), markup=False, soft_wrap=True)
    return 1 if outcome.broken else 0


def _controls(seed: int, console: Console) -> bool:
    unnoticed = 0
    for name, runs in campaign.controls_noticed(seed):
        console.print(f"  broken on purpose, {name}: {f'noticed in run {runs}' if runs else 'NOT NOTICED'}")
        unnoticed += not runs
    return not unnoticed


def _followed(asked: Any, console: Console) -> int:
    runs = asked.runs or (FOR_EVER if asked.minutes else 1_000)
    work = campaign.Campaign(asked.seed, asked.out, console)
    columns: list[Any] = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("runs", total=runs if asked.runs else None, completed=work.tally.runs)
        for tally in work.until(runs, asked.minutes * 60 or float("inf"), asked.jobs):
            progress.update(task, completed=tally.runs)
    _report(work.tally, console)
    return 1 if work.tally.failed else 0


def _report(tally: Tally, console: Console) -> None:
    table = Table(box=None, show_header=False)
    facts = {
        **counted(tally),
        **{f"  {name}": n for name, n in tally.counts.items()},
        "runs a minute": round(60 * tally.runs / tally.took) if tally.took else 0,
    }
    for name, value in facts.items():
        table.add_row(name, f"{value:,}")
    console.print(table)
    console.print(msgspec.json.encode({"seed": tally.seed, **facts}).decode(), markup=False, soft_wrap=True)
