"""Signals, candles and orders of the tests, with everything said that a test does not say."""

from typing import Any

from msgspec.structs import replace

from holdfast.trading.candle import MINUTE, Candle
from holdfast.trading.inputs import Decide, Input, Origin, Outcome, Request, Tick
from holdfast.trading.lifecycle import Step, step
from holdfast.trading.order import Fill, Order, OrderState
from holdfast.trading.rules import Rules
from holdfast.trading.signal import Signal, SignalRow

T0 = 1_700_000_040_000  # a whole minute
ORIGIN = Origin("default", "my-strategy", "BTC/USDT", "replay")
TOUCH, VWAP = Rules(), Rules(fill_model="vwap")


def long(**changes: Any) -> Signal:
    return replace(Signal(side="long", take_profit=110.0, stop_loss=95.0, quantity=1.0), **changes)


def short(**changes: Any) -> Signal:
    return replace(Signal(side="short", take_profit=90.0, stop_loss=105.0, quantity=1.0), **changes)


def candle(minute: int, open_: float, high: float, low: float, close: float, volume: float = 1.0) -> Candle:
    return Candle(T0 + minute * MINUTE, open_, high, low, close, volume)


def flat(minute: int, price: float = 100.0) -> Candle:
    return candle(minute, price, price, price, price)


def tick(given: Candle, *, price: float | None = None, late: bool = False) -> Tick:
    return Tick(candle=given, at=given.at + MINUTE, price=given.close if price is None else price, late=late)


def decide(signal: Signal, price: float = 100.0, *, at: int = T0, refusal: str = "") -> Decide:
    quantity = signal.quantity or 1.0
    return Decide(origin=ORIGIN, signal=signal, at=at, price=price, quantity=quantity, refusal=refusal)


def fill(price: float, quantity: float, at: int = T0, id: str = "f1") -> Fill:
    return Fill(id=id, price=price, quantity=quantity, at=at)


def told(order: Order | OrderState, status: Any, *fills: Fill, at: int = T0, reason: str = "") -> Outcome:
    state = OrderState.of(order) if isinstance(order, Order) else order
    return Outcome(order=replace(state, status=status, fills=fills, reason=reason), at=at)


def request(kind: Any = "close", at: int = T0, reason: Any = "user") -> Request:
    return Request(kind=kind, at=at, reason=reason)


class Life:
    """One signal's life, driven by hand: its row, all its events, and the last halt."""

    def __init__(self, rules: Rules = TOUCH) -> None:
        self.rules = rules
        self.row: SignalRow | None = None
        self.events: list[Any] = []
        self.halt = ""

    def give(self, *inputs: Input) -> Step:
        for given in inputs:
            last = step(self.row, given, self.rules)
            self.row, self.halt = last.row, last.halt
            self.events.extend(last.events)
        return last

    @property
    def alive(self) -> SignalRow:
        assert self.row is not None
        return self.row

    @property
    def order(self) -> Order:
        """The order that the row wants sent."""
        assert self.row is not None
        assert self.row.intent is not None
        assert self.row.intent.order is not None
        return self.row.intent.order

    @property
    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.events]

    def open(self, signal: Signal | None = None, price: float = 100.0, quantity: float = 1.0) -> "Life":
        """Decide at the market and fill."""
        self.give(decide(signal or long(quantity=quantity), price))
        self.give(told(self.order, "filled", fill(price, quantity)))
        return self

    def schedule(self, signal: Signal | None = None) -> "Life":
        """Decide on a resting entry and let it rest."""
        self.give(decide(signal or long(entry_price=98.0)))
        self.give(told(self.order, "open"))
        return self
