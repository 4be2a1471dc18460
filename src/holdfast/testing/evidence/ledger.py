"""The ledger: what was tried and found, one JSON document a line, sorted, so that a diff says what came to it.

    ledger = Ledger(Path("docs/evidence.jsonl"))
    ledger.add(Stint(way="histories", target="redis", counts={"histories": 4}, seeds="17-20", ...))
    ledger.total("histories", "redis")["histories"]

Stints of the same thing, version, day and machine are one line, whose counts grow. What was broken is a line of its
own, which nothing here removes: a person does, once it is understood.
"""

import fcntl
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from holdfast.errors import InvalidOption
from holdfast.testing.evidence.seeds import joined, newest

__all__ = ("CONFORMANCE", "Broken", "Examination", "Ledger", "Line", "Machine", "Stint")


class Machine(Struct, frozen=True, kw_only=True, tag="machine", tag_field="line"):
    """Where something was tried: `name` follows from all the rest."""

    name: str
    system: str
    processor: str
    python: str
    tools: dict[str, str] = {}


class Stint(Struct, frozen=True, kw_only=True, tag="stint", tag_field="line"):
    """What one version of Holdfast was put through on one day, on one machine; or why it could not be."""

    way: str
    target: str
    holdfast: str
    date: str
    machine: str
    seeds: str = ""
    seconds: float = 0.0
    counts: dict[str, int] = {}
    not_shown: str = ""

    @property
    def place(self) -> tuple[str, ...]:
        """What two stints have in common that are one line."""
        return (self.way, self.target, self.date, self.holdfast, self.machine)

    def plus(self, other: "Stint") -> "Stint":
        """Return both as one; what could be shown in the end was shown."""
        counts = dict(Counter(self.counts) + Counter(other.counts))
        zeros = dict.fromkeys((*self.counts, *other.counts), 0)
        return replace(
            other, seeds=joined(self.seeds, other.seeds), seconds=round(self.seconds + other.seconds, 1),
            counts={**zeros, **counts}, not_shown="" if counts else other.not_shown or self.not_shown,
        )  # fmt: skip


class Broken(Struct, frozen=True, kw_only=True, tag="broken", tag_field="line"):
    """A promise that was broken: how, and the command that shows it again."""

    way: str
    target: str
    seed: int
    said: str
    replay: str
    holdfast: str
    date: str
    machine: str


class Examination(Struct, frozen=True, kw_only=True, tag="examination", tag_field="line"):
    """What the conformance kit said of a backend; the newest of each backend is kept."""

    backend: str
    levels: dict[str, str]
    checks: dict[str, int]
    counts: dict[str, int]
    not_shown: dict[str, str]
    broken: dict[str, str]
    durability: str
    real: bool
    pace: str
    seed: int
    seconds: float
    holdfast: str
    date: str
    machine: str


CONFORMANCE: Final = "conformance"
"""What the way is called, for lines that are of no way of the campaign."""

Line = Machine | Stint | Broken | Examination
Kind = TypeVar("Kind", Machine, Stint, Broken, Examination)
ORDER: Final = (Machine, Examination, Stint, Broken)


class Ledger:
    """The file of that name; one that is not there is empty. Processes may add to it side by side."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self, kind: type[Kind]) -> list[Kind]:
        """Return the lines of one kind, in their order."""
        return [line for line in self._read() if isinstance(line, kind)]

    def add(self, *new: Line) -> None:
        """Add lines, whole or not at all: to those that they belong with, or instead of what they replace."""
        with self._alone():
            lines = self._read()
            for line in new:
                _put(lines, line)
            self._write(lines)

    def total(self, way: str, target: str) -> Counter[str]:
        """Return the counts of a way on a target, over all stints; "seconds" are whole ones."""
        found: Counter[str] = Counter()
        for stint in self.lines(Stint):
            if (stint.way, stint.target) == (way, target):
                found.update({**stint.counts, "seconds": round(stint.seconds)})
        return found

    def next_seed(self, way: str, target: str) -> int:
        """Return the first seed that is greater than all that were used."""
        used = [
            newest(stint.seeds) for stint in self.lines(Stint) if (stint.way, stint.target) == (way, target)
        ]
        broken = [one.seed for one in self.lines(Broken) if (one.way, one.target) == (way, target)]
        return max([*used, *broken, 0]) + 1

    def _read(self) -> list[Line]:
        if not self.path.exists():
            return []
        lines = self.path.read_bytes().splitlines()
        try:
            return [msgspec.json.decode(line, type=Line) for line in lines]
        except msgspec.DecodeError as error:
            raise InvalidOption(f"{self.path} is no ledger: {error}", path=str(self.path)) from error

    def _write(self, lines: Sequence[Line]) -> None:
        part = self.path.with_suffix(".part")
        part.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in sorted(lines, key=_order)))
        part.replace(self.path)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold a lock on the folder: the file itself is replaced."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)


def _put(lines: list[Line], new: Line) -> None:
    same = next((at for at, line in enumerate(lines) if _order(line) == _order(new)), None)
    if same is None:
        lines.append(new)
    elif isinstance(new, Stint) and isinstance(known := lines[same], Stint):
        lines[same] = known.plus(new)
    else:
        lines[same] = new


def _order(line: Line) -> tuple[int, tuple[str, ...]]:
    """Return where a line stands; two that stand in one place are one."""
    places: dict[type, Callable[..., tuple[str, ...]]] = {
        Machine: lambda one: (one.name,),
        Examination: lambda one: (one.backend,),
        Stint: lambda one: one.place,
        Broken: lambda one: (one.way, one.target, f"{one.seed:09}", one.holdfast, one.said),
    }
    return ORDER.index(type(line)), places[type(line)](line)
