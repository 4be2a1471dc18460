"""The power-cut campaign: cuts on real file systems, counted until they are done.

    python -m holdfast.testing.powercut file sqlite redis postgres --on ext4 xfs --cuts 50 --seed 1

Each disk is new, and its power is cut some times, first while the store is first used; of a kind with a server, it is
the server that is on the disk. Counts are kept in `.campaign/`,
so that an interrupted campaign goes on. Needs root, loop devices and the file system's mkfs; what is missing is said,
and counts as *not shown*.
"""

import argparse
import random
import time
from collections.abc import Generator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct
from rich.console import Console

from holdfast.testing.powercut.cutting import Cut, Failed, cuts
from holdfast.testing.powercut.disk import FILE_SYSTEMS, LoopDisk, missing
from holdfast.testing.powercut.serving import on_disk, server_cuts
from holdfast.testing.servers.park import KINDS, in_namespace, server_of
from holdfast.testing.targets.checking import check_of, check_served
from holdfast.testing.targets.living import busy
from holdfast.testing.targets.stores import target

__all__ = ("Tally", "main", "play")

EACH: Final = 10
"""Cuts of one disk: its store is a new one then."""


class Tally(Struct, kw_only=True):
    """What has been counted so far; `violations` says which cuts broke a promise, and how."""

    target: str
    file_system: str
    seed: str
    disks: int = 0
    cuts: int = 0
    acknowledged: int = 0
    failed: int = 0
    seconds: float = 0.0
    violations: list[str] = msgspec.field(default_factory=list)

    def count(self, number: int, cut: Cut) -> None:
        """Add one cut."""
        self.cuts += 1
        self.acknowledged += cut.acknowledged
        if cut.problems:
            self.failed += 1
            self.violations.append(f"disk {number}, cut {self.cuts}: {'; '.join(cut.problems)}")


def play(name: str, file_system: str, seed: str, number: int, count: int = EACH) -> list[Cut]:
    """Return some cuts of a new disk with a new store on it, up to the first that breaks anything."""
    chance = random.Random(f"{seed}/{number}/powercut")  # noqa: S311  # repeatable, as far as time is
    own, done = f"{seed}.{number}", list[Cut]()
    running = (_served if name in KINDS and KINDS[name].server else _stored)(name, file_system, own, chance)
    try:
        for cut in islice(running, count):
            done.append(cut)
            if cut.problems:
                break
    except Failed as error:  # its own recovery found what the check of a copy did not
        done.append(Cut(0, (str(error),), ()))
    finally:
        running.close()
    return done


def _stored(name: str, file_system: str, own: str, chance: random.Random) -> Generator[Cut, None, None]:
    """Yield cuts of a disk with a store on it."""
    with LoopDisk(file_system) as disk:
        yield from cuts(disk, busy, name, own, check=check_of(target(name), own), chance=chance)


def _served(name: str, file_system: str, own: str, chance: random.Random) -> Generator[Cut, None, None]:
    """Yield cuts of a disk with a server on it."""
    with LoopDisk(file_system) as disk, on_disk(server_of(name, folder=str(disk.mount)), disk) as server:
        url = in_namespace(server.url, "powercut")
        look = check_served(target(url), own)
        yield from server_cuts(disk, server, busy, url, own, check=look, chance=chance)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a campaign from the command line; 1 where a promise was broken, 3 where nothing could be shown."""
    asked, console = _parser().parse_args(argv), Console(highlight=False, emoji=False, soft_wrap=True)
    broken = shown = False
    for file_system in asked.on:
        reason = missing(file_system)
        if reason:
            console.print(f"{file_system}: not shown, for {reason}")
            continue
        for name in asked.targets:
            tally = _played(name, file_system, asked, console)
            broken, shown = broken or bool(tally.violations), True
    return 1 if broken else 0 if shown else 3


def _played(name: str, file_system: str, asked: argparse.Namespace, console: Console) -> Tally:
    asked.out.mkdir(parents=True, exist_ok=True)
    path: Path = asked.out / f"powercut-{name.replace(':', '.')}-{file_system}-{asked.seed}.json"
    known = path.read_bytes() if path.exists() else b""
    tally = Tally(target=name, file_system=file_system, seed=asked.seed)
    if known:
        tally = msgspec.json.decode(known, type=Tally)
    while tally.cuts < asked.cuts:
        _disk(tally, asked.cuts, console)
        part = path.with_suffix(".part")
        part.write_bytes(msgspec.json.encode(tally))
        part.replace(path)
    told = {**msgspec.to_builtins(tally), "violations": len(tally.violations)}
    console.print(msgspec.json.encode(told).decode())
    return tally


def _disk(tally: Tally, wanted: int, console: Console) -> None:
    began, before = time.monotonic(), len(tally.violations)
    for cut in play(tally.target, tally.file_system, tally.seed, tally.disks, min(EACH, wanted - tally.cuts)):
        tally.count(tally.disks, cut)
    tally.disks += 1
    tally.seconds = round(tally.seconds + time.monotonic() - began, 1)
    for violation in tally.violations[before:]:
        console.print(violation, style="red", markup=False)
    told = f"{tally.cuts} cuts, {tally.acknowledged:,} acknowledged, {tally.failed} failed"
    console.print(f"  {tally.target} on {tally.file_system}: {told}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m holdfast.testing.powercut", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("targets", nargs="*", default=["file", "sqlite"], metavar="TARGET")
    parser.add_argument(
        "--on", nargs="+", default=list(FILE_SYSTEMS), choices=list(FILE_SYSTEMS), metavar="FS"
    )
    parser.add_argument("--cuts", type=int, default=50, help="of each target on each, earlier ones included")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--out", type=Path, default=Path(".campaign"))
    return parser
