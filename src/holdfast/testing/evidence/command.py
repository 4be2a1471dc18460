"""The commands: examine, campaign, replay, and write the page.

Exit codes: 0 nothing is broken; 1 something is, in this run or still in the ledger; 2 it could not be done.
"""

import argparse
import fcntl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from holdfast.errors import HoldfastError, InvalidOption
from holdfast.testing.conformance.checks import Level
from holdfast.testing.conformance.examining import PACES, Report, Result
from holdfast.testing.evidence.backends import BACKENDS
from holdfast.testing.evidence.campaign import Campaign
from holdfast.testing.evidence.child import Seed, Unshown
from holdfast.testing.evidence.conformance import SLOW, Round
from holdfast.testing.evidence.ledger import Broken, Ledger
from holdfast.testing.evidence.page import is_current, write
from holdfast.testing.evidence.running import Children, Died
from holdfast.testing.evidence.ways import WAYS, cells

__all__ = ("main",)

STYLES: Final = {"kept": "green", "broken": "bold red", "not shown": "yellow"}


def main(argv: Sequence[str] | None = None) -> int:
    """Do what is asked from the command line."""
    asked, console = _parser().parse_args(argv), Console(highlight=False, emoji=False, soft_wrap=True)
    try:
        code: int = asked.run(asked, Ledger(asked.ledger), console)
    except HoldfastError as error:
        console.print(str(error), style="red", markup=False)
        return 2
    except KeyboardInterrupt:
        console.print("interrupted; what was counted stays counted")
        return 130
    return code


# ------------------------------------------------------------------------------------------ conformance


def _conformance(asked: argparse.Namespace, ledger: Ledger, console: Console) -> int:
    names = asked.only or list(BACKENDS)
    if unknown := set(names) - set(BACKENDS):
        raise InvalidOption(f"there is no {', '.join(sorted(unknown))}; known: {', '.join(BACKENDS)}")
    pace = "quick" if asked.quick else "thorough" if asked.thorough else asked.pace
    console.print(f"{len(names)} backends, pace {pace}, seed {asked.seed}; the ledger is {ledger.path}")
    telling = _Telling(console)
    found = Round(ledger, seed=asked.seed, pace=pace, jobs=asked.jobs, tell=telling.tell).run(names)
    console.print(_summary(found))
    _write(asked, ledger, console)
    bad = [
        name
        for name, one in found.items()
        if (one.broken if isinstance(one, Report) else one.startswith("died"))
    ]
    if bad:
        console.print(f"broken: {', '.join(bad)}; what broke is in {ledger.path}", style="red")
    return 1 if bad else 0


