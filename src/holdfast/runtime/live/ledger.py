"""The ledger: reads the books of a run's seats, and commits drafts, so that memory never runs ahead of the store."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from holdfast.errors import Conflict
from holdfast.persist.schemas import RISK
from holdfast.runtime.book import Draft
from holdfast.runtime.live.seat import Seat, documents
from holdfast.runtime.live.steady import Steady
from holdfast.store import ABSENT, Append, Change, Check, Key, Put
from holdfast.store.base import Expect
from holdfast.store.hold import Hold
from holdfast.system import Ids
from holdfast.trading.events import LIFECYCLE, Decided, Happening, StoreRecovered, to_document
from holdfast.trading.risk import Positions

__all__ = ("Ledger",)

Emit = Callable[[Sequence[Happening]], None]


class Ledger:
    """The one place of a run that reads and commits. `risks` are the profiles' positions as committed.

    `outages` are those that have been told and are still to be stored, with the next commit about their seat.
    """

    def __init__(self, store: Steady, *, hold: Hold, ids: Ids, emit: Emit) -> None:
        self.store = store
        self.hold = hold
        self.risks: dict[str, Positions] = {}
        self.outages: dict[Seat, list[StoreRecovered]] = {}
        self._risk_expects: dict[str, Expect] = {}
        self._ids = ids
        self._emit = emit

    async def load(self, seats: Iterable[Seat]) -> None:
        """Make the seats, and the risk profiles they use, what the store holds now, as one snapshot."""
        seats = list(seats)
        profiles = sorted({seat.origin.risk for seat in seats if seat.origin.risk})
        keys = [key for seat in seats for key in seat.record_keys()]
        records = await self.store.get(*keys, *(_risk_key(profile) for profile in profiles))
        for i, seat in enumerate(seats):
            seat.take(records[4 * i : 4 * i + 4])
        for profile, record in zip(profiles, records[4 * len(seats) :], strict=True):
            self._risk_expects[profile] = ABSENT if record is None else record.version
            self.risks[profile] = RISK.from_document(record.value) if record else Positions()

    async def commit(
        self,
        drafts: Sequence[tuple[Seat, Draft]],
        risks: dict[str, Positions] | None = None,
        *,
        vital: bool = False,
    ) -> None:
        """Commit drafts (and risk positions) as one, then let memory and listeners have them.

        Everything a draft was made from is expected to be as it was: raises Conflict where it is not, and LeaseLost
        where another process trades these seats now; nothing has changed then. Raises StoreFull, and Unavailable after
        bounded attempts.
        """
        stored = self._outages_into(drafts)
        changed = {name: after for name, after in (risks or {}).items() if after != self.risks[name]}
        # First whether these seats are still ours: else the Conflict would name what their new owner has changed.
        changes = self.hold.checks((seat.origin.strategy, seat.symbol) for seat, _ in drafts)
        changes += [change for seat, draft in drafts for change in self._changes(seat, draft)]
        changes += self._risk_changes(drafts, changed)
        version = await self._committed(changes, vital=vital)
        for seat, draft in drafts:
            _adopt(seat, draft, version)
        for name, after in changed.items():
            self.risks[name], self._risk_expects[name] = after, version
        for seat, count in stored.items():
            del self.outages[seat][:count]
        events = [event for _, draft in drafts for event in draft.events]
        self._emit([event for event in events if not isinstance(event, StoreRecovered)])

    def _outages_into(self, drafts: Sequence[tuple[Seat, Draft]]) -> dict[Seat, int]:
        """Append to each draft the outages that its seat still owes its history; return how many these are."""
        for seat, draft in drafts:
            for outage in self.outages.get(seat, ()):
                draft.note(outage)
        return {seat: len(self.outages.get(seat, ())) for seat, _ in drafts if seat in self.outages}

    async def ensure(self, seconds: float) -> None:
        """Return while nobody else can take the seats for longer than that; raises LeaseLost, and Unavailable."""
        await self.store.patiently(partial(self.hold.ensure, seconds))

    async def _committed(self, changes: Sequence[Change], *, vital: bool) -> str:
        try:
            return await self.store.commit(changes, commit_id=self._ids(), vital=vital)
        except Conflict as error:
            raise self.hold.lost(error) or error from error

    def _changes(self, seat: Seat, draft: Draft) -> Iterable[Change]:
        before, after = documents(seat.book), documents(draft.book)
        for key, old, new in zip(seat.record_keys(), before, after, strict=True):
            expect = seat.expects[key]
            yield Check(key, expect) if old == new else Put(key, new, expect)
        history, system = seat.streams()
        for event in draft.events:
            yield Append(history if isinstance(event, LIFECYCLE) else system, to_document(event))

    def _risk_changes(
        self, drafts: Sequence[tuple[Seat, Draft]], changed: dict[str, Positions]
    ) -> Iterable[Change]:
        # A profile that any of these signals was judged by is an input of the decision, changed or not: also of a
        # refusal, which another process's position that is over by now must not be the reason for.
        judged = {
            seat.origin.risk
            for seat, draft in drafts
            if seat.origin.risk and (draft.book.row is not seat.row or _was_asked(draft))
        }
        for name in sorted(judged | set(changed)):
            key, expect = _risk_key(name), self._risk_expects[name]
            yield Put(key, RISK.to_document(changed[name]), expect) if name in changed else Check(key, expect)


def _was_asked(draft: Draft) -> bool:
    return any(isinstance(event, Decided) for event in draft.events)


def _risk_key(profile: str) -> Key:
    return Key(f"risk.{profile}", "positions")


def _adopt(seat: Seat, draft: Draft, version: str) -> None:
    before, after = documents(seat.book), documents(draft.book)
    for key, old, new in zip(seat.record_keys(), before, after, strict=True):
        if old != new:
            seat.expects[key] = version
    seat.adopt(draft.book)
