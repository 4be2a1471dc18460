"""The engine of a live run: one loop, all seats. Each minute of the market is one commit, then the effects it means.

    candles closed -> turns -> risk, in symbol order -> ONE COMMIT -> effects -> their outcomes -> next candles

The market is asked for its next candle only when everything decided on the last one is done and committed: that
is why a market that waits finds every interruption without a trace.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from holdfast import points
from holdfast.errors import BadCandles, Conflict, MarketEnded, StoreFull, Unavailable, Unknown, WentBack
from holdfast.market.candles import Window
from holdfast.runtime.admission import admit_all
from holdfast.runtime.book import Draft
from holdfast.runtime.live.control import Control
from holdfast.runtime.live.feed import BATCH
from holdfast.runtime.live.parts import Parts
from holdfast.runtime.live.seat import Seat
from holdfast.runtime.live.start import Start, recover
from holdfast.trading.candle import MINUTE, Candle
from holdfast.trading.events import DecisionSkipped, Stopped
from holdfast.trading.order import OrderState
from holdfast.trading.risk import Positions

__all__ = ("Engine",)

LONGEST_PAUSE: Final = 30.0


class Engine:
    """Trades seats on one exchange and broker from one store, until it is told to let go or the market ends.

    Nothing is told to listeners before it is committed (what cannot be stored, as StoreUnavailable, and
    StoreRecovered, which is stored later, have number 0). `poll` is the longest pause (s) before candles are asked for
    again.
    """

    def __init__(
        self, parts: Parts, start: Start, taking: Callable[[], Awaitable[None]], *, poll: float = 1.0
    ) -> None:
        self._parts = parts
        self._start = start
        self._taking = taking
        self._poll = poll
        self._step = asyncio.Lock()
        self._detached = asyncio.Event()
        self._room = True
        self._full: tuple[float, StoreFull] | None = None
        self._has_seats = False
        self._failures = 0
        self.control = Control(parts, self._step)

    @property
    def seats(self) -> Sequence[Seat]:
        """What the run trades."""
        return self._parts.seats

    async def run(self) -> None:
        """Start, and trade until `detach`, the market's end, or all seats are stopped and flat.

        Raises what a start refuses with (Orphaned, WrongNamespace, LeaseHeld, …), LeaseLost where another process has
        taken over, Unavailable where the store stays away after bounded attempts, and WentBack (with all symbols
        halted) where the store has lost commits that it had acknowledged.
        """
        try:
            await self._trade()
        except WentBack as error:
            if self._has_seats:  # else nothing rests on what is lost: the next start compares
                async with self._step:
                    await self._halt_all(str(error))
            raise
        finally:
            self._parts.caller.close()

    async def _trade(self) -> None:
        try:
            await self._start.bind()
            if await self._seated():
                async with self._step:  # what is settled here, a user's wish must not carry out beside it
                    await self._start.run()
                await self._rounds()
        except MarketEnded:
            async with self._step:
                await self._finish("the market ended")
        await self._parts.farewell()

    def detach(self) -> None:
        """Let go after the step under way: positions and orders stay as they are, and the next start resumes."""
        self._detached.set()

    async def _seated(self) -> bool:
        """Take the seats; False where the run was let go of while it waited for them."""
        taking = asyncio.ensure_future(self._taking())
        leaving = asyncio.ensure_future(self._detached.wait())
        try:
            await asyncio.wait([taking, leaving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            if not taking.done():
                taking.cancel()
                await asyncio.wait([taking])
        if taking.cancelled():
            return False
        taking.result()
        self._has_seats = True
        return True

    async def _rounds(self) -> None:
        while not self._detached.is_set() and not self._all_done():
            self._parts.store.check()
            self._parts.hold.check()
            self._parts.watch()
            if not await self._round():
                await self._rest(self._poll)

    async def _halt_all(self, reason: str) -> None:
        """Halt every seat, in a store that is older than what was acknowledged: a person has to compare first."""
        parts = self._parts
        await parts.store.renew()
        await parts.store.patiently(parts.hold.retake)
        await parts.reload()
        for seat in [seat for seat in self.seats if seat.book is not None]:
            draft = seat.draft(parts.clock.now())
            draft.halt(reason)
            await parts.ledger.commit([(seat, draft)], vital=True)

    async def _rest(self, seconds: float) -> None:
        """Wait, but not for longer than the run is wanted."""
        waits = [
            asyncio.ensure_future(wait) for wait in (self._parts.clock.sleep(seconds), self._detached.wait())
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _all_done(self) -> bool:
        return bool(self.seats) and all(seat.held.run.stopped and seat.row is None for seat in self.seats)

    async def _finish(self, reason: str) -> None:
        drafts = [(seat, seat.draft(self._parts.clock.now())) for seat in self.seats]
        for _, draft in drafts:
            draft.tell(Stopped, reason=reason)
        await self._parts.ledger.commit(drafts, vital=True)

    # ------------------------------------------------------------ one round

    async def _round(self) -> bool:
        """Take the market's next minute where it has closed; return whether anything was there to do."""
        try:
            await self._settle_first()
            due = await self._due()
            if due:
                async with self._step:
                    await self._take(due)
        except Conflict as error:
            # Somebody else changed what was decided from: nothing was committed, so decide anew.
            logging.getLogger("holdfast.live").warning("decided anew: %s", error)
            await self._parts.reload()
            return True
        except StoreFull as error:
            # What is open is watched in the room that is kept for it, and nobody is asked meanwhile. Where nothing
            # is open, the minute waits for room as a whole.
            self._room = all(seat.row is None for seat in self.seats)
            self._parts.store_trouble(error)
            self._full = self._full or (self._parts.clock.monotonic(), error)
            await self._rest(self._pause())
            return True
        return bool(due)

    async def _settle_first(self) -> None:
        """Settle what a failed step has left standing, before the market is asked to move on."""
        pending = [seat for seat in self.seats if seat.row is not None and seat.row.intent is not None]
        if pending:
            async with self._step:
                await recover(self._parts, pending)

    async def _due(self) -> list[tuple[Seat, list[Candle], list[OrderState]]]:
        """Return the seats whose next candles have closed; raises MarketEnded once no seat has any to come."""
        self._parts.feed.new_round()
        due, troubled = list[tuple[Seat, list[Candle], list[OrderState]]](), False
        ended: MarketEnded | None = None
        for seat in self.seats:
            if seat.held.run.halted:
                continue
            try:
                candles = await self._parts.feed.next(seat)
                observed = await self._observe(seat) if candles else []
            except MarketEnded as error:  # for this seat: another one may still be owed what it missed
                ended = error
                continue
            except (Unavailable, Unknown, BadCandles) as error:
                # Its cursor stays where it is: the candles are owed to it, and come late if they come.
                self._parts.exchange_trouble(seat, error)
                troubled = True
                continue
            if candles and not seat.held.run.halted:
                due.append((seat, candles, observed))
        if troubled and self._parts.exchange.waits:
            due.clear()  # a market that waits does not move on, and the minute is taken by all seats together
        if due:
            points.reached("live.candles-received")
        if troubled:
            await self._rest(self._pause())
        elif due:
            self._failures = 0
        elif ended is not None:
            raise ended
        return due

    async def _observe(self, seat: Seat) -> list[OrderState]:
        """Return the entry as the exchange knows it now, while a part of it may still be filled."""
        row = seat.row
        if row is None or row.entry.final or row.intent is not None:
            return []
        order = await self._parts.orders.look_up(row.entry)
        if order is not None:
            return [order]
        async with self._step:
            draft = seat.draft(self._parts.clock.now())
            name = self._parts.broker.name
            draft.halt(f"order {row.entry.client_id} was open, and {name} knows it no more: look for it")
            await self._parts.orders.commit(seat, draft)
        return []

    async def _take(self, due: Sequence[tuple[Seat, list[Candle], list[OrderState]]]) -> None:
        drafts = []
        for seat, candles, observed in due:
            draft = seat.draft(self._parts.clock.now())
            await self._turns(seat, draft, candles, observed)
            drafts.append((seat, draft))
        risks = self._admit(drafts)
        for _, draft in drafts:
            self._parts.orders.stamp(draft)
        points.reached("live.decided")
        vital = _watches_only(drafts)
        await self._parts.ledger.commit(drafts, risks, vital=vital)
        self._has_room(certain=not vital)
        points.reached("live.committed")
        for seat, _ in drafts:
            await self._parts.orders.carry_out(seat)
        points.reached("live.carried-out")

    def _has_room(self, *, certain: bool) -> None:
        """Ask again after a commit; it is `certain` that there is room unless the commit used what is kept."""
        self._room = True
        if certain and self._full is not None:
            (since, error), self._full = self._full, None
            self._parts.store_recovered(self._parts.clock.monotonic() - since, error)

    async def _turns(
        self, seat: Seat, draft: Draft, candles: Sequence[Candle], observed: Sequence[OrderState]
    ) -> None:
        window, newest = seat.turn.candles, len(candles) - 1
        for i, candle in enumerate(candles):
            if isinstance(window, Window):
                window.append(candle)
            # Only the last candle of an answer that was not cut short can be the market's present.
            late = i < newest or len(candles) >= BATCH
            await seat.turn.take(
                draft, candle, candle.at + MINUTE, observed=() if i else observed, late=late, ask=self._room
            )
        if draft.skipped:
            draft.tell(DecisionSkipped, count=draft.skipped)

    def _admit(self, drafts: Sequence[tuple[Seat, Draft]]) -> dict[str, Positions]:
        """Judge the proposals in symbol order, after the places that this step gives back."""
        risks = self._parts.places_left(drafts)
        judged = {seat for seat, _ in drafts}
        others = [seat.row for seat in self.seats if seat not in judged and seat.row is not None]
        admit_all([(draft, seat.market) for seat, draft in drafts], self._parts.profiles, risks, rows=others)
        return risks

    def _pause(self) -> float:
        self._failures += 1
        return float(min(self._poll * 2 ** min(self._failures - 1, 10), LONGEST_PAUSE))


def _watches_only(drafts: Sequence[tuple[Seat, Draft]]) -> bool:
    """Whether a step watches or ends what is open, and begins nothing: then it may use the room kept for that."""
    begins = any(seat.row is None and draft.book.row is not None for seat, draft in drafts)
    return not begins and any(seat.row is not None for seat, _ in drafts)
