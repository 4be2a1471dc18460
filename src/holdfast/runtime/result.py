"""What a backtest found: its trades, what they add up to, and everything that happened on the way."""

from collections.abc import Sequence
from statistics import fmean

from msgspec import Struct

from holdfast.trading.events import Closed, Happening, Lifecycle, StrategyFailed
from holdfast.trading.signal import SignalRow

__all__ = ("BacktestResult", "Statistics", "statistics")


class Statistics(Struct, frozen=True, kw_only=True):
    """Figures over closed trades; percents are of each trade's own cost, money is in quote units.

    `profit_factor` is gains over losses (None without losses), `max_drawdown` the deepest fall of the summed
    profit below its highest point so far, in quote units.
    """

    trades: int
    wins: int
    losses: int
    win_rate: float | None
    total_pnl: float
    mean_percent: float | None
    best_percent: float | None
    worst_percent: float | None
    profit_factor: float | None
    max_drawdown: float


class BacktestResult(Struct, frozen=True, kw_only=True):
    """A finished backtest over `candles` minutes from `start` to `end` (market time, ms).

    `events` is the lifecycle history of all symbols in the order it happened, `open` the signals still alive at
    the end, `failures` what the strategies did wrong.
    """

    start: int
    end: int
    candles: int
    events: tuple[Lifecycle, ...]
    trades: tuple[Closed, ...]
    statistics: Statistics
    open: tuple[SignalRow, ...] = ()
    failures: tuple[StrategyFailed, ...] = ()

    def equity(self) -> list[tuple[int, float]]:
        """Return the summed profit after each trade as (market time of the close, quote units)."""
        total, points = 0.0, []
        for trade in self.trades:
            total += trade.pnl_cost
            points.append((trade.at, total))
        return points


def statistics(trades: Sequence[Closed]) -> Statistics:
    """Return what the trades add up to, in their order."""
    percents = [trade.pnl_percent for trade in trades]
    money = [trade.pnl_cost for trade in trades]
    gains, losses = sum(m for m in money if m > 0), -sum(m for m in money if m < 0)
    wins = sum(m > 0 for m in money)
    return Statistics(
        trades=len(trades),
        wins=wins,
        losses=len(trades) - wins,
        win_rate=wins / len(trades) if trades else None,
        total_pnl=sum(money),
        mean_percent=fmean(percents) if percents else None,
        best_percent=max(percents, default=None),
        worst_percent=min(percents, default=None),
        profit_factor=gains / losses if losses else None,
        max_drawdown=_drawdown(money),
    )


def _drawdown(money: Sequence[float]) -> float:
    total = peak = deepest = 0.0
    for one in money:
        total += one
        peak = max(peak, total)
        deepest = max(deepest, peak - total)
    return deepest


def trades_of(events: Sequence[Happening]) -> tuple[Closed, ...]:
    """Return the closed trades among events, in their order."""
    return tuple(event for event in events if isinstance(event, Closed))
