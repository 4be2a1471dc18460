"""Orders as sent, and as the exchange knows them: what a broker is asked for and what it answers.

Quantities are in base units, prices in quote units per base unit, times in milliseconds of market time.
"""

from fractions import Fraction
from typing import Literal

from msgspec import Struct

__all__ = (
    "FINAL",
    "Fill",
    "Order",
    "OrderSide",
    "OrderState",
    "OrderStatus",
    "OrderType",
    "Trigger",
    "average_price",
    "total",
)

OrderSide = Literal["buy", "sell"]
OrderType = Literal["market", "limit"]
OrderStatus = Literal["new", "open", "filled", "cancelled", "rejected"]
Trigger = Literal["entry", "take_profit", "stop_loss"]

FINAL: frozenset[OrderStatus] = frozenset({"filled", "cancelled", "rejected"})
"""Statuses after which an order never changes again: the exchange's last word."""


class Order(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request: market, or limit at `price`. `client_id` is its operation id and never random.

    `trigger` and `trigger_price` say which level's touch caused a market order: a simulated or paper broker
    fills by its fill model there; a real exchange never sees them. `stop_loss` is the level attached to a
    scheduled entry.
    """

    client_id: str
    symbol: str
    side: OrderSide
    type: OrderType
    quantity: float
    price: float | None = None
    reduce_only: bool = False
    trigger: Trigger | None = None
    trigger_price: float | None = None
    stop_loss: float | None = None


class Fill(Struct, frozen=True, kw_only=True):
    """A part of an order that was executed; `id` is the exchange's own."""

    id: str
    price: float
    quantity: float
    at: int


class OrderState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An order as the exchange knows it; "new" is one whose answer is not known yet.

    `fills` are cumulative, and a final state has all of them.
    """

    client_id: str
    symbol: str
    side: OrderSide
    type: OrderType
    quantity: float
    status: OrderStatus
    price: float | None = None
    reduce_only: bool = False
    fills: tuple[Fill, ...] = ()
    reason: str = ""

    @classmethod
    def of(cls, order: Order) -> "OrderState":
        """Return the state of an order before any answer: "new", with nothing filled."""
        return cls(
            client_id=order.client_id,
            symbol=order.symbol,
            side=order.side,
            type=order.type,
            quantity=order.quantity,
            status="new",
            price=order.price,
            reduce_only=order.reduce_only,
        )

    @property
    def final(self) -> bool:
        """Whether the exchange has said its last word on this order."""
        return self.status in FINAL

    @property
    def filled(self) -> float:
        """The quantity executed so far."""
        return total(*(fill.quantity for fill in self.fills))


def total(*quantities: float) -> float:
    """Return the sum of quantities as decimal numbers: 0.1 and 0.2 are 0.3, as on an exchange's books."""
    if len(quantities) == 1:
        return quantities[0]
    return float(sum(Fraction(repr(quantity)) for quantity in quantities))


def average_price(fills: tuple[Fill, ...]) -> float:
    """Return the mean price of fills weighted by quantity; exactly the price where all have the same one."""
    if len({fill.price for fill in fills}) == 1:
        return fills[0].price
    return sum(fill.price * fill.quantity for fill in fills) / sum(fill.quantity for fill in fills)
