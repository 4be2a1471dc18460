"""An open namespace on adapters: its records and streams as they are now, and the next commit."""

from collections.abc import Sequence
from typing import Any

from holdfast.errors import Corrupt, InvalidValue, Unavailable, Unsupported
from holdfast.persist.catalogue import Catalogue
from holdfast.persist.recent import Entry, Recent, page_id
from holdfast.persist.redo import REFUSALS, Plan, Redo, Redoer
from holdfast.persist.rows import OWN, Kind, Row, typed
from holdfast.persist.shelf import Raw, Shelf
from holdfast.store import ANY, CommitId, Key, Put
from holdfast.store.base import Expect
from holdfast.store.changes import Added, Effect, Wrote, conflict, effects, meets
from holdfast.store.codec import decode
from holdfast.store.guard import UNGUARDED
from holdfast.system import Clock, Ids

__all__ = ("Space", "event_key")


class Space:
    """What is known of a namespace. Its methods are called one at a time, each to its end."""

    def __init__(self, shelf: Shelf, *, clock: Clock, ids: Ids) -> None:
        self.catalogue = Catalogue(self._own)
        self.head = 0
        self._shelf = shelf
        self._redoer = Redoer(shelf)
        self._clock = clock
        self._ids = ids
        self._recent = Recent()
        self._numbers: dict[str, int] = {}
        self._written: dict[Key, int] = {}
        self._pending: Plan | None = None

    async def load(self) -> None:
        """Finish the last commit if it was not, and read what is there."""
        redo = await self._redoer.load()
        if redo is not None:
            await self._redoer.repeat(redo)
            self.head = redo.sequence
            self._recent = Recent(redo.tail)
            for page in self._recent.pages(self._clock.now()):
                ids = typed(await self._own(page_id(page)), list[Entry] | None, Key(OWN, page_id(page)))
                self._recent.load(ids or [])
        await self.catalogue.load()
        if redo is None and self.catalogue.names().entities:
            raise Corrupt(
                "the redo row is gone, and other rows are there", key=None, reason="missing", path=None
            )

    async def settle(self, commit_id: CommitId | None = None) -> None:
        """Finish a commit that failed halfway, before anything else is done or seen.

        Raises Unavailable, with `unknown=True` where it is the commit of that id that is still not finished.
        """
        if self._pending is None:
            return
        plan = self._pending
        plan.tried = True
        try:
            await self._redoer.carry_out(plan)
        except Unavailable as error:
            mine = plan.redo.commit_id == commit_id
            message = str(error) if mine else f"an earlier commit is not finished yet: {error}"
            raise Unavailable(message, unknown=mine, commit_id=plan.redo.commit_id) from error
        self._adopt(plan)

    async def record(self, key: Key) -> Row | None:
        """Return the record of `key`, None where it is absent; a raw row becomes a record first.

        Raises Corrupt for what is unreadable, or not what it should be: missing, or older than it was.
        """
        known = await self.catalogue.has(key)
        found = await self._shelf.find(key)
        if isinstance(found, Raw):
            return await self._adopt_raw(key, found, known=known)
        if found is None:
            if known:
                raise self._corrupt(key, "missing")
            return None
        self._check(found, ("record", "tombstone"))
        if (found.kind == "record") != known:
            raise self._corrupt(key, "gone" if known else "unknown to the catalogue")
        return found if known else None

    async def number(self, stream: str) -> int:
        """Return the number of a stream's newest event, 0 where it has none."""
        if stream not in self._numbers:
            self._numbers[stream] = await self._read_number(stream)
        return self._numbers[stream]

    async def event(self, stream: str, number: int) -> Row:
        """Return an event that is there; raises Corrupt where it is not, or is unreadable."""
        key = event_key(stream, number)
        found = await self._shelf.find(key)
        if not isinstance(found, Row):
            raise self._corrupt(key, "missing" if found is None else "not Holdfast's")
        self._check(found, ("event",))
        return found

    async def commit(
        self, staged: Sequence[Effect], expected: Sequence[tuple[Key, Expect]], commit_id: CommitId
    ) -> None:
        """Make all changes, or none where something is not as expected (Conflict)."""
        await self.settle(commit_id)
        if commit_id in self._recent:
            return
        for key, expect in expected:
            await self._expect(key, expect)
        await self._carry_out(await self._plan(staged, commit_id))

    async def _expect(self, key: Key, expect: Expect) -> None:
        # A key that this process has not written yet is read in any case: its place may hold another's row.
        if expect is ANY and key in self._written:
            return
        if (key, expect) == UNGUARDED and not await self.catalogue.has(key):
            return  # asked by every commit: no call of the adapter is spent on it
        row = await self.record(key)
        version = None if row is None else row.version
        if not meets(version, expect):
            raise conflict(key, expect, version)

    async def _plan(self, staged: Sequence[Effect], commit_id: CommitId) -> Plan:
        now, sequence = self._clock.now(), self.head + 1
        numbers: dict[str, int] = {}
        rows = [row for effect in staged if (row := await self._row(effect, sequence, commit_id, numbers))]
        for stream, number in numbers.items():
            rows.append(self._made("head", _head_key(stream), sequence, commit_id, number))
        own = await self.catalogue.staged(staged)
        tail, page = self._recent.staged(commit_id, now)
        moved = {} if page is None else {page_id(page): self._recent.tail.entries}
        for row_id, value in (own | moved).items():
            rows.append(self._shelf.own_row(row_id, value, sequence=sequence, version=commit_id))
        redo = Redo(sequence=sequence, commit_id=commit_id, rows=tuple(rows), tail=tail)
        return Plan(redo=redo, own=own, numbers=numbers)

    async def _row(
        self, effect: Effect, sequence: int, commit_id: CommitId, numbers: dict[str, int]
    ) -> Row | None:
        if isinstance(effect, Added):
            number = numbers.get(effect.stream) or await self.number(effect.stream)
            numbers[effect.stream] = number + 1
            key = event_key(effect.stream, number + 1)
            return self._made("event", key, sequence, commit_id, decode(effect.value))
        key = Key(effect.entity_name, effect.entity_id)
        if isinstance(effect, Wrote):
            return self._made("record", key, sequence, commit_id, decode(effect.value))
        there = await self.catalogue.has(key)
        return self._made("tombstone", key, sequence, commit_id, None) if there else None

    def _made(self, kind: Kind, key: Key, sequence: int, version: str, value: Any) -> Row:
        return Row(
            kind=kind,
            namespace=self._shelf.namespace,
            name=key.entity_name,
            id=key.entity_id,
            sequence=sequence,
            version=version,
            value=value,
        )

    async def _carry_out(self, plan: Plan) -> None:
        self._pending = plan
        try:
            await self._redoer.carry_out(plan)
        except REFUSALS:
            self._pending = None  # nothing was written
            raise
        self._adopt(plan)

    def _adopt(self, plan: Plan) -> None:
        self._pending = None
        self.head = plan.redo.sequence
        self._recent.adopt(plan.redo.tail)
        self.catalogue.adopt(plan.own)
        self._numbers.update(plan.numbers)
        self._written.update((r.key, r.sequence) for r in plan.redo.rows if r.kind in ("record", "tombstone"))

    async def _adopt_raw(self, key: Key, raw: Raw, *, known: bool) -> Row:
        if known:
            raise self._corrupt(key, "overwritten by something that is not Holdfast")
        try:
            staged = effects([Put(key, raw.value)])
        except InvalidValue as error:
            raise self._corrupt(key, f"a raw row that cannot be kept: {error}") from error
        await self._carry_out(await self._plan(staged, self._ids()))
        adopted = await self._shelf.find(key)
        if not isinstance(adopted, Row):
            raise self._corrupt(key, "overwritten while it was adopted")
        return adopted

    async def _read_number(self, stream: str) -> int:
        key = _head_key(stream)
        found = await self._shelf.find(key)
        if found is None and not self.catalogue.has_stream(stream):
            return 0
        if not isinstance(found, Row) or not self.catalogue.has_stream(stream):
            raise self._corrupt(key, "missing" if found is None else "unknown to the catalogue")
        self._check(found, ("head",))
        number: int = typed(found.value, int, key)
        return number

    async def _own(self, row_id: str) -> Any:
        row = await self._shelf.own(row_id)
        return None if row is None else row.value

    def _check(self, row: Row, kinds: tuple[Kind, ...]) -> None:
        if row.kind not in kinds:
            message = f"{row.key} is the place of a stream's {row.kind}: use another id"
            raise Unsupported(message, key=row.key)
        if row.sequence > self.head:
            raise self._corrupt(row.key, f"of commit {row.sequence}, later than the last one, {self.head}")
        if row.sequence < self._written.get(row.key, 0):
            raise self._corrupt(row.key, f"of commit {row.sequence}, older than what was written")

    def _corrupt(self, key: Key, reason: str) -> Corrupt:
        return Corrupt(f"{key} on its adapter is {reason}", key=key, reason=reason, path=None)


def event_key(stream: str, number: int) -> Key:
    """Return where an event of a stream is kept."""
    return Key(stream, f"event-{number}")


def _head_key(stream: str) -> Key:
    return Key(stream, "event-head")
