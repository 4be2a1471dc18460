"""Fuzz all that reads, for as long as there is time, and count: inputs, branches reached, and what broke.

    python -m holdfast.testing.fuzzing                                every target, a minute each
    python -m holdfast.testing.fuzzing file.read url --minutes 30 --seed 2 --engine atheris
    python -m holdfast.testing.fuzzing --replay .campaign/fuzz/FILE file.read       that input again, and its story

A target is a name of the list that --list shows, or package.module:function of your own. Readers with a bug are fuzzed
first, and must be found. Counts, and the inputs that broke something, are kept in `.campaign/`: a campaign goes on.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct
from rich.console import Console

from holdfast.errors import HoldfastError
from holdfast.testing.extras import lacking
from holdfast.testing.fuzzing.counting import Counting
from holdfast.testing.fuzzing.guessing import examined, guessed
from holdfast.testing.fuzzing.led import Lap, NotThere, led
from holdfast.testing.fuzzing.spraying import rained, sprayed
from holdfast.testing.fuzzing.target import Crash, Target, crash_of, target_of
from holdfast.testing.fuzzing.targets import CONTROLS, EXTRAS, TARGETS

__all__ = ("Tally", "main", "noticed")

ENGINES = ("hypothesis", "atheris", "chance")
EXAMPLES = 500
SECONDS = 20.0
ROUNDS = 1_000_000
"""More than a lap has in days."""


class Tally(Struct, kw_only=True):
    """What has been counted of a target so far: `crashes` are the kinds of them, each with its input's file."""

    target: str
    engine: str
    seed: int
    laps: int = 0
    inputs: int = 0
    branches: int = 0
    corpus: int = 0
    seconds: float = 0.0
    crashes: dict[str, str] = {}


class _Campaign:
    """One target's tally, and the file that it is kept in."""

    def __init__(self, asked: argparse.Namespace, target: Target, console: Console) -> None:
        self._asked, self._target, self._console = asked, target, console
        self._folder: Path = asked.out / "fuzz"
        self._folder.mkdir(parents=True, exist_ok=True)
        name = target.name.replace(":", ".")
        self._path: Path = asked.out / f"fuzz-{asked.engine}-{name}-{asked.seed}.json"
        self._corpus = self._folder / f"corpus-{name}"
        known = self._path.read_bytes() if self._path.exists() else b""
        fresh = Tally(target=target.name, engine=asked.engine, seed=asked.seed)
        self.tally = msgspec.json.decode(known, type=Tally) if known else fresh

    def run(self, seconds: float) -> Tally:
        """Fuzz for so long, and tell as it goes."""
        began, before = time.monotonic(), self.tally.inputs
        spent = self.tally.seconds
        for lap in self._laps(seconds):
            self.tally.inputs, self.tally.branches = before + lap.inputs, lap.branches or self.tally.branches
            self.tally.corpus = lap.corpus or self.tally.corpus
            self.tally.seconds = round(spent + time.monotonic() - began, 1)
            if lap.crash is not None:
                self._broken(lap.crash)
            self._save()
            self._tell(end="\r" if self._console.is_terminal else "")
        self.tally.laps += 1
        self._save()
        self._console.print(self._line(), markup=False)
        return self.tally

    def _laps(self, seconds: float) -> Iterator[Lap]:
        known = frozenset(self.tally.crashes)
        number = self._asked.seed * 10_000 + self.tally.laps * 100
        if self._asked.engine == "atheris":
            yield from led(self._target, seconds=seconds, number=number, known=known, corpus=self._corpus)
            return
        lap, engine = Lap(), rained if self._asked.engine == "chance" else guessed
        # Each round takes the next number: those of a long lap are none of the next lap's, nor of another seed's.
        for inputs, crash in engine(self._target, seconds=seconds, number=number * ROUNDS, known=known):
            lap.inputs, lap.crash = lap.inputs + inputs, crash
            yield lap

    def _broken(self, crash: Crash) -> None:
        """Keep the input of a crash of a kind that is new, and say how to see it again."""
        if crash.kind in self.tally.crashes:
            return
        path = self._folder / f"{self._target.name.replace(':', '.')}-{crash.name}.bin"
        path.write_bytes(crash.data)
        self.tally.crashes = {**self.tally.crashes, crash.kind: str(path)}
        self._console.print(f"{self._target.name}: {crash.kind}", style="red", markup=False)
        self._console.print(f"  {_command(path, self._target.name)}", markup=False)

    def _tell(self, *, end: str) -> None:
        if end:
            self._console.print(self._line(), end=end, markup=False)

    def _line(self) -> str:
        tally = self.tally
        reached = f", {tally.branches:,} branches, {tally.corpus:,} inputs kept" if tally.branches else ""
        done = f"{tally.inputs:,} inputs in {tally.seconds:,.0f} s{reached}"
        return f"  {tally.target}: {done}, {len(tally.crashes)} crashes"

    def _save(self) -> None:
        part = self._path.with_suffix(".part")
        part.write_bytes(msgspec.json.encode(self.tally))
        part.replace(self._path)


