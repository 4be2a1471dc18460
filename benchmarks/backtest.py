"""How fast a backtest is: `python -m benchmarks backtest [--candles N] [--rounds N]`.

Base: a bare loop over the same minutes with a Candle object, two awaits and a bracket each, which is the least that
an event-driven backtest in Python can do. Both take turns, and the ratio to the base is taken within its round.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable, Sequence

from holdfast import Desk, Signal
from holdfast.market.invented import synthetic
from holdfast.market.series import Series
from holdfast.runtime.context import Context
from holdfast.trading.candle import Candle

METHOD = """\
Method: {candles:,} SYNTHETIC one-minute candles; every 15 minutes without a position, a cross of the averages of 8 and
24 closes of 15 minutes buys, with a take-profit of 2 % and a stop-loss of 1 %. One process, both in turns, {rounds}
rounds after one to warm up; CPU time, since other work on the machine would count as well on a clock.
"""
FAST, SLOW, QUARTER = 8, 24, 15
TAKE, STOP = 1.02, 0.99
Run = Callable[[], int]


def desk() -> Desk:
    """Return a desk with the strategy."""
    made = Desk()

    @made.strategy("sma-cross", interval="15m", history=(SLOW + 2) * QUARTER)
    def cross(ctx: Context) -> Signal | None:
        closes = ctx.candles("15m", SLOW + 1).close
        if len(closes) <= SLOW:
            return None
        above = closes[-FAST:].mean() > closes[-SLOW:].mean()
        was_above = closes[-FAST - 1 : -1].mean() > closes[-SLOW - 1 : -1].mean()
        if was_above or not above:
            return None
        price = ctx.price
        return Signal(side="long", take_profit=price * TAKE, stop_loss=price * STOP, cost=1_000)

    return made


def holdfast(series: Series) -> Run:
    """Return the backtest, which returns how many trades it made."""
    return lambda: len(desk().backtest.run("BTCUSDT", candles={"BTCUSDT": series}).trades)


def bare(series: Series) -> Run:
    """Return the bare loop, which returns how many trades it made."""
    rows = list(zip(*(column.tolist() for column in series.columns), strict=True))

    async def run() -> int:
        trades, bracket = 0, None
        closes: list[float] = []

        async def candle_of(row: tuple[int, float, float, float, float, float]) -> Candle:
            return Candle(*row)

        async def take(candle: Candle, minute: int) -> None:
            nonlocal trades, bracket
            if minute % QUARTER == QUARTER - 1:
                closes.append(candle.close)
            if bracket is not None and (candle.low <= bracket[0] or candle.high >= bracket[1]):
                trades, bracket = trades + 1, None
            if bracket is None and minute % QUARTER == QUARTER - 1 and crossed(closes):
                bracket = candle.close * STOP, candle.close * TAKE

        for minute, row in enumerate(rows):
            await take(await candle_of(row), minute)
        return trades

    return lambda: asyncio.run(run())


def crossed(closes: Sequence[float]) -> bool:
    """Whether the fast average came above the slow one with the last close."""
    if len(closes) <= SLOW:
        return False
    now = sum(closes[-FAST:]) / FAST > sum(closes[-SLOW:]) / SLOW
    before = sum(closes[-FAST - 1 : -1]) / FAST > sum(closes[-SLOW - 1 : -1]) / SLOW
    return now and not before


def timed(run: Run) -> tuple[float, int]:
    """Return the CPU seconds of a run, and its trades."""
    began = time.process_time()
    trades = run()
    return time.process_time() - began, trades


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a markdown table."""
    parser = argparse.ArgumentParser(prog="benchmarks backtest", description=main.__doc__)
    parser.add_argument("--candles", type=int, default=525_600)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    print(METHOD.format(candles=options.candles, rounds=options.rounds))
    series = synthetic(1, options.candles)
    cases = {"bare async loop": bare(series), "holdfast backtest": holdfast(series)}
    results: dict[str, list[tuple[float, int]]] = {name: [] for name in cases}
    for turn in range(options.rounds + 1):
        for name in list(cases) if turn % 2 else reversed(cases):
            found = timed(cases[name])
            if turn:  # the first round warms up
                results[name].append(found)
    report(results, options.candles)


def report(results: dict[str, list[tuple[float, int]]], candles: int) -> None:
    """Print the table."""
    print("| case | candles/s median (min-max) | ratio to the bare loop, median (min-max) | trades |")
    print("|---|---|---|---|")
    base = [seconds for seconds, _ in next(iter(results.values()))]
    for name, runs in results.items():
        rates = [candles / seconds for seconds, _ in runs]
        ratios = [other / seconds for (seconds, _), other in zip(runs, base, strict=True)]
        print(
            f"| {name} | {statistics.median(rates):,.0f} ({min(rates):,.0f}-{max(rates):,.0f}) "
            f"| {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}) | {runs[0][1]:,} |"
        )


if __name__ == "__main__":
    main()
