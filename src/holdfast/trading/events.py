"""What happened, as frozen tagged structs: what `Live.run` yields and what the streams hold.

`number` counts within the event's stream (history or system) of a strategy and symbol; it is the stream's own
and is not stored in the value. Times are market time for the lifecycle, wall time for the system events.
"""

from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from holdfast.documents import document_of
from holdfast.trading.order import Fill
from holdfast.trading.signal import CloseReason, Side

__all__ = (
    "LIFECYCLE", "Cancelled", "Closed", "Closing", "Decided", "DecisionSkipped", "ExchangeUnavailable",
    "Happening", "Opened", "Opening", "Reconciled", "Recovered", "Rejected", "Released", "Scheduled", "Started",
    "Stopped", "StoreRecovered", "StoreUnavailable", "StoreWarned", "StrategyFailed", "SymbolHalted", "Waiting",
    "from_document", "to_document",
)  # fmt: skip


class Happening(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag=True):
    """What every event carries: where and when it happened, and to which signal ("" for none)."""

    symbol: str
    strategy: str
    at: int
    signal_id: str = ""
    number: int = 0


class Decided(Happening, frozen=True, kw_only=True, omit_defaults=True):
    """The strategy answered with a signal."""

    side: Side
    take_profit: float
    stop_loss: float
    price: float
    entry_price: float | None = None
    time_limit: int | None = None
    quantity: float | None = None
    cost: float | None = None
    note: str = ""


class Scheduled(Happening, frozen=True, kw_only=True, omit_defaults=True):
    """A resting limit entry was committed, and is sent next."""

    client_id: str
    price: float
    quantity: float


class Opening(Happening, frozen=True, kw_only=True, omit_defaults=True):
    """A market entry was committed, and is sent next."""

    client_id: str
    price: float
    quantity: float


class Opened(Happening, frozen=True, kw_only=True, omit_defaults=True):
    """The entry was filled, wholly or in part: there is a position."""

    client_id: str
    side: Side
    price: float
    quantity: float
    fills: tuple[Fill, ...]
    opened_at: int


class Closing(Happening, frozen=True, kw_only=True, omit_defaults=True):
    """An exit was committed, and is sent next; `level` is the price that caused it, None for the market's."""

    reason: CloseReason
    quantity: float
    level: float | None = None
    late: bool = False


class Closed(Happening, frozen=True, kw_only=True, omit_defaults=True):
    """The position is flat. `price` is the mean exit, pnl as in `trading.pnl` (percent, and quote units).

    `fills` are those of its exits, `entry_fills` all of its entry's: some may have come after it was opened.
    `orders` are the client ids of its exits, those that came to nothing too.
    """

    reason: CloseReason
    side: Side
    entry_price: float
    price: float
    quantity: float
    pnl_percent: float
    pnl_cost: float
    opened_at: int
    fills: tuple[Fill, ...]
    entry_fills: tuple[Fill, ...] = ()
    orders: tuple[str, ...] = ()
    late: bool = False


class Cancelled(Happening, frozen=True, kw_only=True, omit_defaults=True):
    """The scheduled entry is gone, by the exchange's final word, with nothing filled."""

    reason: str


class Rejected(Happening, frozen=True, kw_only=True, omit_defaults=True):
    """The signal came to nothing: refused by a rule, a risk profile or the exchange."""

    reason: str


class Released(Happening, frozen=True, kw_only=True, omit_defaults=True):
    """A person has taken the signal off the books: it is not watched any more, and what became of it is not known.

    `orders` are the client ids of its orders, `entry_fills` and `fills` what is known of its entry's and exits' fills.
    """

    reason: str
    entry_fills: tuple[Fill, ...] = ()
    fills: tuple[Fill, ...] = ()
    orders: tuple[str, ...] = ()


class Started(Happening, frozen=True, kw_only=True, omit_defaults=True):
    """A run took this strategy and symbol; `warnings` are the promises that its configuration cannot keep."""

    warnings: tuple[str, ...] = ()


class Stopped(Happening, frozen=True, kw_only=True, omit_defaults=True):
    """A run let go of this strategy and symbol, or was told to take no new signals."""

    reason: str


class Recovered(Happening, frozen=True, kw_only=True, omit_defaults=True):
    """State was found from before this run, and what it left under way was settled."""

    status: str
    detail: str = ""


class Reconciled(Happening, frozen=True, kw_only=True, omit_defaults=True):
    """The exchange's orders and the store were compared; `orders` are ours that the store did not know."""

    detail: str
    orders: tuple[str, ...] = ()


class DecisionSkipped(Happening, frozen=True, kw_only=True, omit_defaults=True):
    """Intervals passed while nobody could ask: `count` of them up to `at` (market time)."""

    count: int


class StrategyFailed(Happening, frozen=True, kw_only=True, omit_defaults=True):
    """The strategy raised, hung or answered nonsense: no decision was made and its state is as before."""

    error: str


class StoreUnavailable(Happening, frozen=True, kw_only=True, omit_defaults=True):
    """The store refused or failed; nothing new is sent until it answers again."""

    error: str


class StoreRecovered(Happening, frozen=True, kw_only=True, omit_defaults=True):
    """The store answers again, `seconds` after it was found away (`error`).

    Told at once, and stored with the next commit.
    """

    seconds: float
    error: str


class StoreWarned(Happening, frozen=True, kw_only=True, omit_defaults=True):
    """While the run goes on, something has come to weaken what its store promises, or is `over`; never stored."""

    warning: str
    over: bool = False


class Waiting(Happening, frozen=True, kw_only=True, omit_defaults=True):
    """The run waits for another process before it may trade this, `reason` says for which; never stored."""

    reason: str


class ExchangeUnavailable(Happening, frozen=True, kw_only=True, omit_defaults=True):
    """The exchange did not answer, or not with sense; it is asked again, and what it is owed stays owed."""

    error: str


class SymbolHalted(Happening, frozen=True, kw_only=True, omit_defaults=True):
    """Nothing more is sent for this symbol until a person has looked: `reason` says at what."""

    reason: str


Lifecycle = Decided | Scheduled | Opening | Opened | Closing | Closed | Cancelled | Rejected | Released
System = (
    Started
    | Stopped
    | Recovered
    | Reconciled
    | DecisionSkipped
    | StrategyFailed
    | StoreUnavailable
    | StoreRecovered
    | StoreWarned
    | Waiting
    | ExchangeUnavailable
    | SymbolHalted
)

LIFECYCLE: Final = (Decided, Scheduled, Opening, Opened, Closing, Closed, Cancelled, Rejected, Released)
"""The kinds that stand in `history.{strategy}.{symbol}`; all others stand in `system.{strategy}.{symbol}`."""


def to_document(event: Happening) -> Any:
    """Return the event as stored: a JSON document with its `type`, without its number."""
    document = document_of(event)
    document.pop("number", None)
    return document


def from_document(document: Any, number: int) -> Lifecycle | System:
    """Return the event of a stored document; raises msgspec.ValidationError where it is none."""
    event: Lifecycle | System = msgspec.convert(document, Lifecycle | System)
    return replace(event, number=number)
