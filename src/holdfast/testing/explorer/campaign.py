"""The crash-state campaign: thousands of states of a store, and of its recovery from them, counted until they are done.

    python -m holdfast.testing.explorer file sqlite --states 5000 --minutes 20 --seed 1
    python -m holdfast.testing.explorer file --seed 1 --only 37       round 37 of that seed again, and no other

A round traces one plan (several lives, some killed), explores it, picks some of the crash states that it found, traces
the *recovery* of each, and explores that, too. Everything follows from the seed and the round's number, but for the
order in which threads ran. Counts are kept in `.campaign/`, so that an interrupted campaign goes on.
"""

import argparse
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct
from rich.console import Console

from holdfast.testing.explorer.enumerating import states
from holdfast.testing.explorer.exploring import Exploration, explore, scratch
from holdfast.testing.explorer.models import ORDERED, STRICT, Model
from holdfast.testing.explorer.moments import State
from holdfast.testing.explorer.operations import Trace
from holdfast.testing.explorer.strace import TraceAgain
from holdfast.testing.explorer.tracing import trace
from holdfast.testing.targets.trials import REPAIR, Trial, trial_of

__all__ = ("Tally", "main", "play", "played")

MOST = 10
RECOVERIES = 3
TRIES = 4
MOST_BARREN = 5
"""So many rounds that show nothing, one after the other, end a target: the others would not either."""
NOT_SHOWN = 3
"""The exit code where a target showed nothing."""


class Tally(Struct, kw_only=True):
    """What has been counted so far; `violations` says which rounds broke a promise, and how."""

    target: str
    seed: str
    rounds: int = 0
    traces: int = 0
    recoveries: int = 0
    points: int = 0
    states: int = 0
    states_in_recovery: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    violations: list[str] = msgspec.field(default_factory=list)

    def count(self, number: int, found: Exploration, *, recovery: bool) -> None:
        """Add what one exploration found."""
        self.traces += 1
        self.recoveries += recovery
        self.points += found.points
        self.states += found.states
        self.states_in_recovery += found.states if recovery else 0
        self.failed += found.failed
        if found.shortest:
            where = f"round {number}{', in recovery' if recovery else ''} ({found.model})"
            self.violations.append(f"{where}: {found.failed} states\n{found.shortest.history}")


def play(
    name: str, seed: str, number: int, *, most: int = MOST, recoveries: int = RECOVERIES
) -> Iterator[Exploration]:
    """Yield the exploration of a round's plan, then those of recoveries from states that it left."""
    chance = random.Random(f"{seed}/{number}/explorer")  # noqa: S311  # repeatable on purpose
    model = ORDERED if number % 4 == 3 else STRICT
    with scratch() as place:
        first = place / "first"
        first.mkdir()
        trial = trial_of(name, seed, number, str(first))
        traced = _traced(trial, trial.arguments(str(first)), first)
        yield explore(traced, trial.check, model=model, most=most, seed=number)
        for index, state in enumerate(_picked(traced, model, most, recoveries, chance)):
            folder = place / f"again-{index}"
            folder.mkdir()
            state.write(folder)
            again = _traced(trial, trial.again(str(folder), chance), folder, state.marks)
            yield explore(again, trial.check, model=model, most=most, seed=number)


def played(
    name: str, seed: str, number: int, *, most: int = MOST, recoveries: int = RECOVERIES
) -> list[Exploration]:
    """Return all of a round; where threads ran so that a trace cannot be read, it is traced again.

    Raises TraceAgain where that is so every time.
    """
    tries = TRIES
    while True:
        tries -= 1
        try:
            return list(play(name, seed, number, most=most, recoveries=recoveries))
        except TraceAgain:
            if not tries:
                raise


def _traced(trial: Trial, arguments: Sequence[str], folder: Path, before: Sequence[str] = ()) -> Trace:
    return trace(trial.program, *arguments, folder=folder, before=before, ignore=trial.ignore)


