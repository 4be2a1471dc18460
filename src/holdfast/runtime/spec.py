"""What a user registers on a desk: strategies and exchanges, by name."""

from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct

from holdfast.runtime.context import Context
from holdfast.trading.rules import Rules
from holdfast.trading.signal import Cancel, Close, Signal

__all__ = ("ExchangeSpec", "Manage", "StrategyFunction", "StrategySpec", "watcher")

StrategyFunction = Callable[[Context], Signal | Awaitable[Signal | None] | None]
Manage = Callable[[Context], Close | Cancel | Awaitable[Close | Cancel | None] | None]


class StrategySpec(Struct, frozen=True, kw_only=True):
    """A strategy as registered: asked once per `interval` while idle; `manage` each minute while it has a signal.

    `history` is how many minutes of candles its context reaches back, `timeout` how long (s) a live call may take.
    A spec without `decide` watches what is open and never asks.
    """

    name: str
    decide: StrategyFunction | None
    interval: int
    manage: Manage | None = None
    risk: str | None = None
    history: int = 1_500
    timeout: float = 10.0
    rules: Rules = Rules()


class ExchangeSpec(Struct, frozen=True, kw_only=True):
    """An exchange as registered: market data and a broker, or callables that make them in the run's event loop.

    Without a broker, orders are filled on paper from the market's candles.
    """

    name: str
    market: Any
    broker: Any = None


def watcher(name: str, rules: Rules, *, risk: str | None) -> StrategySpec:
    """Return a spec that watches the open signal of a strategy that is no longer registered, and asks nothing."""
    return StrategySpec(name=name, decide=None, interval=60_000, risk=risk, rules=rules, history=10)
