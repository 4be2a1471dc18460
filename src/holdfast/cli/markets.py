"""What a run trades on, as the command line says it: symbols, candle files, an exchange, a store."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from holdfast.errors import InvalidOption
from holdfast.market.csv import read_candles
from holdfast.market.series import Series
from holdfast.runtime.desk import Desk
from holdfast.runtime.spec import ExchangeSpec
from holdfast.runtime.wanted import replay
from holdfast.store.url import parse

__all__ = (
    "candle_files",
    "read_files",
    "symbols_of",
    "use_exchange",
    "use_namespace",
    "use_replay",
    "use_store",
)


def candle_files(given: Sequence[str], symbols: Sequence[str]) -> dict[str, Path]:
    """Return the files of `--candles` by symbol; raises InvalidOption where it is not clear whose a file is."""
    files: dict[str, Path] = {}
    for one in given:
        symbol, equals, path = one.partition("=")
        if not equals:
            symbol, path = _only(symbols, one), one
        if symbol in files:
            raise InvalidOption(f"--candles {one}: there is a file of {symbol} already", symbol=symbol)
        files[symbol] = _there(Path(path))
    return files


def _only(symbols: Sequence[str], file: str) -> str:
    if len(symbols) != 1:
        raise InvalidOption(f"say of which symbol the candles are: --candles BTCUSDT={file}", path=file)
    return symbols[0]


def _there(path: Path) -> Path:
    if not path.is_file():
        raise InvalidOption(
            f"there is no file {path} of candles; `holdfast candles {path}` writes made-up ones",
            path=str(path),
        )
    return path


def symbols_of(symbols: Sequence[str], files: Mapping[str, Path]) -> list[str]:
    """Return what to trade: the symbols asked for, else those that there are files of."""
    wanted = [*symbols] or [*files]
    if not wanted:
        raise InvalidOption("say what to trade: --symbol BTCUSDT, or --candles BTCUSDT=FILE")
    if files and (lacking := [symbol for symbol in wanted if symbol not in files]):
        raise InvalidOption(f"there are no candles of {', '.join(lacking)}: --candles {lacking[0]}=FILE")
    return wanted


def read_files(files: Mapping[str, Path]) -> dict[str, Series]:
    """Return the candles of files, by symbol; raises BadCandles."""
    return {symbol: read_candles(path) for symbol, path in files.items()}


def use_exchange(desk: Desk, asked: str | None) -> str | None:
    """Return the name on the desk of `--exchange`; a URL puts a simulated exchange there."""
    if asked is None or "://" not in asked:
        return asked
    desk.exchanges["simulated"] = _simulated(asked)
    return "simulated"


def use_replay(desk: Desk, series: Mapping[str, Series]) -> str:
    """Put an exchange of recorded candles on a desk, where orders are filled on paper; return its name."""
    desk.exchanges["replay"] = replay(series)
    return "replay"


def _simulated(url: str) -> ExchangeSpec:
    """Return the exchange, and the account at it, of a simulated exchange's URL; raises InvalidOption."""
    from holdfast.broker.simulated import SimulatedBroker
    from holdfast.market.simulated import SimulatedExchange

    if not url.startswith(("http://", "https://")):
        raise InvalidOption(f"--exchange {url}: a simulated exchange's URL starts with http://", url=url)
    return ExchangeSpec(
        name="simulated", market=lambda: SimulatedExchange(url), broker=lambda: SimulatedBroker(url)
    )


def use_namespace(desk: Desk, namespace: str | None) -> None:
    """Let a desk's state be that of a namespace; None leaves it as it is."""
    if namespace is not None:
        desk.adapters.namespace = parse("memory:", namespace=namespace).namespace


def use_store(desk: Desk, url: str | None, namespace: str | None) -> None:
    """Let one store serve a desk; its namespace is the option's or the URL's, which must not differ."""
    if url is not None:
        asked = parse(url, namespace=namespace)
        desk.use_store(url)
        desk.adapters.namespace = asked.namespace
    else:
        use_namespace(desk, namespace)
