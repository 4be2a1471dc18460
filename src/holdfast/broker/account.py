"""An account at a simulated market: its orders, fills and positions, and the rules they follow. No I/O, no clock.

The paper broker and the simulated exchange both keep one, so that an order means the same to both, and, as the
fills are those of `trading.fills`, the same as in a backtest.
"""

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from holdfast.errors import Rejected
from holdfast.trading.candle import Candle
from holdfast.trading.fills import FillModel, execute, rest
from holdfast.trading.order import Fill, Order, OrderState

__all__ = ("Account", "Dedupe", "Entry", "Now")

Dedupe = Literal["open", "never", "always"]

FLAT = 1e-9
"""A position below this share of its last trade is rounding."""


class Entry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An order as kept: what was asked, what became of it, and since when it rests.

    `number` counts the account's orders from 1. A `part` below 1 is the share that its next fill is cut to.
    """

    number: int
    order: Order
    state: OrderState
    at: int
    part: float = 1.0


class Now(Struct, frozen=True):
    """The market as an order finds it: its time, the last closed candle, and the current price."""

    at: int
    candle: Candle
    price: float


class Account:
    """Orders by number and by client id, and the positions that their fills add up to.

    `dedupe` says among which orders a client id may not be used again. Every method that changes something
    returns the entries that changed.
    """

    __slots__ = ("_by_id", "_open", "dedupe", "entries", "model", "positions")

    def __init__(self, *, model: FillModel = "touch", dedupe: Dedupe = "open") -> None:
        self.model = model
        self.dedupe = dedupe
        self.entries: dict[int, Entry] = {}
        self.positions: dict[str, float] = {}
        self._by_id: dict[tuple[str, str], list[int]] = {}
        self._open: dict[int, Entry] = {}

    def load(self, entry: Entry) -> None:
        """Take an entry that was kept elsewhere; in order of number."""
        self._keep(entry, None)

    def submit(self, order: Order, now: Now, *, part: float = 1.0) -> Entry:
        """Take an order: execute it, or let it rest. Raises Rejected, with nothing changed.

        The reason "duplicate" says that an order of that client id is there.
        """
        if self._taken(order):
            raise Rejected(f"an order {order.client_id} is there already", reason="duplicate")
        _check(order)
        if order.reduce_only:
            order = replace(order, quantity=self._reducing(order, order.quantity))
        number = len(self.entries) + 1
        told = execute(self.model, order, now.candle, now.price, now.at)
        entry = Entry(
            number=number,
            order=order,
            state=replace(OrderState.of(order), status="open"),
            at=now.at,
            part=part,
        )
        return self._keep(self._filled(entry, told), None)

    def match(self, symbol: str, candle: Candle) -> list[Entry]:
        """Let the symbol's resting orders meet a candle that opened when they rested already."""
        resting = [e for e in self._open.values() if e.order.symbol == symbol and e.at <= candle.at]
        return [changed for entry in resting if (changed := self._match(entry, candle)) is not None]

    def cancel(self, client_id: str, symbol: str) -> Entry | None:
        """Cancel the newest order of a client id, unless it is final, and return it; None where there is none."""
        entry = self.find(client_id, symbol)
        if entry is None or entry.state.final:
            return entry
        return self._keep(replace(entry, state=replace(entry.state, status="cancelled")), entry)

    def find(self, client_id: str, symbol: str) -> Entry | None:
        """Return the newest order of a client id, None where there is none."""
        numbers = self._by_id.get((client_id, symbol))
        return self.entries[numbers[-1]] if numbers else None

    @property
    def open(self) -> list[Entry]:
        """The orders that rest, oldest first."""
        return list(self._open.values())

    def filled_since(self, at: int) -> Iterator[Entry]:
        """Yield the orders that have a fill at or after `at`, oldest first."""
        for entry in self.entries.values():
            if entry.state.fills and entry.state.fills[-1].at >= at:
                yield entry

    def repeated(self) -> dict[str, int]:
        """Return the client ids that more than one order was accepted under, and how many."""
        return {client_id: len(n) for (client_id, _), n in self._by_id.items() if len(n) > 1}

    def _taken(self, order: Order) -> bool:
        numbers = self._by_id.get((order.client_id, order.symbol), ())
        if self.dedupe == "always":
            return bool(numbers)
        return self.dedupe == "open" and any(number in self._open for number in numbers)

    def _reducing(self, order: Order, quantity: float) -> float:
        """Return how much of a quantity reduces the position; raises Rejected where nothing does."""
        held = self.positions.get(order.symbol, 0.0)
        room = max(-held if order.side == "buy" else held, 0.0)
        if not room:
            raise Rejected(f"{order.client_id} would not reduce a position of {held}", reason="reduce-only")
        # What is missing by rounding alone is not: sums of fills differ from the order in their last bits.
        return min(quantity, room) if quantity > room * (1 + FLAT) else quantity

    def _match(self, entry: Entry, candle: Candle) -> Entry | None:
        told = rest(self.model, entry.order, candle)
        if told is None:
            return None
        try:
            after = self._still_reducing(entry) if entry.order.reduce_only else entry
        except Rejected:  # the position is gone, and with it what this order was to reduce
            return self._keep(replace(entry, state=replace(entry.state, status="cancelled")), entry)
        return self._keep(self._filled(after, told), entry)

    def _still_reducing(self, entry: Entry) -> Entry:
        filled = entry.state.filled
        left = self._reducing(entry.order, entry.order.quantity - filled)
        return replace(entry, order=replace(entry.order, quantity=filled + left))

    def _filled(self, entry: Entry, told: OrderState) -> Entry:
        """Return the entry with a fill at the price that the fill model told; its ids follow from the client id."""
        if not told.fills:
            return entry
        order, state = entry.order, entry.state
        left = order.quantity - state.filled
        quantity = left * entry.part
        fill = replace(told.fills[0], id=self._fill_id(entry), quantity=quantity)
        status = "filled" if quantity == left else "open" if order.type == "limit" else "cancelled"
        state = replace(state, status=status, fills=(*state.fills, fill), quantity=order.quantity)
        return replace(entry, state=state, part=1.0)

    def _fill_id(self, entry: Entry) -> str:
        # Made of what is the same in every run of the same trades: a repeated run can be compared with the first.
        numbers = self._by_id.get((entry.order.client_id, entry.order.symbol), [])
        earlier = sum(number < entry.number for number in numbers)
        again = f".{earlier + 1}" if earlier else ""
        return f"{entry.order.client_id}{again}-{len(entry.state.fills) + 1}"

    def _keep(self, entry: Entry, before: Entry | None) -> Entry:
        self.entries[entry.number] = entry
        if before is None:
            self._by_id.setdefault((entry.order.client_id, entry.order.symbol), []).append(entry.number)
        for fill in entry.state.fills[len(before.state.fills) if before else 0 :]:
            self._move(entry.order, fill)
        if entry.state.final:
            self._open.pop(entry.number, None)
        else:
            self._open[entry.number] = entry
        return entry

    def _move(self, order: Order, fill: Fill) -> None:
        held = self.positions.get(order.symbol, 0.0)
        held += fill.quantity if order.side == "buy" else -fill.quantity
        self.positions[order.symbol] = 0.0 if abs(held) <= FLAT * fill.quantity else held


def _check(order: Order) -> None:
    if not 0 < order.quantity < float("inf"):
        raise Rejected(f"{order.client_id}: the quantity {order.quantity} is not above 0", reason="quantity")
    if order.type == "limit" and (order.price is None or not 0 < order.price < float("inf")):
        raise Rejected(f"{order.client_id}: the price {order.price} is not above 0", reason="price")
