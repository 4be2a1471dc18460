"""Backtests as a user starts them: by names on a desk, over a file, a series, or an exchange's own candles."""

import asyncio
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from holdfast.errors import InvalidOption
from holdfast.market.series import Series
from holdfast.runtime.backtest import Progress, simulate
from holdfast.runtime.result import BacktestResult
from holdfast.runtime.wanted import Candles, pairs, series_of
from holdfast.trading.candle import MINUTE, Candle

if TYPE_CHECKING:
    from holdfast.runtime.desk import Desk

__all__ = ("Backtest", "Moment")

Moment = int | str | datetime
PAGE = 1_000


class Backtest:
    """Runs backtests of a desk's strategies."""

    def __init__(self, desk: "Desk") -> None:
        self._desk = desk

    def run(self, symbols: str | Sequence[str], **options: Any) -> BacktestResult:
        """Run a backtest and return its result; takes what `arun` takes, and works inside a running loop too."""
        return _finish(self.arun(symbols, **options))

    async def arun(
        self,
        symbols: str | Sequence[str],
        *,
        strategy_name: str | Sequence[str] | None = None,
        exchange_name: str | None = None,
        candles: Candles | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        progress: Progress | None = None,
    ) -> BacktestResult:
        """Run strategies on symbols over recorded minutes and return the result.

        `candles` is a CSV file, a series, or one of these by symbol; without it, the exchange is asked for the
        candles from `start` to `end` (ms, ISO text in UTC, or datetime). Raises NotRegistered, BadCandles,
        InvalidOption.
        """
        wanted = pairs(self._desk, symbols, strategy_name)
        names = list(dict.fromkeys(symbol for _, symbol in wanted))
        first, last = (None if moment is None else milliseconds(moment) for moment in (start, end))
        if candles is None:
            series = await self._from_exchange(names, exchange_name, first, last)
        else:
            series = series_of(candles, names)
        return await simulate(
            wanted,
            series,
            exchange=exchange_name or next(iter(self._desk.exchanges), "backtest"),
            namespace=self._desk.adapters.namespace,
            profiles=self._desk.profiles,
            start=first,
            end=last,
            progress=progress,
            clock=self._desk.clock,
        )

    async def _from_exchange(
        self, symbols: Sequence[str], name: str | None, start: int | None, end: int | None
    ) -> dict[str, Series]:
        from holdfast.runtime.live.connect import entered

        spec = self._desk.exchange_named(name)
        if start is None or end is None:
            raise InvalidOption(
                "candles from an exchange need `start` and `end`; or give `candles`, a CSV file"
            )
        async with entered(spec.market) as market:
            return {symbol: await _fetched(market, symbol, start - MINUTE, end) for symbol in symbols}


async def _fetched(market: Any, symbol: str, since: int, end: int) -> Series:
    found: list[Candle] = []
    while since < end:
        page = await market.candles(symbol, "1m", since, min(PAGE, (end - since) // MINUTE))
        if not page:
            break
        found.extend(page)
        since = page[-1].at + MINUTE
    if not found:
        raise InvalidOption(f"the exchange has no candles of {symbol} there", symbol=symbol)
    return Series.of(found)


def milliseconds(moment: Moment) -> int:
    """Return a moment as milliseconds since 1970; text is ISO, in UTC unless it says otherwise."""
    if isinstance(moment, int):
        return moment
    try:
        parsed = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    except ValueError as error:
        raise InvalidOption(f"{moment!r} is no moment: write 2024-01-31 or 2024-01-31T12:00") from error
    if not isinstance(parsed, datetime):
        raise InvalidOption(
            f"{moment!r} is no moment: give milliseconds, ISO text or a datetime", moment=moment
        )
    return int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * 1000)


def _finish(work: Any) -> BacktestResult:
    """Run a coroutine to its end from where no loop runs, or from inside one (a notebook): then on a thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        result: BacktestResult = asyncio.run(work)
        return result
    outcome: list[Any] = []
    thread = threading.Thread(target=lambda: outcome.append(_caught(work)))
    thread.start()
    thread.join()
    [answer] = outcome
    if isinstance(answer, BaseException):
        raise answer
    found: BacktestResult = answer
    return found


def _caught(work: Any) -> Any:
    try:
        return asyncio.run(work)
    except BaseException as error:  # the caller's thread raises it
        return error
