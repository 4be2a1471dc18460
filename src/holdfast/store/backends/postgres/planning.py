"""Commits of a batch, decided before the store is asked: what must be true for all of it to be written as it is.

The first expectation of each key is assumed to be met. On that assumption the batch is decided, one commit behind
the other, and its writes follow. PostgreSQL then compares the assumptions and writes in one call; where one fails it
writes nothing and says what it found: whoever assumed wrongly is told so, and the others are planned again.
"""

from collections.abc import Mapping, Sequence

from holdfast.errors import StoreError
from holdfast.store.base import ABSENT, ANY, CommitId, Key, Version
from holdfast.store.changes import conflict, meets
from holdfast.store.deciding import Decision
from holdfast.store.group import Request

__all__ = ("Plan", "mistaken")


class Plan:
    """What a batch comes to if what it assumes holds: `assumed` versions (None: absent), and who then conflicts."""

    def __init__(self, batch: Sequence[Request]) -> None:
        self.batch = batch
        self.assumed: dict[Key, Version | None] = {}
        self._decision = Decision({}, {}, (), 0)
        self.conflicts: list[StoreError | None] = [self._taken(request) for request in batch]

    def _taken(self, request: Request) -> StoreError | None:
        # What a commit before it puts is known; but only where that one counts, and is not refused itself.
        for key, expect in request.expectations:
            if expect is not ANY and key not in self.assumed and key not in self._decision.written:
                self.assumed[key] = None if expect is ABSENT else str(expect)
                self._decision.assume(key, self.assumed[key])
        return self._decision.take(request)

    @property
    def newest(self) -> CommitId | None:
        """The last commit of those that count; None where all conflict."""
        return self._decision.commits[-1][0] if self._decision.commits else None

    def arguments(self, namespace: str, token: str, *, forget: bool) -> tuple[object, ...]:
        """Return what the function `commit` is called with."""
        decided = self._decision
        put = [(key, value) for key, value in decided.written.items() if value is not None]
        gone = [key for key, value in decided.written.items() if value is None]
        events = decided.events
        kept = [commit_id for commit_id, _ in decided.commits]
        others = [] if len(kept) == len(self.batch) else self._others(kept)
        columns = (
            kept, others,
            [key.entity_name for key in self.assumed], [key.entity_id for key in self.assumed],
            list(self.assumed.values()),
            [key.entity_name for key, _ in put], [key.entity_id for key, _ in put],
            [version for _, (_, version) in put], [body.decode() for _, (body, _) in put],
            [key.entity_name for key in gone], [key.entity_id for key in gone],
            [event.stream for event in events], [event.number for event in events],
            [event.version for event in events], [event.value.decode() for event in events],
        )  # fmt: skip
        more = bool(gone or events or forget)
        return (
            namespace,
            token,
            more,
            forget,
            *(column or None for column in columns),
        )  # NULL is cheaper than {}

    def _others(self, kept: Sequence[CommitId]) -> list[CommitId]:
        """Return the ids that do not count, as things are assumed: one that is remembered must be told so."""
        return sorted({request.commit_id for request in self.batch}.difference(kept))


def mistaken(
    plan: Plan, remembered: Sequence[CommitId], found: Sequence[Version | None]
) -> Mapping[int, StoreError | None]:
    """Return who of a batch is settled by what the store holds: None for a commit it remembers, or its Conflict.

    Only those whose key no commit before them would write: of the others this is not known yet. There is always one.
    """
    held = dict(zip(plan.assumed, found, strict=True))
    there = {key: version for key, version in held.items() if version is not None}
    decision = Decision(there, {}, remembered, 0)
    settled: dict[int, StoreError | None] = {}
    for place, request in enumerate(plan.batch):
        if request.commit_id in remembered:
            settled[place] = None
            continue
        wrong = next(
            ((key, expect) for key, expect in request.expectations
             if key in held and key not in decision.written and not meets(held[key], expect)), None,
        )  # fmt: skip
        if wrong is not None:
            settled[place] = conflict(*wrong, held[wrong[0]])
        else:
            decision.take(request)
    return settled