class _Telling:
    """Prints what is worth a line as it comes, whichever backend it is of."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._level: dict[str, Level] = {}
        self._lock = threading.Lock()

    def tell(self, name: str, said: Result | str) -> None:
        """Say that a level begins, and what is not as usual in it."""
        with self._lock:
            if isinstance(said, str):
                self._console.print(f"{name:<20} {said}", style="yellow", markup=False)
            else:
                self._result(name, said)

    def _result(self, name: str, said: Result) -> None:
        if self._level.get(name) != said.level:
            self._level[name] = said.level
            self._console.print(f"{name:<20} {said.level.value}", style="dim", markup=False)
        if said.state in ("broken", "not shown") or (said.state == "kept" and said.seconds > SLOW):
            slow = f" ({said.seconds:.0f} s)" if said.seconds > SLOW else ""
            line = f"{name:<20} {said.level.value:<15} {said.state:<10} {said.name}{slow} {said.said}"
            self._console.print("\n".join([line, *said.history]), style=STYLES[said.state], markup=False)


def _summary(found: dict[str, Report | str]) -> Table:
    made = Table(box=None, pad_edge=False)
    for head in ("backend", *(level.value for level in Level), "checks-kept"):
        made.add_column(head.replace("-", "-\n").replace("checks-", "checks"), no_wrap=True)
    for name, report in found.items():
        if isinstance(report, str):
            made.add_row(name, report.splitlines()[0])
        else:
            kept = sum(one.state == "kept" for one in report.results)
            made.add_row(name, *(_level(report, level) for level in Level), str(kept))
    return made


def _level(report: Report, level: Level) -> str:
    if level not in report.claims:
        return "[dim]-[/]"
    state = report.level(level)
    return f"[{STYLES[state]}]{state}[/]"


# ------------------------------------------------------------------------------------------ campaign


def _campaign(asked: argparse.Namespace, ledger: Ledger, console: Console) -> int:
    chosen = cells(asked.only)
    with _alone(asked.out):
        console.print(
            f"{len(chosen)} cells, {asked.minutes:g} minutes; counted in {ledger.path}; ^C loses nothing"
        )

        def tell(line: str) -> None:
            console.print(line, markup=False)

        done = Campaign(ledger, chosen, jobs=asked.jobs, tell=tell).run(asked.minutes)
    _write(asked, ledger, console)
    left = ledger.lines(Broken)
    for one in left:
        console.print(
            f"broken: {one.way}:{one.target}, seed {one.seed}: {one.replay}", style="red", markup=False
        )
    if left:
        console.print(f"it stays in {ledger.path} until somebody removes the line")
    return 1 if left or any(one.broken for one in done) else 0


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the lock of campaigns: two would use the same seeds. Raises InvalidOption where another runs."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "evidence.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InvalidOption(f"another campaign counts in {folder}") from None
        yield


def _play(asked: argparse.Namespace, _: Ledger, console: Console) -> int:
    """Do one seed of one cell again, and count nothing."""
    (cell,) = cells([asked.cell])
    broken = False
    try:
        for told in Children().said("play", str(cell), "--seed", str(asked.seed)):
            if isinstance(told, Seed):
                broken = bool(told.broken)
                console.print(", ".join(f"{count:,} {name}" for name, count in told.counts.items()))
                console.print("\n".join(told.broken) or "nothing broken", markup=False)
            elif isinstance(told, Unshown):
                console.print(f"not shown: {told.why}", markup=False)
    except Died as error:
        broken = True
        console.print(str(error), markup=False)
    return int(broken)


# ------------------------------------------------------------------------------------------ the page


def _page(asked: argparse.Namespace, ledger: Ledger, console: Console) -> int:
    if not asked.check:
        return _write(asked, ledger, console)
    if is_current(asked.page, ledger):
        return 0
    console.print(f"{asked.page} is not what {ledger.path} says: `make reliability` writes it", style="red")
    return 1


def _write(asked: argparse.Namespace, ledger: Ledger, console: Console) -> int:
    if asked.page.exists():
        write(asked.page, ledger)
        console.print(f"{asked.page} says what {ledger.path} does")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m holdfast.testing.evidence", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--ledger", type=Path, default=Path("docs/evidence.jsonl"))
    shared.add_argument("--page", type=Path, default=Path("docs/reliability.md"))
    shared.add_argument("--out", type=Path, default=Path(".campaign"), help="where the lock is")
    shared.add_argument("--jobs", type=int, default=0, help="at a time; as many as there are processors")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    one = commands.add_parser(
        "conformance", parents=[shared], help="every level on every backend and setting"
    )
    one.add_argument("--only", nargs="+", metavar="BACKEND", help=", ".join(BACKENDS))
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--pace", choices=tuple(PACES), default="normal")
    one.add_argument("--quick", action="store_true", help="a few tries of each")
    one.add_argument("--thorough", action="store_true", help="many tries of each: an hour")
    one.set_defaults(run=_conformance)

    one = commands.add_parser("campaign", parents=[shared], help="every way of trying, by turns")
    one.add_argument("--minutes", type=float, default=10.0)
    one.add_argument("--only", nargs="+", default=[], metavar="WAY[:TARGET]", help=", ".join(WAYS))
    one.set_defaults(run=_campaign)

    one = commands.add_parser("play", parents=[shared], help="one seed of one way on one target again")
    one.add_argument("cell", metavar="WAY:TARGET")
    one.add_argument("--seed", type=int, required=True)
    one.set_defaults(run=_play)

    one = commands.add_parser("page", parents=[shared], help="write the page from the ledger")
    one.add_argument("--check", action="store_true", help="only say whether it is what the ledger says")
    one.set_defaults(run=_page)
    return parser
