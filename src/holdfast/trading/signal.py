"""A strategy's answer, and the row that a signal's life is kept in.

    idle -> scheduled -> opening -> open -> closing -> closed (and idle again)
              \\-> cancelled   \\-> rejected

Only the four states between idle and the end have a row; the end is an event in the history.
"""

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from holdfast.trading.order import Order, OrderState, total

__all__ = ("Cancel", "Close", "CloseReason", "Intent", "Side", "Signal", "SignalRow", "Status", "plain")

Side = Literal["long", "short"]
Status = Literal["scheduled", "opening", "open", "closing"]
CloseReason = Literal["take_profit", "stop_loss", "time_limit", "user", "flatten"]


class Signal(Struct, frozen=True, kw_only=True):
    """What a strategy wants: a side, its levels, and how much.

    Without `entry_price` the entry is a market order now; with it, a resting limit order (or a market order
    where the market is already there). `time_limit` is in minutes from the opening (None: no limit), `cost` in
    quote units; `quantity` in base units goes before `cost`.
    """

    side: Side
    take_profit: float
    stop_loss: float
    entry_price: float | None = None
    time_limit: int | None = 1440
    quantity: float | None = None
    cost: float | None = None
    note: str = ""


def plain(signal: Signal) -> Signal:
    """Return the signal with plain numbers: what comes from arrays (numpy's floats) cannot be stored."""
    numbers = ("take_profit", "stop_loss", "entry_price", "quantity", "cost")
    given = {name: getattr(signal, name) for name in numbers}
    floats = {name: float(value) for name, value in given.items() if value is not None}
    minutes = None if signal.time_limit is None else int(signal.time_limit)
    return replace(signal, **floats, time_limit=minutes)


class Close(Struct, frozen=True, kw_only=True):
    """What `manage` answers to close an open signal at the market (a scheduled one is cancelled)."""

    note: str = ""


class Cancel(Struct, frozen=True, kw_only=True):
    """What `manage` answers to cancel a scheduled signal; an open one stays as it is."""

    note: str = ""


class Intent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An effect that is about to leave the process, committed before it does.

    `submit` carries the order to send; `cancel` names the order to cancel. `expires_at` is when the exchange
    will refuse the request (its own wall clock, ms; 0 where it was never sent or has no expiry).
    """

    kind: Literal["submit", "cancel"]
    client_id: str
    at: int
    order: Order | None = None
    expires_at: int = 0


class SignalRow(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A live signal as stored: levels, orders with their fills, and the operation that is under way.

    `steps` counts its operations so far. `opened_at` is the market time of the first fill, `watch_from` the open
    time of the first candle that counts whole. `failures` counts exits in a row that the exchange refused.
    Before a row is closing, `close_reason` is a wish: it is closed as soon as nothing is under way.
    """

    id: str
    namespace: str
    strategy: str
    symbol: str
    exchange: str
    side: Side
    status: Status
    take_profit: float
    stop_loss: float
    quantity: float
    decided_at: int
    entry: OrderState
    entry_price: float | None = None
    time_limit: int | None = None
    note: str = ""
    risk: str | None = None
    intent: Intent | None = None
    steps: int = 1
    opened_at: int | None = None
    watch_from: int | None = None
    exits: tuple[OrderState, ...] = ()
    cancel_reason: str = ""
    close_reason: CloseReason | None = None
    close_level: float | None = None
    late: bool = False
    failures: int = 0

    @property
    def held(self) -> float:
        """The quantity of base units in the position now, exact in decimal."""
        return total(self.entry.filled, *(-order.filled for order in self.exits))
