"""The campaign: every way of trying, by turns, for as long as it is let; what was counted stays counted.

The cells whose targets are not reached come first, and among them the one that has had the least time. Each gets a
slice of it in a child process, with seeds that were never used. What breaks stops the campaign, and stays in the
ledger.
"""

import os
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from holdfast.testing.evidence.child import Seed, Unshown
from holdfast.testing.evidence.goals import is_reached
from holdfast.testing.evidence.ledger import Broken, Ledger, Machine, Stint
from holdfast.testing.evidence.running import Children, Died
from holdfast.testing.evidence.versions import holdfast_version, machine, today
from holdfast.testing.evidence.ways import Cell, way

__all__ = ("Campaign", "replay")

SHORTEST: Final = 15.0
LONGEST: Final = 180.0
SAID: Final = 4_000


class Slice(Struct, frozen=True):
    """What came of one cell's turn."""

    cell: Cell
    broken: tuple[str, ...] = ()
    not_shown: str = ""


class Campaign:
    """Goes on with what a ledger has; `tell` is called with a line after each slice. `run` it once."""

    def __init__(
        self, ledger: Ledger, chosen: Sequence[Cell], *, jobs: int = 0, tell: Callable[[str], None]
    ) -> None:
        self._ledger = ledger
        self._cells = list(chosen)
        self._jobs = min(jobs or os.cpu_count() or 1, len(chosen))
        self._tell = tell
        self._spent = {cell: float(ledger.total(cell.way, cell.target)["seconds"]) for cell in chosen}
        self._machine: Machine = machine()
        self._children = Children()

    def run(self, minutes: float) -> list[Slice]:
        """Try for so many minutes, or until something is broken; return what came of each slice."""
        self._ledger.add(self._machine)
        deadline = time.monotonic() + 60 * minutes
        each = min(max(60 * minutes * self._jobs / len(self._cells), SHORTEST), LONGEST)
        done: list[Slice] = []
        with ThreadPoolExecutor(self._jobs) as pool:
            try:
                self._turns(pool, deadline, each, done)
            finally:
                self._children.stop()  # where somebody interrupts: what was counted is in the ledger
        return done

    def _turns(self, pool: ThreadPoolExecutor, deadline: float, each: float, done: list[Slice]) -> None:
        running: dict[Future[Slice], Cell] = {}
        while True:
            left = deadline - time.monotonic()
            while (cell := self._next(running.values())) is not None and left > 0:
                seconds = min(max(each, way(cell.way).least), left)
                running[pool.submit(self._slice, cell, seconds)] = cell
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                del running[future]
                done.append(future.result())
                self._concluded(done[-1])

    def _next(self, running: Collection[Cell]) -> Cell | None:
        waiting = [cell for cell in self._cells if cell not in running]
        if not waiting or len(running) == self._jobs or self._children.stopped:
            return None
        return min(waiting, key=lambda cell: (is_reached(self._ledger, cell), self._spent[cell]))

    def _concluded(self, one: Slice) -> None:
        if one.not_shown:  # it will not be shown later in this run either
            self._cells.remove(one.cell)
        if one.broken:
            self._children.stop()

    def _slice(self, cell: Cell, seconds: float) -> Slice:
        """Let a child go on with a cell, and write down each seed as it is done."""
        began, seed = time.monotonic(), self._ledger.next_seed(cell.way, cell.target)
        blank = Stint(
            way=cell.way, target=cell.target, holdfast=holdfast_version(), date=today(), machine=self._machine.name
        )  # fmt: skip
        one = Slice(cell)
        try:
            for told in self._children.said(
                "play", str(cell), "--seed", str(seed), "--seconds", f"{seconds:g}"
            ):
                if isinstance(told, Unshown):
                    self._ledger.add(replace(blank, not_shown=told.why))
                    one = Slice(cell, not_shown=told.why)
                elif isinstance(told, Seed):
                    self._ledger.add(
                        replace(blank, seeds=str(told.seed), seconds=told.seconds, counts=told.counts),
                        *(_broken(blank, told.seed, said) for said in told.broken),
                    )
                    seed, one = told.seed + 1, Slice(cell, told.broken)
        except Died as error:
            self._ledger.add(_broken(blank, seed, str(error)))
            one = Slice(cell, (str(error),))
        self._spent[cell] += time.monotonic() - began
        self._tell(self._line(one, time.monotonic() - began))
        return one

    def _line(self, one: Slice, seconds: float) -> str:
        total = self._ledger.total(one.cell.way, one.cell.target)
        counts = ", ".join(f"{count:,} {name}" for name, count in total.items() if name != "seconds")
        what = f"not shown: {one.not_shown}" if one.not_shown else f"in all {counts}"
        return "\n".join([f"{one.cell!s:<28} {seconds:5.0f} s  {what}", *one.broken])


def _broken(blank: Stint, seed: int, said: str) -> Broken:
    return Broken(
        way=blank.way, target=blank.target, seed=seed, said=said[:SAID], holdfast=blank.holdfast, date=blank.date,
        replay=replay(Cell(blank.way, blank.target), seed), machine=blank.machine,
    )  # fmt: skip


def replay(cell: Cell, seed: int) -> str:
    """Return the command that does one seed again."""
    return f"python -m holdfast.testing.evidence play {cell} --seed {seed}"
