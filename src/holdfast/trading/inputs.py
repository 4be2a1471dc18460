"""What can happen to a signal: the inputs of `lifecycle.step`. All times are market time in milliseconds."""

from typing import Literal

from msgspec import Struct

from holdfast.trading.candle import Candle
from holdfast.trading.order import OrderState
from holdfast.trading.signal import CloseReason, Signal

__all__ = ("Decide", "Input", "Origin", "Outcome", "Request", "Tick")


class Origin(Struct, frozen=True):
    """Whose signal it is: what ids are made of, and where its orders go."""

    namespace: str
    strategy: str
    symbol: str
    exchange: str
    risk: str | None = None


class Decide(Struct, frozen=True, kw_only=True):
    """A strategy answered at `at`, with the market at `price`; `refusal` is a risk profile's no.

    The signal has been validated, and `quantity` is what to trade, in base units, rounded for the market.
    """

    origin: Origin
    signal: Signal
    at: int
    price: float
    quantity: float
    refusal: str = ""


class Tick(Struct, frozen=True, kw_only=True):
    """A candle closed at `at`, with the market's current price now `price`.

    `late` says that the market has moved on since: no level is filled in the past any more.
    """

    candle: Candle
    at: int
    price: float
    late: bool = False


class Outcome(Struct, frozen=True, kw_only=True):
    """The exchange's word on one of the signal's orders, learnt at `at`."""

    order: OrderState
    at: int


class Request(Struct, frozen=True, kw_only=True):
    """Somebody (a user, `manage`, a start with --flatten) wants the signal closed, or its entry cancelled."""

    kind: Literal["close", "cancel"]
    at: int
    reason: CloseReason = "user"


Input = Decide | Tick | Outcome | Request
