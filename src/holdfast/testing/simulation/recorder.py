"""What an impartial observer beside each store writes down: what was acknowledged, and which intents are known.

So what a store holds at the end can be compared with what it promised, and an order that arrives at the exchange
with the intents that were durable by then.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from holdfast.errors import HoldfastError
from holdfast.store import Append, Change, CommitId, Put, Record, Store
from holdfast.store.wrappers.base import Get, Wrapper
from holdfast.testing.simulation.process import SimulatedProcess

__all__ = ("Book", "Recorder")


class Book:
    """What was asked of a namespace, and what was answered, by all of its processes.

    `asked` are the events of each commit, by stream. A commit is `refused` only where no try of it was in doubt.
    """

    def __init__(self) -> None:
        self.asked: dict[CommitId, Counter[str]] = {}
        self.acknowledged: set[CommitId] = set()
        self.doubtful: set[CommitId] = set()
        """Commits of which a try may have happened, or may still."""
        self.refused: set[CommitId] = set()
        self.intents: set[str] = set()
        self.doubled: list[str] = []
        self.unintended: list[str] = []
        self.sent: Counter[str] = Counter()

    def accept(self, client_id: str) -> None:
        """Note that the exchange has accepted an order, at this instant."""
        self.sent[client_id] += 1
        if self.sent[client_id] > 1:
            self.doubled.append(f"{client_id} was accepted {self.sent[client_id]} times")
        if client_id not in self.intents:
            self.unintended.append(f"{client_id} was accepted, and no intent of it was committed")

    def learn(self, value: Any) -> None:
        """Note the intent of a signal's document that is known to be stored."""
        if isinstance(value, dict) and isinstance(intent := value.get("intent"), dict):
            self.intents.add(intent["client_id"])

    def lost(self, stored: Counter[tuple[str, CommitId]], missing: Collection[CommitId] = ()) -> list[str]:
        """Return what a store that holds these events of these commits has lost, torn, or taken although it refused.

        Those `missing` are known to be, and are there in no part.
        """
        wrong = []
        for commit_id, streams in self.asked.items():
            there = {stream: stored[stream, commit_id] for stream in streams}
            if commit_id in missing:
                wrong += [f"commit {commit_id} was left behind, and there is {there}"] * any(there.values())
            elif commit_id in self.acknowledged and there != streams:
                wrong.append(
                    f"commit {commit_id} was acknowledged with {dict(streams)}, and there is {there}"
                )
            elif commit_id in self.refused and any(there.values()):
                wrong.append(f"commit {commit_id} was refused, and there is {there}")
            elif any(there.values()) and there != streams:
                wrong.append(f"commit {commit_id} is torn: {dict(streams)} became {there}")
        return wrong


class Recorder(Wrapper):
    """A store as one process has it, with the observer beside it."""

    def __init__(self, inner: Store, book: Book, process: SimulatedProcess) -> None:
        super().__init__(inner)
        self._book = book
        self._process = process

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        """Make all changes or none, as inside, and note what came of it."""
        book, process = self._book, self._process
        commit_id = process.ids() if commit_id is None else commit_id
        streams = Counter(change.stream for change in changes if isinstance(change, Append))
        book.asked.setdefault(commit_id, streams)
        book.refused.discard(commit_id)  # who is killed now is never told of this try
        try:
            await self.inner.commit(changes, commit_id=commit_id, vital=vital)
        except HoldfastError as error:
            process.check()
            self._refused(commit_id, error)
            raise
        process.check()
        process.world.tell(process.name, f"committed {commit_id[:8]} {_words(changes)}")
        book.acknowledged.add(commit_id)
        for change in changes:
            if isinstance(change, Put):
                book.learn(change.value)
        return commit_id

    def _refused(self, commit_id: CommitId, error: HoldfastError) -> None:
        self._process.world.tell(self._process.name, f"refused {commit_id[:8]} {type(error).__name__}")
        if error.facts.get("unknown", False):
            self._book.doubtful.add(commit_id)
            self._book.refused.discard(commit_id)
        elif commit_id not in self._book.doubtful:
            self._book.refused.add(commit_id)

    async def _get(self, get: Get, keys: Sequence[Any]) -> list[Record | None]:
        records = await get(*keys)
        self._process.check()
        for record in records:
            if record is not None:
                self._book.learn(record.value)
        return records


def _words(changes: Sequence[Change]) -> str:
    return ", ".join(
        f"{change.stream}+" if isinstance(change, Append) else f"{type(change).__name__.lower()} {change.key}"
        for change in changes
        if not isinstance(change, Put) or "holdfast" not in change.key.entity_name
    )
