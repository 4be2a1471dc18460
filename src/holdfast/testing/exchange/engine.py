"""The market and the account of a simulated exchange: no network, and time only as it is given.

It has two clocks. Market time belongs to the candles: it moves when the trader asks for the next one (`paced`) or
with a clock (`running`). Wall time is only what requests expire by.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import isfinite, remainder
from typing import Final

from msgspec.structs import replace

from holdfast.broker.account import Account, Entry, Now
from holdfast.errors import InvalidOption, MarketEnded, Rejected
from holdfast.market.candles import Series
from holdfast.market.protocol import Market
from holdfast.market.tape import Tape
from holdfast.system import Clock
from holdfast.testing.exchange.options import Options
from holdfast.trading.candle import MINUTE, Candle
from holdfast.trading.fills import VWAP_CANDLES, current_price
from holdfast.trading.order import Order, OrderState

__all__ = ("Engine",)

QUANTITY_SLACK: Final = 1e-9


class Engine:
    """One market, one account. Everything here happens at once or not at all; errors are HoldfastErrors."""

    def __init__(
        self,
        series: Mapping[str, Series],
        options: Options,
        *,
        clock: Clock,
        markets: Mapping[str, Market] | None = None,
    ) -> None:
        self.options = options
        self.tape = Tape(series, start=options.start, warmup=options.warmup)
        self.account = Account(model=options.fill_model, dedupe=options.dedupe)
        self.refused: Counter[str] = Counter()
        self._markets = dict(markets or {})
        self._clock = clock
        self._began = clock.monotonic()

    @property
    def waits(self) -> bool:
        """Whether the market stands still until it is asked for its next candle."""
        return self.options.pace == "paced"

    def wall(self) -> int:
        """Return the exchange's wall clock."""
        return self._clock.now() + self.options.wall_offset

    def now(self) -> int:
        """Return the market's time, once all that has happened by then has happened."""
        if self.waits:
            return self.tape.now
        passed = (self._clock.monotonic() - self._began) * 1000 * self.options.speed
        now = min(self.tape.start + int(passed), self.tape.end)
        while self.tape.now + MINUTE <= now:
            self._advance()
        return now

    def candles(self, symbol: str, interval: str, since: int, limit: int) -> list[Candle]:
        """Return closed candles; a paced market moves on where it could not answer otherwise."""
        self.now()
        self.tape.of(symbol)
        if limit > 0 and self.tape.waits_for(interval, since):
            self._wait(since)
        return self.tape.candles(symbol, interval, since, limit)

    def market(self, symbol: str) -> Market:
        """Return a symbol's trading rules."""
        self.tape.of(symbol)
        return self._markets.get(symbol, Market(symbol=symbol))

    def submit(self, order: Order, *, expires_at: int = 0, part: float = 1.0) -> OrderState:
        """Execute an order or let it rest; raises Rejected, with its reason, where it is refused."""
        try:
            return self._submit(order, expires_at, part).state
        except Rejected as refusal:
            self.refused[refusal.reason] += 1
            raise

    def lookup(self, client_id: str, symbol: str) -> OrderState | None:
        """Return the newest order of a client id."""
        self.now()
        entry = self.account.find(client_id, symbol)
        return entry.state if entry else None

    def cancel(self, client_id: str, symbol: str) -> OrderState | None:
        """Cancel an order unless it is final, and return it."""
        self.now()
        entry = self.account.cancel(client_id, symbol)
        return entry.state if entry else None

    def open_orders(self) -> list[OrderState]:
        """Return the orders that rest."""
        self.now()
        return [entry.state for entry in self.account.open]

    def fills(self, since: int) -> list[OrderState]:
        """Return the orders with a fill at or after `since`."""
        self.now()
        return [entry.state for entry in self.account.filled_since(since)]

    def positions(self) -> dict[str, float]:
        """Return what is held by symbol."""
        self.now()
        return {symbol: held for symbol, held in self.account.positions.items() if held}

    def orders(self) -> Sequence[Entry]:
        """Return every order that was accepted, oldest first."""
        return list(self.account.entries.values())

    def _submit(self, order: Order, expires_at: int, part: float) -> Entry:
        if expires_at and self.options.request_expiry is not None and self.wall() > expires_at:
            raise Rejected(f"the request for {order.client_id} came too late", reason="expired")
        now = self.now()
        _fits(order, self._market(order.symbol))
        if not self.waits:  # the market has moved on since: nothing is filled at a level in the past
            order = replace(order, trigger=None, trigger_price=None)
        window = self.tape.recent(order.symbol, VWAP_CANDLES)
        price = current_price(self.options.fill_model, window)
        return self.account.submit(order, Now(now, window[-1], price), part=part)

    def _market(self, symbol: str) -> Market:
        try:
            return self.market(symbol)
        except InvalidOption as error:
            raise Rejected(str(error), reason="symbol") from None

    def _wait(self, since: int) -> None:
        if self.waits:
            for _ in self.tape.minutes_to(since):
                self._advance()
        elif since >= self.tape.end:
            raise MarketEnded(f"the market has no candle after {self.tape.end}", at=self.tape.end)

    def _advance(self) -> None:
        # Resting orders meet the candle as it closes, before anyone has seen it.
        self.tape.advance()
        for symbol in {entry.order.symbol: None for entry in self.account.open}:
            self.account.match(symbol, self.tape.recent(symbol, 1)[-1])


def _fits(order: Order, market: Market) -> None:
    if not isfinite(order.quantity):
        raise Rejected(f"{order.quantity} is no quantity", reason="quantity")
    step = market.quantity_step
    if step and abs(remainder(order.quantity, step)) > QUANTITY_SLACK * max(order.quantity, step):
        raise Rejected(f"{order.quantity} is no multiple of {market.quantity_step}", reason="quantity")
    if order.quantity < market.min_quantity and not order.reduce_only:
        raise Rejected(f"{order.quantity} is less than {market.min_quantity}", reason="quantity")
