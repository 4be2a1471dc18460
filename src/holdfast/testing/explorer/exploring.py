"""Explore a trace: every state a power cut may leave, made, recovered and checked."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct, field

from holdfast.testing.explorer.checking import Check, problems
from holdfast.testing.explorer.enumerating import MOST, states
from holdfast.testing.explorer.models import STRICT, Model
from holdfast.testing.explorer.moments import State
from holdfast.testing.explorer.operations import Trace
from holdfast.testing.explorer.reporting import history, simplest

__all__ = ("Exploration", "Failure", "explore", "scratch")

KEPT = 50


class Failure(Struct, frozen=True):
    """A state whose recovery broke promises."""

    state: State
    problems: tuple[str, ...]

    @property
    def history(self) -> str:
        """The run up to the power cut, with what of it did not survive, and what then was wrong."""
        return history(self.state, self.problems)


class Exploration(Struct, kw_only=True):
    """What was tried and found: `states` different ones at `points`; the first `failures`, the shortest one first."""

    model: str
    points: int
    states: int = 0
    failed: int = 0
    failures: list[Failure] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

    @property
    def shortest(self) -> Failure | None:
        """The failure with the shortest history, with as little lost as it takes; None where nothing failed."""
        return self.failures[0] if self.failures else None

    def __str__(self) -> str:
        told = f"{self.points} points, {self.states} states ({self.model}): {self.failed} failed"
        return f"{told}\n{self.shortest.history}" if self.shortest else told


def explore(
    trace: Trace,
    check: Check,
    *,
    model: Model = STRICT,
    most: int = MOST,
    seed: int = 0,
    since: int = 0,
    until: Callable[[Exploration], bool] = lambda _: False,
) -> Exploration:
    """Make every state that a power cut during a run may leave, have `check` recover it, and say what it found.

    `most` bounds the states of one point, `since` is the first one (see `states`); `until` is asked after each state
    whether to stop early.
    """
    found = Exploration(model=model.name, points=len(trace.operations) + 1)
    with scratch() as place:
        for state in states(trace, model=model, most=most, seed=seed, since=since):
            _count(found, state, _tried(check, state, place))
            if until(found):
                break
        if found.failures:
            first = min(found.failures, key=lambda failure: (failure.state.point, len(failure.state.lost())))
            least = _least(first, check, model, place)
            found.failures = [least, *(failure for failure in found.failures if failure is not first)]
    return found


@contextmanager
def scratch() -> Iterator[Path]:
    """Yield a folder for states, in memory where there is room for it: what is made there needs no disk."""
    memory = Path("/dev/shm")  # noqa: S108
    with tempfile.TemporaryDirectory(
        prefix="holdfast-states-", dir=memory if memory.is_dir() else None
    ) as made:
        yield Path(made)


def _tried(check: Check, state: State, place: Path) -> tuple[str, ...]:
    folder = place / "state"
    folder.mkdir()
    try:
        state.write(folder)
        return problems(check, folder, state.marks)
    finally:
        shutil.rmtree(folder)


def _count(found: Exploration, state: State, broken: tuple[str, ...]) -> None:
    found.states += 1
    if broken:
        found.failed += 1
        found.kinds.update(broken)
        if len(found.failures) < KEPT:
            found.failures.append(Failure(state, broken))


def _least(failure: Failure, check: Check, model: Model, place: Path) -> Failure:
    """Return the failure where as little is lost as still breaks anything."""
    broken = failure.problems

    def fails(state: State) -> bool:
        nonlocal broken
        tried = _tried(check, state, place)
        broken = tried or broken
        return bool(tried)

    return Failure(simplest(failure.state, fails, model), broken)
