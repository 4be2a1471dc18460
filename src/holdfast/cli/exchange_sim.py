"""`holdfast exchange-sim`: a simulated exchange as a process of its own, to trade on and to break."""

import asyncio
import signal
from typing import Annotated, Final, Literal

from cyclopts import Parameter
from msgspec import to_builtins

from holdfast.cli import codes
from holdfast.cli.markets import candle_files, read_files
from holdfast.cli.options import Candles, Json, Symbols
from holdfast.cli.output import Output
from holdfast.errors import InvalidOption
from holdfast.market.invented import synthetic as made_up
from holdfast.market.series import Series
from holdfast.testing.exchange import Options, Server, serve

__all__ = ("exchange_sim",)

MARKET: Final = "BTCUSDT=7:10080"


def exchange_sim(
    *,
    candles: Candles = None,
    symbol: Symbols = None,
    synthetic: Annotated[
        list[str] | None,
        Parameter(
            negative="", help=f"Made-up candles, SYMBOL=SEED:MINUTES; repeatable. Without any: {MARKET}."
        ),
    ] = None,
    port: Annotated[int, Parameter(help="The port on 127.0.0.1; 0 takes a free one.")] = 0,
    pace: Annotated[
        Literal["paced", "running"],
        Parameter(help="paced: the market waits to be asked for its next candle; running: it does not."),
    ] = "paced",
    speed: Annotated[float, Parameter(help="Where it runs: a minute takes 60 / SPEED seconds.")] = 1.0,
    warmup: Annotated[int, Parameter(help="How many minutes have closed at the start.")] = 1,
    fill_model: Annotated[Literal["touch", "vwap"], Parameter(help="How orders are filled.")] = "touch",
    dedupe: Annotated[
        Literal["open", "never", "always"],
        Parameter(help="Among which orders a client id is refused twice; open is what large exchanges do."),
    ] = "open",
    account: Annotated[str, Parameter(help="The name of the account.")] = "simulated",
    json: Json = False,
) -> int:
    """Run a simulated exchange on this machine until Ctrl-C: candles, orders, and a witness of all that was sent.

    Its URL is the first line on stdout, for `holdfast live --exchange URL`. It outlives any trader that is killed:
    `GET URL/witness` says whether anything was sent twice, and so do the last lines here.

    Example: `holdfast exchange-sim --port 8765 --pace running --speed 60`
    """
    output = Output(json=json)
    series = read_files(candle_files(candles or [], symbol or []))
    for given in synthetic or ([] if series else [MARKET]):
        name, made = _made_up(given)
        series[name] = made
    options = Options(
        pace=pace, speed=speed, warmup=warmup, fill_model=fill_model, dedupe=dedupe, account=account
    )
    server = Server(series, options)
    asyncio.run(_served(server, port, output))
    _witness(server, output)
    return codes.DONE


def _made_up(given: str) -> tuple[str, Series]:
    symbol, _, numbers = given.partition("=")
    seed, _, minutes = numbers.partition(":")
    if not (symbol and seed.isdecimal() and minutes.isdecimal()):
        raise InvalidOption(f"--synthetic {given!r}: write SYMBOL=SEED:MINUTES, such as {MARKET}")
    return symbol, made_up(int(seed), int(minutes))


async def _served(server: Server, port: int, output: Output) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    try:
        async with serve(server, port=port) as url:
            output.say(url)
            output.record("serving", {"url": url})
            output.note(
                f"a simulated exchange: `holdfast live bot.py --exchange {url}` trades on it; Ctrl-C ends it"
            )
            await ended.wait()
    except OSError as error:
        raise InvalidOption(
            f"port {port} cannot be used: {error.strerror or error}; 0 takes a free one"
        ) from error


def _witness(server: Server, output: Output) -> None:
    seen = server.sessions[""].witness()
    doubled = ", ".join(f"{name} ({count})" for name, count in seen.doubled.items()) or "nothing"
    output.say(f"{seen.orders} orders, {seen.filled} filled, {seen.open} open; sent twice: {doubled}")
    output.record("summary", to_builtins(seen))
