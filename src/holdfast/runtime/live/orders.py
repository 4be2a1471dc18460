"""Effects: an intent that is committed is executed at most once, whatever happens on the way, and its outcome kept.

    intent committed -> (sent -> answered) -> outcome committed

An intent that may have been sent is settled by asking the exchange for its client id. "Not found" becomes final
only once the exchange's own clock has passed the expiry that was committed with the intent: from then on a late
request is refused. Where a broker has no such rule, nothing is ever sent twice: the symbol halts instead.
"""

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from holdfast import points
from holdfast.errors import Rejected, Unavailable, Unknown
from holdfast.runtime.admission import settle_risk
from holdfast.runtime.book import Draft
from holdfast.runtime.live.ledger import Ledger
from holdfast.runtime.live.patience import Patience
from holdfast.runtime.live.seat import Seat
from holdfast.system import Clock
from holdfast.trading.candle import MINUTE
from holdfast.trading.inputs import Outcome
from holdfast.trading.order import Order, OrderState
from holdfast.trading.signal import Intent

if TYPE_CHECKING:
    from holdfast.broker.protocol import Broker
    from holdfast.market.protocol import Exchange

__all__ = ("Orders", "Unsettled")

CLOCK_MARGIN: Final = 100
"""Milliseconds past an expiry before "not found" is believed: clocks are read over a network."""


class Unsettled(Exception):
    """What became of an intent cannot be found out from here; a person must look at the exchange."""


