"""What a user asks for, made plain: which strategies on which symbols, over which recorded candles."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.errors import InvalidOption
from holdfast.market.csv import read_candles
from holdfast.market.series import Series
from holdfast.runtime.spec import ExchangeSpec, StrategySpec

if TYPE_CHECKING:
    from holdfast.runtime.desk import Desk

__all__ = ("Candles", "pairs", "replay", "series_of")

Source = str | Path | Series
Candles = Source | Mapping[str, Source]


def pairs(
    desk: "Desk", symbols: str | Sequence[str], strategy_name: str | Sequence[str] | None
) -> list[tuple[StrategySpec, str]]:
    """Return each strategy on each symbol; raises InvalidOption, NotRegistered."""
    wanted = [symbols] if isinstance(symbols, str) else list(symbols)
    if not wanted or not all(isinstance(one, str) and one for one in wanted):
        raise InvalidOption(f"symbols are names, at least one: {symbols!r}", symbols=symbols)
    if len(set(wanted)) < len(wanted):
        raise InvalidOption(f"a symbol is named twice: {', '.join(wanted)}", symbols=symbols)
    alone = strategy_name is None or isinstance(strategy_name, str)
    names = [strategy_name] if alone else list(strategy_name or ())
    if not names:
        raise InvalidOption("name at least one strategy")
    specs = [desk.strategy_named(name) for name in names]  # type: ignore[arg-type]  # a list of names, or [None]
    return [(spec, symbol) for symbol in wanted for spec in specs]


def series_of(candles: Candles, symbols: Sequence[str]) -> dict[str, Series]:
    """Return the candles of each symbol; raises InvalidOption where it is not clear whose they are, BadCandles."""
    if isinstance(candles, Mapping):
        missing = [symbol for symbol in symbols if symbol not in candles]
        if missing:
            raise InvalidOption(f"no candles were given for {missing[0]}; there are: {', '.join(candles)}")
        return {symbol: _read(candles[symbol]) for symbol in symbols}
    if len(symbols) > 1:
        raise InvalidOption(f"say of which symbol the candles are: {{{symbols[0]!r}: …, {symbols[1]!r}: …}}")
    return {symbol: _read(candles) for symbol in symbols}


def replay(series: Mapping[str, Series]) -> ExchangeSpec:
    """Return an exchange that replays recorded candles, waiting for the run, and fills orders on paper."""
    from holdfast.market.replay import ReplayExchange

    return ExchangeSpec(name="replay", market=ReplayExchange("replay", series))


def _read(source: Source) -> Series:
    return source if isinstance(source, Series) else read_candles(source)
