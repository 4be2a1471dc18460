"""`holdfast live`: trade, show what is committed as it is, and let go on a signal without losing anything."""

import asyncio
import logging
import sys
from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter
from msgspec.structs import asdict

from holdfast.cli import codes
from holdfast.cli.letting_go import LettingGo
from holdfast.cli.lines import facts_of, line, moment
from holdfast.cli.markets import candle_files, read_files, symbols_of, use_exchange, use_replay, use_store
from holdfast.cli.options import Candles, Exchange, Json, Namespace, Strategies, Symbols, Target, flag
from holdfast.cli.output import Output
from holdfast.cli.target import load
from holdfast.errors import InvalidOption
from holdfast.runtime.desk import Desk
from holdfast.runtime.live.run import LiveRun
from holdfast.runtime.live.start import OrphanPolicy
from holdfast.trading.events import Happening

__all__ = ("live",)

Store = Annotated[
    str | None, Parameter(help="The URL of the store, instead of the desk's own (file:./logs/data).")
]
Adopt = Annotated[
    bool,
    flag("Watch open signals that nobody would watch, to their end."),
]
Flatten = Annotated[bool, flag("Close such signals at the market.")]
Ignore = Annotated[bool, flag("Leave such signals unwatched.")]
Resume = Annotated[bool, flag("Lift stored stops and halts.")]
Poll = Annotated[
    float, Parameter(help="The longest pause (s) before the exchange is asked for candles again.")
]


def live(
    target: Target,
    /,
    *,
    exchange: Exchange = None,
    candles: Candles = None,
    symbol: Symbols = None,
    strategy: Strategies = None,
    store: Store = None,
    namespace: Namespace = None,
    adopt: Adopt = False,
    flatten: Flatten = False,
    ignore: Ignore = False,
    resume: Resume = False,
    poll: Poll = 1.0,
    json: Json = False,
) -> int:
    """Trade strategies live, or on paper over recorded --candles; an earlier run is carried on where it was.

    Each event is a line, printed once it is committed. SIGTERM and Ctrl-C detach: the step under way is finished,
    positions and orders stay as they are, and the next start carries on. A second Ctrl-C ends the process at once;
    that loses nothing either. Exit code 1 says that a symbol is halted, or the store went away.

    Example: `holdfast live examples/sma_cross.py --symbol BTCUSDT --exchange http://127.0.0.1:8765`
    """
    output = Output(json=json)
    policy = _policy(adopt=adopt, flatten=flatten, ignore=ignore)
    files = candle_files(candles or [], symbol or [])
    wanted = symbols_of(symbol or [], files)
    if files and exchange is not None:
        raise InvalidOption("--candles are traded on paper, --exchange is somewhere else: choose one")
    desk = load(target)
    use_store(desk, store, namespace)
    name = use_replay(desk, read_files(files)) if files else use_exchange(desk, exchange)
    if name is None and not desk.exchanges:
        raise InvalidOption("say where to trade: --exchange URL, or --candles SYMBOL=FILE to trade on paper")
    run = desk.live.run(
        wanted, strategy_name=strategy, exchange_name=name, policy=policy, resume=resume, poll=poll
    )
    _log_to_stderr()
    return asyncio.run(_trade(run, desk, output))


def _policy(*, adopt: bool, flatten: bool, ignore: bool) -> OrphanPolicy:
    if adopt + flatten + ignore > 1:
        raise InvalidOption("--adopt, --flatten and --ignore exclude each other")
    return "adopt" if adopt else "flatten" if flatten else "ignore" if ignore else "refuse"


def _log_to_stderr() -> None:
    # What a target has set up itself stays; what the engine warns of is an event too, and a line already.
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    logging.getLogger("holdfast.live").setLevel(logging.ERROR)


async def _trade(run: LiveRun, desk: Desk, output: Output) -> int:
    printer = _Printer(output)
    with LettingGo(run.detach, output.note) as letting_go:
        output.note(f"trading; Ctrl-C lets go, and the next start carries on ({_place(desk)})")
        await run.trade(printer.show)
    return _summary(run, output, printer.count, detached=letting_go.asked)


def _place(desk: Desk) -> str:
    return f"store {desk.adapters.store().url}, namespace {desk.adapters.namespace}"


class _Printer:
    """Prints events for as long as somebody reads: a full disk or a closed pipe must not end the trading."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._silent = False
        self.count = 0

    def show(self, events: Sequence[Happening]) -> None:
        """Print events that were committed; called by the run, and never raises for want of a reader."""
        self.count += len(events)
        if self._silent:
            return
        try:
            for event in events:
                self._output.record(type(event).__name__, facts_of(event))
                self._output.say(line(event))
        except OSError as error:
            self._silent = True
            self._output.note(f"stdout cannot be written any more ({error}); trading goes on")


def _summary(run: LiveRun, output: Output, count: int, *, detached: bool) -> int:
    seats = run.status()
    for seat in seats:
        how = (
            f"halted: {seat.halted}" if seat.halted else f"{seat.status}{', stopped' if seat.stopped else ''}"
        )
        output.say(f"{seat.strategy} on {seat.symbol}: {how}, at {moment(seat.cursor)[:-3]}")
    output.record(
        "summary", {"events": count, "detached": detached, "seats": [asdict(seat) for seat in seats]}
    )
    halted = any(seat.halted for seat in seats)
    return codes.FOUND if halted and not detached else codes.DONE
