"""The start of a run: whose namespace it is, what is open, what the exchange did meanwhile. Nothing is decided here.

bind the namespace -> find open signals nobody would watch -> load the seats -> Started, Recovered
-> settle intents -> compare the exchange's orders with the store -> flatten, where asked for
"""

import logging
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Final, Literal

from holdfast import points
from holdfast.errors import Conflict, Orphaned, WrongNamespace
from holdfast.persist.schemas import SIGNAL
from holdfast.runtime.book import Draft
from holdfast.runtime.live.agreement import compare, doubtful, release
from holdfast.runtime.live.parts import CONFLICTS, Parts
from holdfast.runtime.live.reconcile import unknown_orders
from holdfast.runtime.live.seat import Seat
from holdfast.runtime.live.warnings import warnings
from holdfast.runtime.spec import StrategySpec, watcher
from holdfast.runtime.turn import Turn
from holdfast.store import ABSENT, Key, Put
from holdfast.store.tools.mark import MARK_KEY, check_active
from holdfast.store.tools.refusing import refuse_encrypted
from holdfast.trading.candle import MINUTE
from holdfast.trading.events import Reconciled, Recovered, Started, Stopped
from holdfast.trading.inputs import Request
from holdfast.trading.order import OrderState
from holdfast.trading.rules import Rules
from holdfast.trading.signal import SignalRow

__all__ = ("OrphanPolicy", "Start", "recover")

OrphanPolicy = Literal["refuse", "adopt", "flatten", "ignore", "later"]

BINDING: Final = Key("holdfast.desk", "binding")


