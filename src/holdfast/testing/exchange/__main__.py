"""`python -m holdfast.testing.exchange`: a simulated exchange of its own process, until it is stopped."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from holdfast.errors import HoldfastError, InvalidOption
from holdfast.market.candles import Series
from holdfast.market.csv import read_candles
from holdfast.market.invented import synthetic
from holdfast.testing.exchange.options import Options
from holdfast.testing.exchange.server import Server, serve

__all__ = ("main",)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until the process is stopped; the first line on stdout is the URL."""
    asked = _parser().parse_args(argv)
    try:
        server = Server(_series(asked), _options(asked))
    except (HoldfastError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    try:
        asyncio.run(_serve(server, asked.port, asked.until_stdin_closes))
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m holdfast.testing.exchange",
        description="A simulated exchange on 127.0.0.1: candles, orders, faults, and a witness of all of it.",
        epilog="The first line printed is its URL; GET URL/witness says whether anything was sent twice.",
    )
    one = "may be given several times"
    parser.add_argument(
        "--candles", action="append", default=[], metavar="FILE", help=f"CSV of a --symbol; {one}"
    )
    parser.add_argument(
        "--symbol", action="append", default=[], help=f"the symbol of each --candles file; {one}"
    )
    parser.add_argument(
        "--synthetic",
        action="append",
        default=[],
        metavar="SYMBOL=SEED:MINUTES",
        help=f"made-up candles, always the same for a seed; {one}",
    )
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes a free one")
    parser.add_argument(
        "--pace",
        choices=("paced", "running"),
        default="paced",
        help="paced: the market waits to be asked for its next candle; running: it does not (default: paced)",
    )
    parser.add_argument("--speed", type=float, default=1.0, help="running: a minute takes 60/SPEED seconds")
    parser.add_argument("--start", type=int, help="market time (ms) to start at; earlier candles have closed")
    parser.add_argument(
        "--warmup", type=int, default=1, help="minutes that have closed at the start (default: 1)"
    )
    parser.add_argument("--fill-model", choices=("touch", "vwap"), default="touch", help="(default: touch)")
    parser.add_argument(
        "--dedupe",
        choices=("open", "never", "always"),
        default="open",
        help="among which orders a client id is refused twice (default: open, as large exchanges do)",
    )
    parser.add_argument(
        "--request-expiry",
        type=float,
        default=5.0,
        metavar="SECONDS",
        help="how long a request lives (default: 5)",
    )
    parser.add_argument("--account", default="simulated", help="the account's name (default: simulated)")
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="end with the process that started it"
    )
    return parser


def _options(asked: argparse.Namespace) -> Options:
    names = ("pace", "speed", "start", "warmup", "fill_model", "dedupe", "request_expiry", "account")
    return Options(**{name: getattr(asked, name) for name in names})


def _series(asked: argparse.Namespace) -> dict[str, Series]:
    if len(asked.candles) != len(asked.symbol):
        raise InvalidOption("each --candles FILE needs its --symbol")
    series = {symbol: _read(Path(file)) for symbol, file in zip(asked.symbol, asked.candles, strict=True)}
    for given in asked.synthetic:
        symbol, _, numbers = given.partition("=")
        seed, _, minutes = numbers.partition(":")
        if not (symbol and seed.isdecimal() and minutes.isdecimal()):
            raise InvalidOption(f"--synthetic {given!r}: write SYMBOL=SEED:MINUTES, such as BTCUSDT=7:1440")
        series[symbol] = synthetic(int(seed), int(minutes))
    return series


def _read(path: Path) -> Series:
    if path.suffix != ".npy":
        return read_candles(path)
    columns: Any = np.load(
        path, mmap_mode="r", allow_pickle=False
    )  # what SimulatedExchangeProcess hands over
    return Series(*columns)


async def _serve(server: Server, port: int, until_stdin_closes: bool) -> None:
    async with serve(server, port=port) as url:
        sys.stdout.write(f"{url}\n")
        sys.stdout.flush()
        if until_stdin_closes:
            await asyncio.to_thread(sys.stdin.buffer.read)
        else:
            await asyncio.Event().wait()


if __name__ == "__main__":
    sys.exit(main())