class Orders:
    """Executes the intents of seats, and settles those whose fate is not known."""

    def __init__(
        self, broker: "Broker", exchange: "Exchange", ledger: Ledger, *, clock: Clock, patience: Patience
    ) -> None:
        self._broker = broker
        self._exchange = exchange
        self._ledger = ledger
        self._clock = clock
        self._patience = patience
        self._offset = 0

    async def synchronise(self) -> None:
        """Learn how far the exchange's wall clock is from ours, for the expiry of requests."""
        before = self._clock.now()
        theirs = await self._broker.time()
        self._offset = theirs - (before + self._clock.now()) // 2

    def stamp(self, draft: Draft) -> None:
        """Give a draft's new intent the expiry that its request will carry, so that it is committed with it."""
        row = draft.book.row
        if row is None or row.intent is None or row.intent.expires_at or self._broker.request_expiry is None:
            return
        intent = replace(row.intent, expires_at=self._expiry())
        draft.book = replace(draft.book, row=replace(row, intent=intent))

    async def carry_out(self, seat: Seat) -> None:
        """Execute what the seat has committed to, one effect and one outcome at a time, until nothing is left.

        A symbol whose order cannot be settled is halted, with the reason; the others go on.
        """
        while seat.row is not None and (intent := seat.row.intent) is not None and not seat.held.run.halted:
            try:
                order = await self._execute(seat, intent)
            except Unsettled as error:
                await self._halt(seat, str(error))
                return
            await self.outcome(seat, order, intent)

    async def outcome(self, seat: Seat, order: OrderState, intent: Intent) -> None:
        """Commit the exchange's word on an order: the one commit of an effect's outcome and all that follows."""
        draft = seat.draft(self._clock.now())
        at = max(intent.at, *(fill.at for fill in order.fills), 0)
        draft.feed(Outcome(order=order, at=at))
        await self.commit(seat, draft)
        points.reached("orders.outcome-committed")

    async def commit(self, seat: Seat, draft: Draft) -> None:
        """Commit a step that is no new entry: it may use the room that is kept for outcomes and exits."""
        self.stamp(draft)
        risk = seat.origin.risk
        risks = {risk: settle_risk(draft, seat.row is not None, self._ledger.risks[risk])} if risk else None
        await self._ledger.commit([(seat, draft)], risks, vital=True)

    async def look_up(self, order: OrderState) -> OrderState | None:
        """Return an order as the exchange knows it now; raises Unknown after bounded attempts."""
        return await self._look_up(order.client_id, order.symbol)

    async def _halt(self, seat: Seat, reason: str) -> None:
        draft = seat.draft(self._clock.now())
        draft.halt(reason)
        await self.commit(seat, draft)

    # ------------------------------------------------------------ one effect

    async def _execute(self, seat: Seat, intent: Intent) -> OrderState:
        """Return the exchange's word on an intent, which is sent unless it may have been sent before.

        That is so unless this process has just committed it: whatever was interrupted on the way (a crash, a full
        disk, a caller who gave up) is asked for before it is sent again.
        """
        maybe_sent = not seat.claim(intent)
        for pause in [0.0, *self._patience.pauses()]:
            await self._clock.sleep(pause)
            try:
                if maybe_sent and intent.kind == "submit":
                    known = await self._word(seat, intent)
                    if known is not None:
                        return known
                intent = await self._renewed(seat, intent)
                return await self._until_final(await self._send(seat, intent), intent)
            except Unknown:
                maybe_sent = True
        raise Unsettled(
            f"order {intent.client_id}: no clear answer from {self._broker.name} in bounded tries"
        )

    async def _word(self, seat: Seat, intent: Intent) -> OrderState | None:
        """Return what became of an intent that may have been sent; None where it is to be sent now."""
        found = await self._settle(intent, seat.symbol)
        points.reached("orders.settled")
        if found is not None:
            return await self._until_final(found, intent)
        if await self._too_late(seat, intent):
            return _never_sent(intent, "it never reached the exchange, and the market has moved on")
        return None

    async def _send(self, seat: Seat, intent: Intent) -> OrderState:
        # A fence stops writes, not sends: what is sent now is refused by the exchange before anybody else can decide.
        await self._ledger.ensure(self._broker.request_expiry or 0.0)
        points.reached("orders.sending")
        if intent.order is None:
            state = await self._broker.cancel(intent.client_id, symbol=seat.symbol)
            points.reached("orders.sent")
            return state or await self._known(intent, seat.symbol)
        try:
            state = await self._broker.submit(intent.order, expires_at=intent.expires_at)
        except Rejected as error:
            return await self._refused(intent, intent.order, error)
        points.reached("orders.sent")
        return state

    async def _refused(self, intent: Intent, order: Order, error: Rejected) -> OrderState:
        # "Duplicate id" is a refusal too: whatever the words, an order of that id that exists is our order.
        found = await self._look_up(order.client_id, order.symbol)
        if found is not None:
            return found
        if error.facts.get("reason") == "expired":
            await self.synchronise()  # a clock may have jumped: the next expiry must be judged anew
            raise Unknown("the request reached the exchange after its expiry") from error
        return _never_sent(intent, str(error) or "refused by the exchange")

    async def _known(self, intent: Intent, symbol: str) -> OrderState:
        found = await self._look_up(intent.client_id, symbol)
        if found is None:
            raise Unsettled(
                f"order {intent.client_id} was acknowledged, and {self._broker.name} knows it no more"
            )
        return found

    async def _until_final(self, order: OrderState, intent: Intent) -> OrderState:
        """Wait for the last word where only that settles the intent: market orders and cancels."""
        resting = order.type == "limit" and intent.kind == "submit"
        for pause in self._patience.pauses():
            if _is_told(order) or resting:
                return order
            await self._clock.sleep(pause)
            order = await self._known(intent, order.symbol)
        if _is_told(order):
            return order
        raise Unsettled(f"order {order.client_id} stays {order.status!r} at {self._broker.name}")

    # ------------------------------------------------------------ settling

    async def _settle(self, intent: Intent, symbol: str) -> OrderState | None:
        """Return the order of an intent that may have been sent; None once it is certain that there is none."""
        found = await self._find(intent, symbol)
        if found is not None:
            return found
        if self._broker.client_ids == "none" or self._broker.request_expiry is None:
            raise Unsettled(
                f"order {intent.client_id} may have been sent, and {self._broker.name} has no rule that makes "
                '"not found" final: look for it there'
            )
        await self._outlive(intent)
        return await self._find(intent, symbol)

    async def _find(self, intent: Intent, symbol: str) -> OrderState | None:
        try:
            found = await self._look_up(intent.client_id, symbol)
        except Unknown as error:
            raise Unsettled(
                f"order {intent.client_id}: {self._broker.name} does not answer ({error})"
            ) from error
        points.reached("orders.looked-up")
        return found

    async def _outlive(self, intent: Intent) -> None:
        """Wait until the exchange would refuse the intent's request, if it is still on its way."""
        now = await self._patience.ask(self._clock, self._broker.time)
        if now - intent.expires_at > self._broker.lookup_window * 1000:
            raise Unsettled(
                f"order {intent.client_id} is older than {self._broker.name} remembers final orders: look for it there"
            )
        if now <= intent.expires_at + CLOCK_MARGIN:
            await self._clock.sleep((intent.expires_at + CLOCK_MARGIN - now + 1) / 1000)

    async def _too_late(self, seat: Seat, intent: Intent) -> bool:
        """Whether an entry that was never sent belongs to a past market; exits are always still wanted."""
        if seat.row is None or intent.client_id != seat.row.entry.client_id:
            return False
        try:
            return await self._patience.ask(self._clock, self._exchange.now) - intent.at >= MINUTE
        except Unavailable as error:
            raise Unknown(f"{self._exchange.name} does not say what time it is") from error

    async def _renewed(self, seat: Seat, intent: Intent) -> Intent:
        """Return an intent whose expiry leaves time to send; a later expiry is committed before it is used."""
        expiry = self._broker.request_expiry
        if not expiry or intent.expires_at - (self._clock.now() + self._offset) > expiry * 500:
            return intent
        renewed = replace(intent, expires_at=self._expiry())
        draft = seat.draft(self._clock.now())
        row = draft.book.row
        if row is None:
            raise AssertionError("an intent without its row")
        draft.book = replace(draft.book, row=replace(row, intent=renewed))
        await self._ledger.commit([(seat, draft)], vital=True)
        points.reached("orders.renewed")
        return renewed

    def _expiry(self) -> int:
        return self._clock.now() + self._offset + int((self._broker.request_expiry or 0) * 1000)

    async def _look_up(self, client_id: str, symbol: str) -> OrderState | None:
        return await self._patience.ask(self._clock, lambda: self._broker.lookup(client_id, symbol=symbol))


def _is_told(order: OrderState) -> bool:
    # "filled" without its fills is half an answer: exchanges list fills a moment later.
    return order.final and bool(order.fills or order.status != "filled")


def _never_sent(intent: Intent, reason: str) -> OrderState:
    order = intent.order
    if order is None:
        raise AssertionError("a cancel is always sent again")
    return replace(OrderState.of(order), status="rejected", reason=reason)
