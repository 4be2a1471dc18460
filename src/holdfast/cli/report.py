"""What a backtest found, to be read in a terminal: a table of statistics, a table of trades, a small chart."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from rich.table import Table
from rich.text import Text

from holdfast.cli.lines import moment, number
from holdfast.runtime.result import BacktestResult
from holdfast.trading.events import Closed

__all__ = ("chart", "statistics_table", "trades_table")

WIDTH: Final = 60
HEIGHT: Final = 8
EIGHTHS: Final = " ▁▂▃▄▅▆▇█"


def statistics_table(result: BacktestResult) -> Table:
    """Return the figures of a backtest, one a line."""
    found = result.statistics
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="cyan")
    table.add_column(justify="right")
    rows: list[tuple[str, str]] = [
        ("from", moment(result.start)[:-3]),
        ("to", moment(result.end)[:-3]),
        ("minutes", f"{result.candles:,}"),
        ("trades", f"{found.trades:,}"),
        ("wins", _share(found.wins, found.win_rate)),
        ("profit", f"{found.total_pnl:+,.2f}"),
        ("mean trade", _percent(found.mean_percent)),
        ("best, worst", f"{_percent(found.best_percent)}, {_percent(found.worst_percent)}"),
        ("profit factor", "-" if found.profit_factor is None else f"{found.profit_factor:.2f}"),
        ("deepest fall", f"{found.max_drawdown:,.2f}"),
        ("still open", f"{len(result.open):,}"),
    ]
    for row in rows:
        table.add_row(*row)
    return table


def trades_table(result: BacktestResult, count: int) -> Table:
    """Return the last trades of a backtest, one a line."""
    shown = result.trades[-count:]
    several = len({(trade.strategy, trade.symbol) for trade in result.trades}) > 1
    title = (
        f"the last {len(shown)} of {len(result.trades):,} trades" if len(shown) < len(result.trades) else None
    )
    table = Table(title=title, title_justify="left", title_style="dim", box=None, pad_edge=False)
    table.add_column("closed", style="dim", no_wrap=True)
    for name in ("strategy", "symbol") if several else ():
        table.add_column(name, style="cyan", no_wrap=True)
    table.add_column("side", no_wrap=True)
    for name in ("entry", "exit", "percent", "profit"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("why", no_wrap=True)
    for trade in shown:
        owner = (trade.strategy, trade.symbol) if several else ()
        table.add_row(moment(trade.at)[:-3], *owner, *_trade(trade))
    return table


def chart(result: BacktestResult) -> Text:
    """Return the summed profit over the time of the backtest, as filled columns of characters."""
    columns = _columns(result, WIDTH)
    low, high = min(0.0, *columns), max(0.0, *columns)
    scale = HEIGHT * 8 / ((high - low) or 1.0)
    heights = [max(round((value - low) * scale), 1) for value in columns]
    labels = {int(-low * scale // 8): "0", HEIGHT - 1: f"{high:+,.2f}", 0: f"{low:+,.2f}"}
    margin = max(map(len, labels.values()))
    text = Text("\n")
    for row in reversed(range(HEIGHT)):
        text.append(f"{labels.get(row, ''):>{margin}} ", style="dim")
        text.append(
            "".join(EIGHTHS[min(max(height - 8 * row, 0), 8)] for height in heights) + "\n",
            style=_colour(columns),
        )
    first, last = moment(result.start)[:10], moment(result.end)[:10]
    return text.append(f"{'':>{margin}} {first}{last:>{WIDTH - len(first)}}\n", style="dim")


def _columns(result: BacktestResult, width: int) -> list[float]:
    """Return the summed profit at the end of each of `width` equal parts of the time."""
    points = result.equity()
    times = [at for at, _ in points]
    step = max(result.end - result.start, 1) / width
    counts = [bisect_right(times, result.start + step * (part + 1)) for part in range(width)]
    return [points[count - 1][1] if count else 0.0 for count in counts]


def _colour(columns: Sequence[float]) -> str:
    return "green" if columns[-1] >= 0 else "red"


def _trade(trade: Closed) -> tuple[str | Text, ...]:
    colour = "green" if trade.pnl_cost > 0 else "red"
    return (
        trade.side,
        _price(trade.entry_price),
        _price(trade.price),
        Text(f"{trade.pnl_percent:+.2f}", style=colour),
        Text(f"{trade.pnl_cost:+.2f}", style=colour),
        trade.reason.replace("_", " "),
    )


def _price(value: float) -> str:
    return f"{value:.2f}" if value >= 100 else number(value)


def _share(count: int, rate: float | None) -> str:
    return f"{count:,}" if rate is None else f"{count:,} ({rate:.0%})"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f} %"
