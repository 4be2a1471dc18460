"""All levels of the conformance kit on all of Holdfast's backends and settings, one child process for each."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from holdfast.testing.conformance.checks import Level
from holdfast.testing.conformance.examining import Report, Result
from holdfast.testing.evidence.child import Began, Checked, Concluded, Unshown
from holdfast.testing.evidence.ledger import CONFORMANCE, Broken, Examination, Ledger, Stint
from holdfast.testing.evidence.running import Children, Died
from holdfast.testing.evidence.versions import holdfast_version, machine, today

__all__ = ("SLOW", "Round", "examination")

COMMAND: Final = "python -m holdfast.testing.evidence conformance"
SLOW: Final = 10.0
"""Seconds after which a check that was kept is worth a line of its own."""


class Round:
    """Examines backends, `jobs` at a time, and writes each examination into the ledger. `run` it once."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        seed: int,
        pace: str,
        jobs: int = 0,
        tell: Callable[[str, Result | str], None],
    ) -> None:
        self._ledger = ledger
        self._seed = seed
        self._pace = pace
        self._jobs = jobs or os.cpu_count() or 1
        self._tell = tell
        self._machine = machine()
        self._children = Children()

    def run(self, names: Sequence[str]) -> dict[str, Report | str]:
        """Return the report on each backend, or why there is none: it cannot be tried here, or its child died."""
        self._ledger.add(self._machine)
        with ThreadPoolExecutor(self._jobs) as pool:
            try:
                return dict(zip(names, pool.map(self._examined, names), strict=True))
            finally:
                self._children.stop()

    def _examined(self, name: str) -> Report | str:
        at = ""
        try:
            for told in self._children.said("examine", name, "--seed", str(self._seed), "--pace", self._pace):
                if isinstance(told, Began):
                    at = told.name
                elif isinstance(told, Checked):
                    self._tell(name, told.result)
                elif isinstance(told, Concluded):
                    self._keep(name, told)
                    return told.report
                elif isinstance(told, Unshown):
                    self._ledger.add(self._unshown(name, told.why))
                    self._tell(name, f"not shown: {told.why}")
                    return f"not shown: {told.why}"
        except Died as error:
            self._broke(name, f"{at}: {error}")
            self._tell(name, f"died at {at}: {error}")
            return f"died at {at}"
        return "interrupted"

    def _keep(self, name: str, told: Concluded) -> None:
        found = examination(name, told, pace=self._pace, machine=self._machine.name)
        self._ledger.add(found)
        for check, said in found.broken.items():
            self._broke(name, f"{check}: {said}")

    def _unshown(self, name: str, why: str) -> Stint:
        return Stint(
            way=CONFORMANCE, target=name, holdfast=holdfast_version(), date=today(), machine=self._machine.name,
            not_shown=why,
        )  # fmt: skip

    def _broke(self, name: str, said: str) -> None:
        self._ledger.add(Broken(
            way=CONFORMANCE, target=name, seed=self._seed, said=said, holdfast=holdfast_version(), date=today(),
            machine=self._machine.name,
            replay=f"{COMMAND} --only {name} --seed {self._seed} --pace {self._pace}",
        ))  # fmt: skip


def examination(name: str, told: Concluded, *, pace: str, machine: str) -> Examination:
    """Return what the ledger keeps of what a child found."""
    report, counts = told.report, Counter[str]()
    for result in report.results:
        counts.update(result.counts)
    states = Counter(result.state for result in report.results)
    said = {"broken": dict[str, str](), "not shown": dict[str, str]()}
    for result in report.results:
        if result.state in said:
            said[result.state][result.name] = "\n".join([result.said, *result.history])
    return Examination(
        backend=name, levels={level.value: _state(told, level) for level in Level},
        checks={state: states[state] for state in ("kept", "broken", "not shown") if states[state]},
        counts=dict(sorted(counts.items())), not_shown=said["not shown"], broken=said["broken"],
        durability=report.found.durability.name, real=report.real, pace=pace, seed=report.seed,
        seconds=told.seconds, holdfast=holdfast_version(), date=today(), machine=machine,
    )  # fmt: skip


def _state(told: Concluded, level: Level) -> str:
    """Return what came of a level; one that is claimed, and of which no check says anything here, is not shown."""
    if level in told.report.claims:
        return told.report.level(level)
    return "not shown" if level in told.claimed else "not claimed"
