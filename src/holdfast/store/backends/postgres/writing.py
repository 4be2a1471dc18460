"""Batches of commits: one call of a function each, which is one round trip and one transaction.

What got lost on the way is asked for once more, with the same ids, behind a fence: then it is known.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from holdfast import points
from holdfast.errors import HoldfastError, StoreFull, WentBack
from holdfast.store.backends.postgres.faults import NotNow, explained, sqlstate, unavailable
from holdfast.store.backends.postgres.lines import CommitLine
from holdfast.store.backends.postgres.planning import Plan, mistaken
from holdfast.store.backends.postgres.reaching import Reach
from holdfast.store.backends.postgres.session import Session
from holdfast.store.base import CommitId, Version
from holdfast.store.changes import Removed
from holdfast.store.group import Outcome, Request
from holdfast.system import Clock

__all__ = ("Writer",)

FORGET_EVERY: Final = 5.0
"""Seconds between two looks for commit ids that are old enough to be forgotten."""

MOST_BYTES: Final = 8_000_000
"""What one call carries at most, unless a single commit is larger: the namespace is locked as long as it takes."""

MEDDLED: Final = "the tables take no commit and give no reason: is there a trigger or a rule on them?"

TRIES: Final = 3
PASSING: Final = frozenset({"40001", "40P01"})
"""SQLSTATEs after which the same call may go well: the server has undone it."""


class Writer:
    """Writes batches on one line, never two at once."""

    def __init__(self, reach: Reach, line: CommitLine, *, clock: Clock) -> None:
        self._reach = reach
        self._line = line
        self._clock = clock
        self._forgot = clock.monotonic()

    async def write(self, batch: Sequence[Request]) -> Sequence[Outcome]:
        """Return what became of each commit of a batch; none is left in doubt that a second look could settle."""
        work = _Work(batch)
        deadline = self._clock.monotonic() + self._reach.options.timeouts.commit
        doubt: NotNow | None = None
        for _ in range(2):
            left = deadline - self._clock.monotonic()
            if doubt is not None and left <= 0:
                break
            try:
                session = await self._line.session(left)
            except HoldfastError as error:
                return work.answers(_again(error, unknown=doubt is not None))
            try:
                await self._settle(session, work, deadline)
            except NotNow as error:
                self._line.doubt(session)
                doubt = error
            except HoldfastError as error:
                # Of the second try: the first may have been carried out all the same.
                return work.answers(_again(error, unknown=doubt is not None))
            else:
                return work.answers(None)
        assert doubt is not None
        return work.answers(lambda: _caused(explained(doubt, self._reach.place, unknown=True), doubt))

    async def _settle(self, session: Session, work: "_Work", deadline: float) -> None:
        """Call until every commit is answered; each call that writes nothing answers at least one."""
        tries = TRIES
        while work.open:
            plan = Plan(work.some())
            try:
                answer = await self._call(session, plan, deadline)
            except NotNow:
                raise
            except Exception as error:
                tries -= 1
                if sqlstate(error) not in PASSING or not tries:
                    raise explained(error, self._reach.place) from error
                continue
            if answer.applied:
                self._acknowledge(plan, answer.head)
                work.settle(dict(enumerate(plan.conflicts)))
            else:
                settled = mistaken(plan, answer.remembered, answer.found)
                if not settled:  # it would be asked for ever
                    raise unavailable(f"{self._reach.place}: {MEDDLED}", retryable=False)
                work.settle(settled)

    async def _call(self, session: Session, plan: Plan, deadline: float) -> "_Answer":
        left = max(deadline - self._clock.monotonic(), 0.001)
        noticed = session.noticed
        arguments = plan.arguments(self._reach.options.url.namespace, session.token, forget=self._forget())
        points.reached("postgres.committing")
        ((row,),) = await session.fetch(self._reach.statements.commit, *arguments, within=left)
        answer = _Answer(*row)
        points.reached("postgres.committed")
        if session.noticed > noticed:
            # PostgreSQL commits at home and only warns when a wait for its standby is cancelled.
            raise NotNow("warned that a synchronous standby may not have the commit")
        if answer.head is None:
            raise NotNow("has lost the namespace, or has fenced this connection off")
        self._reach.observe(answer.settings)
        return answer

    def _acknowledge(self, plan: Plan, head: int) -> None:
        lineage = self._reach.lineage
        if plan.newest is None:
            lineage.head = max(lineage.head, head)
        else:
            lineage.acknowledged(plan.newest, head, self._clock.monotonic())

    def _forget(self) -> bool:
        now = self._clock.monotonic()
        due = now - self._forgot > FORGET_EVERY
        if due:
            self._forgot = now
        return due


class _Answer(NamedTuple):
    """What the function `commit` says: whether the plan was written, the head, and what it found where it was not."""

    applied: bool
    head: int
    remembered: Sequence[CommitId]
    found: Sequence[Version | None]
    settings: str


class _Work:
    """A batch, and what has become of each of its commits so far."""

    def __init__(self, batch: Sequence[Request]) -> None:
        self._outcomes: list[Outcome] = [None] * len(batch)
        self.open: list[tuple[int, Request]] = list(enumerate(batch))

    def settle(self, settled: Any) -> None:
        """Note what has become of some of the open ones, by their places among those."""
        for place, outcome in settled.items():
            self._outcomes[self.open[place][0]] = outcome
        self.open = [one for place, one in enumerate(self.open) if place not in settled]

    def some(self) -> list[Request]:
        """Return the first of the open ones, as many as one call may carry."""
        room = MOST_BYTES
        taken: list[Request] = []
        for _, request in self.open:
            room -= sum(len(effect.value) for effect in request.effects if not isinstance(effect, Removed))
            if taken and room < 0:
                break
            taken.append(request)
        return taken

    def answers(self, fault: Callable[[], HoldfastError] | None) -> list[Outcome]:
        """Return all outcomes; the open ones fail with a `fault` each."""
        for place, _ in self.open:
            self._outcomes[place] = None if fault is None else fault()
        return self._outcomes


def _again(error: HoldfastError, *, unknown: bool = False) -> Callable[[], HoldfastError]:
    """Return what makes an error anew for everyone it is told: each is raised with a traceback of its own."""

    def made() -> HoldfastError:
        if unknown and not isinstance(error, WentBack):
            retryable = isinstance(error, StoreFull) or error.facts.get("retryable", False)
            said = f"an answer was lost, and when it was asked for once more: {error}"
            return _caused(unavailable(said, retryable=retryable, unknown=True), error)
        return _caused(type(error)(*error.args, **error.facts), error.__cause__)

    return made


def _caused(error: HoldfastError, cause: BaseException | None) -> HoldfastError:
    error.__cause__ = cause
    return error
