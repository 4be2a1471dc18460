"""Small scripted markets and strategies, in which everything that a signal can go through happens at a known minute.

A scenario is made of plans, one a symbol: what its candles do, and what the strategy, its `manage` and the user
want at which minute. All share one time, so that one simulated exchange serves them all.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

from msgspec import Struct

from holdfast.market.invented import SYNTHETIC_START
from holdfast.market.series import Series
from holdfast.runtime.context import Context
from holdfast.runtime.desk import Desk
from holdfast.testing.exchange.faults import Fault
from holdfast.trading.candle import MINUTE, Candle
from holdfast.trading.rules import Rules
from holdfast.trading.signal import Cancel, Close, Signal

__all__ = (
    "ANSWERS",
    "MINUTES",
    "SCENARIOS",
    "STRATEGY",
    "Plan",
    "Scenario",
    "Wish",
    "desk_of",
    "market_of",
    "minute_of",
)

MINUTES: Final = 20
"""How long every scenario's market is."""

STRATEGY: Final = "scripted"

ANSWERS: Final = 100.0
"""Seconds that a bot waits for an answer: none is kept back for ever, so only a slow machine lets it wait."""


class Wish(Struct, frozen=True):
    """What a user asks of the running bot when the market's time is that minute."""

    minute: int
    kind: Literal["close", "cancel", "stop"]
    symbol: str


class Plan(Struct, frozen=True, kw_only=True):
    """A symbol's closes from minute 0 on (the last one stays), and what is wanted of it at which minute.

    A candle reaches 0.1 beyond its open and close.
    """

    closes: tuple[float, ...]
    signals: Mapping[int, Signal]
    manage: Mapping[int, Close | Cancel] = {}


class Scenario(Struct, frozen=True, kw_only=True):
    """A market and what is done in it. `positions` limits a risk profile that all symbols then share."""

    name: str
    plans: Mapping[str, Plan]
    wishes: tuple[Wish, ...] = ()
    rules: Rules = Rules()
    positions: int | None = None
    faults: tuple[Fault, ...] = ()

    @property
    def symbols(self) -> list[str]:
        """What it trades, in the order of a run."""
        return list(self.plans)


def minute_of(at: int) -> int:
    """Return a market time as a scenario's minute."""
    return (at - SYNTHETIC_START) // MINUTE


def market_of(scenarios: Mapping[str, Scenario]) -> dict[str, Series]:
    """Return the candles of all symbols of some scenarios, for one exchange."""
    plans = [plan for scenario in scenarios.values() for plan in scenario.plans.items()]
    return {symbol: _series(plan.closes) for symbol, plan in plans}


def _series(closes: tuple[float, ...]) -> Series:
    whole = [*closes, *[closes[-1]] * (MINUTES - len(closes))]
    opens = [whole[0], *whole[:-1]]
    return Series.of(
        Candle(SYNTHETIC_START + i * MINUTE, o, max(o, c) + 0.1, min(o, c) - 0.1, c, 10.0 + i)
        for i, (o, c) in enumerate(zip(opens, whole, strict=True))
    )


def desk_of(scenario: Scenario, **options: Any) -> Desk:
    """Return a desk with the scenario's strategy on it, and its risk profile."""
    desk = Desk(**options)
    if scenario.positions is not None:
        desk.add_risk("shared", max_positions=scenario.positions)

    def decide(ctx: Context) -> Signal | None:
        ctx.state["asked"] = ctx.state.get("asked", 0) + 1
        ctx.state["mean"] = float(ctx.candles("1m", 5).close.mean())
        return scenario.plans[ctx.symbol].signals.get(minute_of(ctx.now))

    def manage(ctx: Context) -> Close | Cancel | None:
        ctx.state["managed"] = ctx.state.get("managed", 0) + 1
        return scenario.plans[ctx.symbol].manage.get(minute_of(ctx.now))

    register = desk.strategy(
        STRATEGY,
        interval="1m",
        manage=manage,
        risk=None if scenario.positions is None else "shared",
        history=60,
        rules=scenario.rules,
        timeout=ANSWERS,
    )
    register(decide)
    return desk


LONG: Final = Signal(side="long", take_profit=103.0, stop_loss=97.0, cost=1_000.0)
SHORT: Final = Signal(side="short", take_profit=97.0, stop_loss=103.0, quantity=2.0)
RESTING: Final = Signal(side="long", entry_price=99.0, take_profit=102.0, stop_loss=97.0, cost=500.0)
BRIEF: Final = Signal(side="short", take_profit=97.0, stop_loss=103.0, time_limit=4)

FLAT: Final = (100.0,) * 4
RISES: Final = (*FLAT, 100.5, 101.2, 102.4, 103.4, 103.0, 102.0, 101.0, 100.0)
DIPS: Final = (*FLAT, 99.5, 98.9, 98.5, 99.2, 100.4, 101.6, 102.5, 101.0, 100.0)


def _one(name: str, plan: Plan, **options: Any) -> Scenario:
    return Scenario(name=name, plans={name.upper(): plan}, **options)


def _wished(name: str, plan: Plan, minute: int, kind: Literal["close", "cancel", "stop"]) -> Scenario:
    return _one(name, plan, wishes=(Wish(minute, kind, name.upper()),))


def _several() -> Scenario:
    # Two places for three symbols: the third is refused, and let in once a place is free again.
    plans = {
        "SEVERAL-A": Plan(closes=RISES, signals={4: LONG, 12: LONG}),
        "SEVERAL-B": Plan(closes=DIPS, signals={4: RESTING}),
        "SEVERAL-C": Plan(closes=RISES, signals={4: SHORT, 9: BRIEF, 12: LONG}),
    }
    return Scenario(name="several", plans=plans, positions=2)


SCENARIOS: Final[dict[str, Scenario]] = {
    scenario.name: scenario
    for scenario in (
        _one("take-profit", Plan(closes=RISES, signals={3: LONG, 12: BRIEF})),
        _one("stop-loss", Plan(closes=RISES, signals={3: SHORT})),
        _one("time-limit", Plan(closes=FLAT, signals={3: BRIEF, 9: BRIEF})),
        _one("scheduled", Plan(closes=DIPS, signals={3: RESTING})),
        _one("expired", Plan(closes=FLAT, signals={3: RESTING}), rules=Rules(scheduled_minutes=5)),
        _one("managed-cancel", Plan(closes=FLAT, signals={3: RESTING}, manage={6: Cancel()})),
        _one(
            "managed-close", Plan(closes=FLAT, signals={3: LONG, 9: SHORT}, manage={6: Close(), 12: Close()})
        ),
        _wished("asked-cancel", Plan(closes=FLAT, signals={3: RESTING}), 6, "cancel"),
        _wished("asked-close", Plan(closes=FLAT, signals={3: LONG}), 6, "close"),
        _wished("stopped", Plan(closes=RISES, signals={3: LONG, 8: SHORT, 12: SHORT}), 5, "stop"),
        _one(
            "in-parts",
            Plan(closes=DIPS, signals={3: RESTING}),
            faults=(Fault(on="submit", do="partial", part=0.25),),
        ),
        _one(
            "vwap", Plan(closes=(*RISES, 104.0), signals={3: LONG, 12: BRIEF}), rules=Rules(fill_model="vwap")
        ),
        _several(),
    )
}
"""Every scenario by name."""
