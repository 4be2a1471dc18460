"""The engine of a live run: one loop, all seats. Each minute of the market is one commit, then the effects it means.

    candles closed -> turns -> risk, in symbol order -> ONE COMMIT -> effects -> their outcomes -> next candles

The market is asked for its next candle only when everything decided on the last one is done and committed: that
is why a market that waits finds every interruption without a trace.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from holdfast import points
from holdfast.errors import Conflict, HoldfastError, InvalidOption, MarketEnded, StoreFull, Unavailable, Unknown
from holdfast.market.candles import Window
from holdfast.runtime.book import Book, Draft, Run
from holdfast.runtime.calls import GuardedCaller
from holdfast.runtime.live import start
from holdfast.runtime.live.feed import BATCH, Feed
from holdfast.runtime.live.ledger import Ledger
from holdfast.runtime.live.orders import Orders, Patience
from holdfast.runtime.live.seat import Seat
from holdfast.runtime.live.start import OrphanPolicy
from holdfast.runtime.spec import StrategySpec, watcher
from holdfast.runtime.turn import Turn, admit_proposal, settle_risk
from holdfast.store import Store
from holdfast.system import Clock, Ids
from holdfast.trading.candle import MINUTE, Candle
from holdfast.trading.events import (
    DecisionSkipped,
    ExchangeUnavailable,
    Happening,
    Reconciled,
    Recovered,
    Started,
    Stopped,
    StoreUnavailable,
)
from holdfast.trading.inputs import Origin, Request
from holdfast.trading.order import OrderState
from holdfast.trading.risk import Positions, RiskProfile
from holdfast.trading.rules import Rules

if TYPE_CHECKING:
    from holdfast.broker.protocol import Broker
    from holdfast.market.protocol import Exchange

__all__ = ("Engine",)

LONGEST_PAUSE: Final = 30.0

Listener = Callable[[Sequence[Happening]], None]


class Engine:
    """Trades seats on one exchange and broker from one store, until it is told to let go or the market ends.

    Nothing is yielded to listeners before it is committed (StoreUnavailable and ExchangeUnavailable, which cannot
    be stored, have number 0).
    """

    def __init__(
        self,
        *,
        store: Store,
        exchange: "Exchange",
        broker: "Broker",
        wanted: Sequence[tuple[StrategySpec, str]],
        profiles: Mapping[str, RiskProfile],
        registered: frozenset[str] = frozenset(),
        clock: Clock,
        ids: Ids,
        listener: Listener,
        policy: OrphanPolicy = "refuse",
        resume: bool = False,
        poll: float = 1.0,
        patience: Patience | None = None,
    ) -> None:
        self._store = store
        self._exchange = exchange
        self._broker = broker
        self._profiles = profiles
        self._registered = registered
        self._clock = clock
        self._policy = policy
        self._resume = resume
        self._poll = poll
        self._listener = listener
        self._log = logging.getLogger("holdfast.live")
        self._ledger = Ledger(store, clock=clock, ids=ids, emit=listener, trouble=self._store_trouble)
        self._orders = Orders(broker, exchange, self._ledger, clock=clock, patience=patience or Patience())
        self._feed = Feed(exchange)
        self._step = asyncio.Lock()
        self._detached = asyncio.Event()
        self._callers: list[GuardedCaller] = []
        self._room = True
        self._failures = 0
        self.seats = [self._seat(spec, symbol) for spec, symbol in wanted]

    # ------------------------------------------------------------ running

    async def run(self) -> None:
        """Start, and trade until `detach`, the market's end, or all seats stopped and flat.

        Raises what a start refuses with (Orphaned, WrongNamespace, LeaseHeld…), and Unavailable where the store
        stays away after bounded attempts.
        """
        try:
            await self._start()
            while not self._detached.is_set() and not self._all_done():
                if not await self._round():
                    await self._clock.sleep(self._poll)
        except MarketEnded:
            await self._finish("the market ended")
        finally:
            for caller in self._callers:
                caller.close()

    def detach(self) -> None:
        """Let go after the step under way: positions and orders stay as they are, and the next start resumes."""
        self._detached.set()

    async def stop(self, symbol: str | None = None) -> None:
        """Take no new signals from now on, also after restarts; what is open is watched to its end."""
        await self._set_stopped(symbol, True)

    async def resume(self, symbol: str | None = None) -> None:
        """Take new signals again, and go on with symbols that were halted."""
        await self._set_stopped(symbol, False)

    async def request(self, kind: str, symbol: str, strategy: str | None = None) -> bool:
        """Close an open signal or cancel a scheduled one now; False where there was nothing to do.

        The wish is committed as an intent before this returns, so it survives whatever comes next.
        """
        if kind not in ("close", "cancel"):
            raise InvalidOption(f"a request is close or cancel, not {kind!r}")
        done = False
        for seat in self._chosen(symbol, strategy):
            async with self._step:
                draft = seat.draft(self._clock.now())
                draft.feed(Request(kind="close" if kind == "close" else "cancel", at=await self._exchange.now()))
                if draft.book != seat.book and not seat.held.run.halted:
                    await self._orders.commit(seat, draft)
                    await self._orders.carry_out(seat)
                    done = True
        return done

    def _all_done(self) -> bool:
        return bool(self.seats) and all(seat.held.run.stopped and seat.row is None for seat in self.seats)

    def _chosen(self, symbol: str | None, strategy: str | None = None) -> list[Seat]:
        found = [
            seat
            for seat in self.seats
            if symbol in (None, seat.symbol) and strategy in (None, seat.origin.strategy)
        ]
        if not found:
            known = ", ".join(seat.name for seat in self.seats)
            raise InvalidOption(f"this run does not trade {strategy or 'any strategy'} on {symbol}; it trades {known}")
        return found

    # ------------------------------------------------------------ start

    async def _start(self) -> None:
        await start.bind(
            self._store, exchange=self._exchange.name, broker=self._broker.name, account=self._broker.account
        )
        await self._take_orphans()
        await self._orders.synchronise()
        await self._ledger.load(self.seats)
        await self._begin()
        for seat in self.seats:
            seat.market = await self._exchange.market(seat.symbol)
            seat.turn = Turn(seat.spec, await self._feed.warm_up(seat), self._caller())
        await self._recover(self.seats)
        await self._reconcile()
        await self._flatten()

    def _seat(self, spec: StrategySpec, symbol: str) -> Seat:
        origin = Origin(self._store.namespace, spec.name, symbol, self._exchange.name, spec.risk)
        return Seat(spec, origin)

    def _caller(self) -> GuardedCaller:
        self._callers.append(GuardedCaller())
        return self._callers[-1]

    async def _take_orphans(self) -> None:
        rows = await start.orphans(self._store, self.seats)
        if self._policy == "later":  # their own runs may be started next
            waiting = [row for row in rows if row.strategy in self._registered]
            rows = [row for row in rows if row not in waiting]
            for row in waiting:
                self._log.warning("nobody watches %s on %s before its own run starts", row.strategy, row.symbol)
        if rows and self._policy in ("refuse", "later"):
            raise start.refuse(rows)
        if self._policy == "ignore":
            return
        for row in rows:
            spec = watcher(row.strategy, Rules(), risk=row.risk)
            self.seats.append(self._seat(spec, row.symbol))

    async def _begin(self) -> None:
        """Commit that the run has the seats; a seat's first cursor is the market's time now, and never moves back."""
        now = await self._exchange.now()
        drafts = []
        for seat in self.seats:
            found = seat.book is not None
            if seat.book is None:
                seat.book = Book(run=Run(cursor=now - now % MINUTE))
            draft = seat.draft(self._clock.now())
            draft.tell(Started)
            if found:
                draft.tell(Recovered, status=seat.row.status if seat.row else "idle", detail=self._findings())
            if self._resume and draft.book.run.halted:
                draft.run(halted="")
            drafts.append((seat, draft))
        await self._ledger.commit(drafts, vital=True)
        points.reached("start.committed")

    def _findings(self) -> str:
        return "; ".join(str(finding) for finding in getattr(self._store, "findings", ()))

    async def _recover(self, seats: Iterable[Seat]) -> None:
        """Settle what earlier processes (or this one, before a Conflict) have left under way."""
        for seat in seats:
            await self._orders.carry_out(seat, maybe_sent=True)
            points.reached("start.settled")

    async def _reconcile(self) -> None:
        unknown = await start.unknown_orders(self._store, self._broker, self.seats)
        for seat, orders in unknown.items():
            draft = seat.draft(self._clock.now())
            names = tuple(order.client_id for order in orders)
            detail = "; ".join(f"{o.side} {o.filled:g} of {o.quantity:g} {o.symbol} ({o.status})" for o in orders)
            draft.tell(Reconciled, detail=detail, orders=names)
            draft.halt(f"orders of ours that the store does not know: {detail}. Check the position, then resume")
            await self._orders.commit(seat, draft)

    async def _flatten(self) -> None:
        if self._policy != "flatten":
            return
        for seat in self.seats:
            if seat.spec.decide is None and seat.row is not None:
                draft = seat.draft(self._clock.now())
                draft.feed(Request(kind="close", at=await self._exchange.now(), reason="flatten"))
                await self._orders.commit(seat, draft)
                await self._orders.carry_out(seat)

    # ------------------------------------------------------------ one round

    async def _round(self) -> bool:
        """Take the market's next minute where it has closed; return whether anything was there to do."""
        due = await self._due()
        if not due:
            return False
        async with self._step:
            try:
                await self._take(due)
            except Conflict as error:
                # Somebody else changed what was decided from: nothing was committed, so decide anew.
                self._log.warning("decided anew: %s", error)
                await self._ledger.load(self.seats)
                await self._recover(self.seats)
            except StoreFull as error:
                self._room = False
                self._store_trouble(error)
                await self._clock.sleep(self._pause())
        return True

    async def _due(self) -> list[tuple[Seat, list[Candle], list[OrderState]]]:
        self._feed.new_round()
        due = []
        for seat in self.seats:
            if seat.held.run.halted:
                continue
            try:
                candles = await self._feed.next(seat)
                observed = await self._observe(seat) if candles else []
            except (Unavailable, Unknown) as error:
                self._exchange_trouble(seat, error)
                await self._clock.sleep(self._pause())
                continue
            if candles and not seat.held.run.halted:
                due.append((seat, candles, observed))
        if due:
            self._failures = 0
            points.reached("live.candles-received")
        return due

    async def _observe(self, seat: Seat) -> list[OrderState]:
        """Return the entry as the exchange knows it now, while a part of it may still be filled."""
        row = seat.row
        if row is None or row.entry.final or row.intent is not None:
            return []
        order = await self._orders.look_up(row.entry)
        if order is None:
            draft = seat.draft(self._clock.now())
            draft.halt(f"order {row.entry.client_id} was open, and {self._broker.name} knows it no more: look for it")
            await self._orders.commit(seat, draft)
            return []
        return [order]

    async def _take(self, due: Sequence[tuple[Seat, list[Candle], list[OrderState]]]) -> None:
        drafts = []
        for seat, candles, observed in due:
            draft = seat.draft(self._clock.now())
            await self._turns(seat, draft, candles, observed)
            drafts.append((seat, draft))
        risks = self._admit(drafts)
        for _, draft in drafts:
            self._orders.stamp(draft)
        points.reached("live.decided")
        await self._ledger.commit(drafts, risks, vital=_watches_only(drafts))
        self._room = True
        points.reached("live.committed")
        for seat, _ in drafts:
            await self._orders.carry_out(seat)
        points.reached("live.carried-out")

    async def _turns(
        self, seat: Seat, draft: Draft, candles: Sequence[Candle], observed: Sequence[OrderState]
    ) -> None:
        window, newest = seat.turn.candles, len(candles) - 1
        for i, candle in enumerate(candles):
            # A step that was dropped may have shown it already.
            if isinstance(window, Window) and (not len(window) or candle.at > window.last.at):
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
        risks = dict(self._ledger.risks)
        for seat, draft in drafts:
            if seat.origin.risk:
                risks[seat.origin.risk] = settle_risk(draft, seat.row is not None, risks[seat.origin.risk])
        for seat, draft in sorted(drafts, key=lambda one: (one[0].symbol, one[0].origin.strategy)):
            risk = seat.origin.risk
            profile, positions = (self._profiles[risk], risks[risk]) if risk else (None, Positions())
            positions = admit_proposal(draft, seat.market, profile, positions)
            if risk:
                risks[risk] = positions
        return risks

    # ------------------------------------------------------------ stopping, trouble

    async def _set_stopped(self, symbol: str | None, stopped: bool) -> None:
        for seat in self._chosen(symbol):
            async with self._step:
                draft = seat.draft(self._clock.now())
                draft.run(stopped=stopped, **({} if stopped else {"halted": ""}))
                if stopped:
                    draft.tell(Stopped, reason="no new signals until resumed")
                await self._orders.commit(seat, draft)

    async def _finish(self, reason: str) -> None:
        drafts = []
        for seat in self.seats:
            draft = seat.draft(self._clock.now())
            draft.tell(Stopped, reason=reason)
            drafts.append((seat, draft))
        await self._ledger.commit(drafts, vital=True)

    def _pause(self) -> float:
        self._failures += 1
        return float(min(self._poll * 2 ** min(self._failures - 1, 10), LONGEST_PAUSE))

    def _store_trouble(self, error: Exception) -> None:
        self._log.error("store: %s", error)
        self._tell(self.seats, StoreUnavailable, error)

    def _exchange_trouble(self, seat: Seat, error: HoldfastError) -> None:
        self._log.warning("exchange: %s", error)
        self._tell([seat], ExchangeUnavailable, error)

    def _tell(self, seats: Iterable[Seat], kind: type[Happening], error: Exception) -> None:
        at = self._clock.now()
        facts: dict[str, Any] = {"at": at, "error": str(error)}
        self._listener([kind(symbol=seat.symbol, strategy=seat.origin.strategy, **facts) for seat in seats])


def _watches_only(drafts: Sequence[tuple[Seat, Draft]]) -> bool:
    """Whether a step watches or ends what is open, and begins nothing: then it may use the room kept for that."""
    begins = any(seat.row is None and draft.book.row is not None for seat, draft in drafts)
    return not begins and any(seat.row is not None for seat, _ in drafts)