class Start:
    """Brings a run to where it may decide: `policy` says what becomes of open signals nobody would watch.

    `registered` are the strategies that "later" runs may be started for; `resume` lifts stored halts and stops,
    `release` takes the signals of halted symbols off the books.
    """

    def __init__(
        self,
        parts: Parts,
        *,
        policy: OrphanPolicy,
        registered: Mapping[str, StrategySpec],
        resume: bool = False,
        release: bool = False,
    ) -> None:
        self._parts = parts
        self._policy = policy
        self._registered = registered
        self._resume = resume
        self._release = release
        self._warnings: tuple[str, ...] = ()

    async def run(self) -> None:
        """Do the rest, once the seats are taken; raises Orphaned, and what the store and exchange raise."""
        parts = self._parts
        # Once more: whoever moves a portfolio away takes leases away after its mark, and this one is younger.
        check_active(parts.store, *await parts.store.get(MARK_KEY))
        parts.watch(told=True)
        self._warnings = tuple(warnings(parts.store, parts.broker))
        for warning in self._warnings:
            logging.getLogger("holdfast.live").warning("%s", warning)
        await self._take_orphans()
        await parts.ask(parts.orders.synchronise)
        await self._begin()
        for seat in parts.seats:
            seat.market = await parts.ask(partial(parts.exchange.market, seat.symbol))
            seat.turn = Turn(seat.spec, await parts.ask(partial(parts.feed.warm_up, seat)), parts.caller)
        await recover(parts, parts.seats)
        await self._reconcile()
        await self._flatten()

    async def bind(self) -> None:
        """Tie the namespace to an exchange and account at first use.

        Raises WrongNamespace for another one's, NotActive for a copy and for one that has moved, InvalidOption for
        one that is encrypted and was opened without its key.
        """
        parts = self._parts
        # Nothing of it could be read, and nothing readable is to be written into it.
        await refuse_encrypted(parts.store)
        wanted = {
            "exchange": parts.exchange.name,
            "broker": parts.broker.name,
            "account": parts.broker.account,
        }
        record, mark = await parts.store.get(BINDING, MARK_KEY)
        check_active(parts.store, mark)
        if record is None:
            try:
                await parts.store.commit([Put(BINDING, wanted, ABSENT)])
            except Conflict:  # another run of the namespace was first, at the same moment
                await self.bind()
                return
            points.reached("start.bound")
        elif record.value != wanted:
            raise WrongNamespace(
                f"namespace {parts.store.namespace!r} of {parts.store.url} belongs to {record.value}, and this run "
                f"is for {wanted}: give this run a namespace of its own",
                found=record.value,
                wanted=wanted,
            )

    # ------------------------------------------------------------ signals without a run

    async def _take_orphans(self) -> None:
        rows = await self._orphans()
        if self._policy == "later":  # their own runs may be started next
            rows = [row for row in rows if not self._starts_later(row)]
        if rows and self._policy in ("refuse", "later"):
            raise _refused(rows)
        if self._policy == "ignore":
            return
        for row in rows:
            known = self._registered.get(row.strategy)
            spec = watcher(row.strategy, known.rules if known else Rules(), risk=row.risk)
            seat = self._parts.seat(spec, row.symbol)
            await self._parts.take([seat])
            self._parts.seats.append(seat)

    async def _orphans(self) -> list[SignalRow]:
        """Return the live signals in the store whose strategy and symbol no run has, neither this nor another one."""
        store = self._parts.store
        taken = {(seat.origin.strategy, seat.symbol) for seat in self._parts.seats}
        rows = []
        for name in (await store.names()).entities:
            if name.startswith(("signal.", "schedule.")):
                found = [record.value async for record in store.scan(name)]
                rows += [SIGNAL.from_document(value) for value in found if value is not None]
        rows = [row for row in rows if (row.strategy, row.symbol) not in taken]
        watched = await self._parts.hold.held_by_others((row.strategy, row.symbol) for row in rows)
        return [row for row in rows if (row.strategy, row.symbol) not in watched]

    def _starts_later(self, row: SignalRow) -> bool:
        if row.strategy not in self._registered:
            return False
        log = logging.getLogger("holdfast.live")
        log.warning("nobody watches %s on %s before its own run starts", row.strategy, row.symbol)
        return True

    async def _flatten(self) -> None:
        for seat in self._parts.seats:
            if self._policy == "flatten" and seat.spec.decide is None and seat.row is not None:
                await self._parts.again(partial(self._closed, seat))
                await self._parts.again(partial(self._parts.orders.carry_out, seat))

    async def _closed(self, seat: Seat) -> None:
        draft = self._draft(seat)
        now = await self._parts.ask(self._parts.exchange.now)
        draft.feed(Request(kind="close", at=now, reason="flatten"))
        await self._parts.orders.commit(seat, draft)

    # ------------------------------------------------------------ the seats

    def _draft(self, seat: Seat) -> Draft:
        return seat.draft(self._parts.clock.now())

    async def _begin(self) -> None:
        """Commit that the run has the seats; a seat's first cursor is the market's time now, and never moves back."""
        now = await self._parts.ask(self._parts.exchange.now)
        for attempt in range(CONFLICTS):
            await self._parts.ledger.load(self._parts.seats)
            drafts = [(seat, await self._begun(seat, now - now % MINUTE)) for seat in self._parts.seats]
            try:
                await self._parts.ledger.commit(drafts, self._parts.places_left(drafts), vital=True)
                break
            except Conflict:  # another process has changed a risk profile's positions meanwhile
                if attempt == CONFLICTS - 1:
                    raise
        points.reached("start.committed")

    async def _begun(self, seat: Seat, now: int) -> Draft:
        found = seat.book is not None
        doubt = await compare(self._parts.store, seat, now)
        draft = self._draft(seat)
        draft.tell(Started, warnings=self._warnings)
        if found:
            status = seat.row.status if seat.row else "idle"
            findings = "; ".join(str(finding) for finding in getattr(self._parts.store, "findings", ()))
            draft.tell(Recovered, status=status, detail=findings)
        if doubt:
            draft.halt(doubtful(doubt))
        if self._release and draft.book.run.halted:
            await release(self._parts.store, seat, draft)
        if self._resume:
            draft.run(stopped=False, halted=doubt and draft.book.run.halted)
        elif draft.book.run.stopped:
            draft.tell(Stopped, reason="it was stopped before: resume it, and it takes new signals again")
        return draft

    async def _reconcile(self) -> None:
        parts = self._parts
        unknown = await parts.ask(partial(unknown_orders, parts.store, parts.broker, parts.seats))
        if unknown.strays and self._policy not in ("ignore", "later"):
            raise Orphaned(
                f"the exchange has orders of this namespace that the store does not know: {_listed(unknown.strays)}. "
                "Check the positions there, then start with --ignore",
                positions=tuple(unknown.strays),
            )
        for seat, orders in unknown.of_seats.items():
            await parts.again(partial(self._halted, seat, orders))

    async def _halted(self, seat: Seat, orders: list[OrderState]) -> None:
        draft = self._draft(seat)
        detail = _listed(orders)
        draft.tell(Reconciled, detail=detail, orders=tuple(order.client_id for order in orders))
        draft.halt(f"orders of ours that the store does not know: {detail}. Check the position, then resume")
        await self._parts.orders.commit(seat, draft)


async def recover(parts: Parts, seats: Iterable[Seat]) -> None:
    """Settle what earlier processes (or this one, in a step that failed) have left under way."""
    for seat in seats:
        await parts.again(partial(parts.orders.carry_out, seat))
        points.reached("start.settled")


def _listed(orders: list[OrderState]) -> str:
    return "; ".join(f"{o.side} {o.filled:g} of {o.quantity:g} {o.symbol} ({o.status})" for o in orders)


def _refused(rows: list[SignalRow]) -> Orphaned:
    held = ", ".join(
        f"{row.strategy} on {row.symbol} ({row.status}, {row.side} {row.held:g})" for row in rows
    )
    return Orphaned(
        f"open signals of strategies or symbols that are not part of this run: {held}. Choose --adopt (watch them to "
        "their end), --flatten (close them at the market) or --ignore (leave them unwatched)",
        positions=tuple(rows),
    )
