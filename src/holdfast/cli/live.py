"""`holdfast live`: trade, show what is committed as it is, and let go on a signal without losing anything."""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter

from holdfast.cli import codes
from holdfast.cli.letting_go import LettingGo
from holdfast.cli.markets import candle_files, read_files, symbols_of, use_exchange, use_replay, use_store
from holdfast.cli.options import Candles, Exchange, Json, Namespace, Strategies, Symbols, Target, flag
from holdfast.cli.output import Output
from holdfast.cli.target import load
from holdfast.cli.telling import Teller
from holdfast.errors import InvalidOption
from holdfast.runtime.desk import Desk
from holdfast.runtime.live.run import LiveRun
from holdfast.runtime.live.start import OrphanPolicy
from holdfast.trading.events import Happening, Started

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
Release = Annotated[
    bool, flag("Take the signals of halted symbols off the books: you have looked after them.")
]
Wait = Annotated[
    bool, flag("Where another process trades this, wait until it lets go or is dead, and take over then.")
]
Lease = Annotated[
    float,
    Parameter(
        help="How long (s) a process counts as alive that does not show it; for stores that several can open."
    ),
]
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
    release: Release = False,
    poll: Poll = 1.0,
    wait: Wait = False,
    lease: Lease = 10.0,
    json: Json = False,
) -> int:
    """Trade strategies live, or on paper over recorded --candles; an earlier run is carried on where it was.

    Each event is a line, printed once it is committed. SIGTERM and Ctrl-C detach: the step under way is finished,
    positions and orders stay as they are, and the next start carries on. A second Ctrl-C ends the process at once;
    that loses nothing either. A run ends by itself with its market, or when all of its symbols are halted. Exit code 1
    says that a symbol is halted, or the store went away.

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
        wanted,
        strategy_name=strategy,
        exchange_name=name,
        policy=policy,
        resume=resume,
        release=release,
        poll=poll,
        wait=wait,
        lease=lease,
    )
    _log_to_stderr()
    return asyncio.run(_trade(run, desk, output))


def _policy(*, adopt: bool, flatten: bool, ignore: bool) -> OrphanPolicy:
    if adopt + flatten + ignore > 1:
        raise InvalidOption("--adopt, --flatten and --ignore exclude each other")
    return "adopt" if adopt else "flatten" if flatten else "ignore" if ignore else "refuse"


def _log_to_stderr() -> None:
    form = logging.Formatter("%(asctime)s  %(name)s: %(message)s", "%Y-%m-%d %H:%M:%S")
    form.converter = time.gmtime  # as the events beside it
    handler = logging.StreamHandler()
    handler.setFormatter(form)
    # What a target has set up itself stays; what the engine warns of is an event too, and a line already.
    logging.basicConfig(handlers=[handler], level=logging.INFO)
    for name in ("holdfast.live", "holdfast.replication"):
        logging.getLogger(name).setLevel(logging.ERROR)


async def _trade(run: LiveRun, desk: Desk, output: Output) -> int:
    teller = Teller(output)
    trading = False

    def listen(events: Sequence[Happening]) -> None:
        nonlocal trading
        if not trading and any(isinstance(event, Started) for event in events):
            trading = True
            output.note("trading; Ctrl-C lets go, and the next start carries on")
        teller.tell(events)
        if _all_halted(run):
            run.detach()

    with LettingGo(run.detach, output.note) as letting_go:
        output.note(f"opening {_place(desk)}")
        await run.trade(listen)
    return _ended(run, teller, output, detached=letting_go.asked)


def _all_halted(run: LiveRun) -> bool:
    # Nothing would ever be sent again: a run that ends says so louder than one that stands still.
    seats = run.status()
    return bool(seats) and all(seat.halted for seat in seats)


def _place(desk: Desk) -> str:
    return f"store {desk.adapters.store().url}, namespace {desk.adapters.namespace}"


def _ended(run: LiveRun, teller: Teller, output: Output, *, detached: bool) -> int:
    seats = run.status()
    teller.summary(seats, detached=detached)
    if not any(seat.halted for seat in seats):
        return codes.DONE
    output.note(
        "check at the exchange what is halted, then start with --resume, or --release if nothing is left of it"
    )
    return codes.DONE if detached else codes.FOUND