def noticed(name: str, *, engine: str, corpus: Path) -> bool:
    """Whether an engine finds what is wrong with a control, a reader with a bug."""
    target = target_of(CONTROLS[name])
    if engine == "hypothesis":
        return examined(target, examples=EXAMPLES, number=1) is not None
    if engine == "chance":
        return sprayed(target, number=1, most=40 * EXAMPLES)[1] is not None
    return any(
        lap.crash is not None
        for lap in led(
            target, seconds=SECONDS, number=1, known=frozenset(), corpus=corpus / f"control-{name}"
        )
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run a campaign from the command line; 1 where something broke, 2 where it cannot run as asked."""
    asked, console = _parser().parse_args(argv), Console(highlight=False, emoji=False, soft_wrap=True)
    if asked.list:
        for name in TARGETS:
            console.print(f"{name:16} {target_of(name).promise}", markup=False)
        return 0
    if why := lacking(*EXTRAS):
        console.print(why, style="red", markup=False)
        return 2
    try:
        targets = [target_of(name) for name in asked.targets or TARGETS]
        if asked.replay:
            return max(_again(asked.replay, target, console) for target in targets)
        return _run(asked, targets, console)
    except (NotThere, HoldfastError) as error:
        console.print(str(error), style="red", markup=False)
        return 2


def _run(asked: argparse.Namespace, targets: Sequence[Target], console: Console) -> int:
    console.print(f"seed {asked.seed}, {asked.engine}; the counts are in {asked.out}")
    for name in CONTROLS:
        found = noticed(name, engine=asked.engine, corpus=asked.out / "fuzz")
        console.print(f"  broken on purpose, {name}: {'noticed' if found else 'NOT NOTICED'}")
        if not found:
            return 1
    counting = Counting(asked.ledger) if asked.ledger else None
    tallies = [
        _counted(_Campaign(asked, target, console), 60 * asked.minutes, counting) for target in targets
    ]
    facts = {
        "seed": asked.seed, "engine": asked.engine, "targets": len(tallies),
        "inputs": sum(tally.inputs for tally in tallies), "crashes": sum(len(tally.crashes) for tally in tallies),
    }  # fmt: skip
    console.print(msgspec.json.encode(facts).decode(), markup=False)
    return 1 if any(tally.crashes for tally in tallies) else 0


def _counted(campaign: _Campaign, seconds: float, counting: Counting | None) -> Tally:
    """Fuzz a target, and count what is new."""
    inputs, known = campaign.tally.inputs, {*campaign.tally.crashes}
    tally = campaign.run(seconds)
    if counting is not None:
        new = {kind: path for kind, path in tally.crashes.items() if kind not in known}
        counting.count(tally.inputs - inputs, new, replay=_command(Path("{}"), tally.target))
    return tally


def _again(path: Path, target: Target, console: Console) -> int:
    crash = crash_of(target, path.read_bytes())
    console.print("as documented" if crash is None else crash.story, markup=False)
    return 0 if crash is None else 1


def _command(path: Path, name: str) -> str:
    return f"{Path(sys.executable).name} -m holdfast.testing.fuzzing --replay {path} {name}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m holdfast.testing.fuzzing", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="all of them, where none is given")
    parser.add_argument("--minutes", type=float, default=1.0, help="for each target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine", choices=ENGINES, default="hypothesis")
    parser.add_argument(
        "--replay", type=Path, metavar="FILE", help="feed this input to TARGET, and tell its story"
    )
    parser.add_argument("--ledger", type=Path, help="count into this ledger, too: docs/evidence.jsonl")
    parser.add_argument("--list", action="store_true", help="list the targets and what each promises")
    parser.add_argument("--out", type=Path, default=Path(".campaign"))
    return parser