def _picked(traced: Trace, model: Model, most: int, count: int, chance: random.Random) -> list[State]:
    """Return some of the states in which something was lost, each as likely as any other."""
    picked: list[State] = []
    seen = 0
    for state in states(traced, model=model, most=most):
        if state.lost():
            seen += 1
            if len(picked) < count:
                picked.append(state)
            elif chance.random() < count / seen:
                picked[chance.randrange(count)] = state
    return picked


def main(argv: Sequence[str] | None = None) -> int:
    """Run a campaign from the command line; 1 where a promise was broken, 3 where a target showed nothing."""
    asked, console = _parser().parse_args(argv), Console(highlight=False, emoji=False, soft_wrap=True)
    deadline = time.monotonic() + 60 * asked.minutes if asked.minutes else float("inf")
    tallies = [_Kept(asked, name) for name in asked.targets]
    if asked.only is not None:
        return max(kept.again(asked.only, console) for kept in tallies)
    for kept in tallies:
        barren = 0
        while kept.tally.states < asked.states and time.monotonic() < deadline and barren < MOST_BARREN:
            barren = 0 if kept.round(console) else barren + 1
        console.print(kept.facts())
    if any(kept.tally.violations for kept in tallies):
        return 1
    return 0 if all(kept.tally.states for kept in tallies) else NOT_SHOWN


class _Kept:
    """A tally and the file it is kept in."""

    def __init__(self, asked: argparse.Namespace, name: str) -> None:
        asked.out.mkdir(parents=True, exist_ok=True)
        self._asked = asked
        self._path: Path = asked.out / f"explorer-{name.replace(':', '.')}-{asked.seed}.json"
        known = self._path.read_bytes() if self._path.exists() else b""
        self.tally = msgspec.json.decode(known, type=Tally) if known else Tally(target=name, seed=asked.seed)

    def round(self, console: Console) -> bool:
        """Play the next round and keep what came of it; return whether it showed any state."""
        tally, began = self.tally, time.monotonic()
        before, shown = len(tally.violations), tally.states
        try:
            for index, found in enumerate(self._played(tally.rounds)):
                tally.count(tally.rounds, found, recovery=index > 0)
        except TraceAgain as error:
            tally.skipped += 1
            console.print(f"round {tally.rounds} is skipped: {error}", markup=False)
        for violation in tally.violations[before:]:
            console.print(violation, style="red", markup=False)
        tally.rounds += 1
        tally.seconds = round(tally.seconds + time.monotonic() - began, 1)
        self._save()
        console.print(
            f"  {tally.target}: {tally.states:,} states at {tally.points:,} points, {tally.failed} failed"
        )
        return tally.states > shown

    def facts(self) -> str:
        """Return the counts as one line of JSON."""
        told = msgspec.to_builtins(self.tally)
        return msgspec.json.encode({**told, "violations": len(self.tally.violations)}).decode()

    def again(self, number: int, console: Console) -> int:
        """Play a round, count nothing, and say all that it found."""
        found = self._played(number)
        for each in found:
            console.print(str(each), markup=False)
        return int(any(each.failed for each in found))

    def _played(self, number: int) -> list[Exploration]:
        name, seed = self.tally.target, self.tally.seed
        return played(name, seed, number, most=self._asked.most, recoveries=self._asked.recoveries)

    def _save(self) -> None:
        part = self._path.with_suffix(".part")
        part.write_bytes(msgspec.json.encode(self.tally))
        part.replace(self._path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m holdfast.testing.explorer", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("targets", nargs="*", default=["file", "sqlite", REPAIR], metavar="TARGET")
    parser.add_argument(
        "--states", type=int, default=5_000, help="states of each target, earlier ones included"
    )
    parser.add_argument("--minutes", type=float, default=0, help="stop after so long in all")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--most", type=int, default=MOST, help="states tried at one point")
    parser.add_argument(
        "--recoveries", type=int, default=RECOVERIES, help="traced and explored in each round"
    )
    parser.add_argument("--only", type=int, metavar="ROUND", help="play this one again")
    parser.add_argument("--out", type=Path, default=Path(".campaign"))
    return parser
