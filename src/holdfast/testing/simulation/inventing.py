"""Scenarios that nobody wrote: a market and wishes for each symbol, drawn from a seed."""

import random
from typing import Any

from holdfast.testing.scenarios import MINUTES, Plan, Scenario, Wish
from holdfast.trading.rules import Rules
from holdfast.trading.signal import Cancel, Close, Side, Signal

__all__ = ("invented",)


def invented(chance: random.Random, name: str) -> Scenario:
    """Return a scenario of one to three symbols in which much may happen."""
    symbols = [f"SYM{i}" for i in range(chance.choice((1, 1, 2, 3)))]
    wishes = tuple(
        Wish(minute=chance.randint(4, 12), kind=chance.choice(("close", "cancel")), symbol=symbol)
        for symbol in symbols
        if chance.random() < 0.2
    )
    return Scenario(
        name=name,
        plans={symbol: _plan(chance) for symbol in symbols},
        wishes=wishes,
        rules=_rules(chance),
        positions=chance.choice((None, 1, 2)) if len(symbols) > 1 else None,
    )


def _rules(chance: random.Random) -> Rules:
    return Rules(
        fill_model=chance.choice(("touch", "touch", "vwap")), scheduled_minutes=chance.choice((3, 5, 120))
    )


def _plan(chance: random.Random) -> Plan:
    price, closes = 100.0, []
    for _ in range(MINUTES):
        closes.append(round(price, 2))
        price = min(max(price + chance.choice((-1.5, -0.5, 0.0, 0.5, 1.5)), 92.0), 108.0)
    asked = sorted(chance.sample(range(3, MINUTES - 1), chance.randint(1, 4)))
    managed: dict[int, Any] = {
        minute: chance.choice((Close(), Cancel()))
        for minute in chance.sample(range(4, MINUTES), chance.choice((0, 0, 1, 2)))
    }
    return Plan(
        closes=tuple(closes),
        signals={minute: _signal(chance, closes[minute - 1]) for minute in asked},
        manage=managed,
    )


def _signal(chance: random.Random, price: float) -> Signal:
    side: Side = chance.choice(("long", "short"))
    up, down = (
        round(price + chance.choice((1.0, 2.5, 5.0)), 2),
        round(price - chance.choice((1.0, 2.5, 5.0)), 2),
    )
    resting = chance.random() < 0.4
    entry = round(price - 0.4 if side == "long" else price + 0.4, 2)
    return Signal(
        side=side,
        entry_price=entry if resting else None,
        take_profit=up if side == "long" else down,
        stop_loss=down if side == "long" else up,
        cost=float(chance.choice((200, 1_000))),
        time_limit=chance.choice((120, 3, 6)),
    )
