"""`holdfast backtest`: a strategy over recorded candles, and what came of it."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

from cyclopts import Parameter
from msgspec.structs import asdict
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from holdfast.cli import codes
from holdfast.cli.lines import facts_of, line
from holdfast.cli.markets import candle_files, symbols_of, use_exchange, use_namespace
from holdfast.cli.options import Candles, Exchange, Json, Namespace, Strategies, Symbols, Target
from holdfast.cli.output import Output
from holdfast.cli.plot import svg
from holdfast.cli.report import chart, statistics_table, trades_table
from holdfast.cli.target import load
from holdfast.errors import InvalidOption
from holdfast.runtime.backtest import Progress as Report
from holdfast.runtime.result import BacktestResult

__all__ = ("backtest",)

Start = Annotated[str | None, Parameter(help="Begin here: 2024-01-31 or 2024-01-31T12:00, UTC.")]
End = Annotated[str | None, Parameter(help="End here.")]
Trades = Annotated[int, Parameter(help="How many of the last trades to list.")]
Plot = Annotated[Path | None, Parameter(help="Draw the equity curve into this SVG file.")]


def backtest(
    target: Target,
    /,
    *,
    candles: Candles = None,
    symbol: Symbols = None,
    strategy: Strategies = None,
    start: Start = None,
    end: End = None,
    exchange: Exchange = None,
    namespace: Namespace = None,
    trades: Trades = 10,
    plot: Plot = None,
    json: Json = False,
) -> int:
    """Run a strategy over recorded candles, with the code that trades live; nothing is stored.

    Candles before --start are history that the strategy can look back at. Without --candles, the exchange is asked
    for those from --start to --end. With --json, every event of the history is a line. Exit code 1 says that the
    strategy failed on the way.

    Example: `holdfast backtest examples/sma_cross.py --candles BTCUSDT=candles.csv --plot equity.svg`
    """
    output = Output(json=json)
    files = candle_files(candles or [], symbol or [])
    wanted = symbols_of(symbol or [], files)
    if files and exchange is not None:
        raise InvalidOption("--candles are a market of their own, --exchange is another: choose one")
    desk = load(target)
    use_namespace(desk, namespace)
    name = use_exchange(desk, exchange)
    if not files and not desk.exchanges:
        raise InvalidOption(
            "say over which candles: --candles SYMBOL=FILE, or --exchange with --start and --end"
        )
    with _interruptible(), _progress(output) as report:
        result = desk.backtest.run(
            wanted,
            strategy_name=strategy,
            exchange_name=name,
            candles=files or None,
            start=start,
            end=end,
            progress=report,
        )
    _tell(output, result, trades)
    if plot is not None:
        title = f"{', '.join(strategy or desk.strategies)} on {', '.join(wanted)}"
        plot.write_text(svg(result, title))
        output.note(f"the equity curve is in {plot}")
    _summary(output, result)
    return codes.FOUND if result.failures else codes.DONE


def _tell(output: Output, result: BacktestResult, trades: int) -> None:
    for event in (*result.events, *result.failures):
        output.record(type(event).__name__, facts_of(event))
    output.say(statistics_table(result))
    if result.trades:
        output.say(chart(result))
        if trades > 0:
            output.say(trades_table(result, trades))
    for failure in result.failures[:3]:
        output.note(line(failure))
    if result.failures:
        output.note(f"the strategy failed {len(result.failures)} times; it made no decision there")


def _summary(output: Output, result: BacktestResult) -> None:
    facts = {
        "start": result.start,
        "end": result.end,
        "candles": result.candles,
        "failures": len(result.failures),
    }
    still = [{"strategy": row.strategy, "symbol": row.symbol, "status": row.status} for row in result.open]
    output.record("summary", {**facts, **asdict(result.statistics), "open": still})


@contextmanager
def _progress(output: Output) -> Iterator[Report | None]:
    """Yield what moves a bar on the terminal, None where nobody watches."""
    if not output.to_people:
        yield None
        return
    market = TextColumn("{task.fields[now]}")
    with Progress(
        market, BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), console=output.err, transient=True
    ) as bar:
        task = bar.add_task("minutes", now="reading candles", total=None)

        def report(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, now=f"{done:,} of {total:,} minutes")

        yield report


@contextmanager
def _interruptible() -> Iterator[None]:
    # A backtest never waits, so asyncio's own handler would cancel it only after its end.
    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
