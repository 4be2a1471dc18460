"""`holdfast demo`: a bot that is killed with SIGKILL again and again, and what that leaves behind."""

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import Parameter
from rich.table import Table
from rich.text import Text

from holdfast.cli import codes
from holdfast.cli.options import Json, flag
from holdfast.cli.output import Output
from holdfast.errors import InvalidOption
from holdfast.market.csv import read_candles
from holdfast.market.invented import synthetic
from holdfast.market.series import Series
from holdfast.testing.compare import Picture
from holdfast.testing.controls import NO_LOOK_UP
from holdfast.testing.demonstration import Demonstration, Killed, Outcome

__all__ = ("demo",)

MINUTES: Final = 600
RUNNING_KILLS: Final = 6
RUNNING_SPEED: Final = 6_000.0
NEXT: Final = """Where to look next:
  holdfast backtest --help             the same strategies over recorded candles
  holdfast live --help                 trade live on a simulated exchange, or on paper
  tests/crash                          every instant that a bot is killed at, one by one
  make crash                           thousands of random ones"""


def demo(
    *,
    kills: Annotated[int, Parameter(help="How often the bot is killed with SIGKILL.")] = 20,
    candles: Annotated[
        Path | None, Parameter(help=f"A CSV file of one-minute candles to trade on: its first {MINUTES}.")
    ] = None,
    seed: Annotated[int, Parameter(help="The same number is the same market and the same kills.")] = 7,
    keep: Annotated[bool, flag("Keep the stores, to look into them.")] = False,
    json: Json = False,
    broken: Annotated[bool, Parameter(negative="", show=False)] = False,
) -> int:
    """Trade on a simulated exchange while being killed again and again, and lose nothing.

    All of it is real: processes, signals, sockets and files. Only the exchange is simulated, and it counts.

    Example: `holdfast demo --kills 30`
    """
    if kills < 1:
        raise InvalidOption("--kills is at least 1: the demo is about nothing else", option="kills")
    output, series = Output(json=json), _series(candles, seed)
    folder = Path(tempfile.mkdtemp(prefix="holdfast-demo-"))
    _introduce(output, candles, seed, folder)
    with ExitStack() as stack:
        if not keep:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        patches = [NO_LOOK_UP] if broken else []
        show = stack.enter_context(Demonstration(series, folder=folder, seed=seed, patches=patches))
        return _shown(output, show, kills)


def _series(candles: Path | None, seed: int) -> Series:
    series = synthetic(seed, MINUTES) if candles is None else read_candles(candles)[:MINUTES]
    if len(series) < 60:
        raise InvalidOption(f"{candles} has {len(series)} candles: the demo needs an hour of them at least")
    return series


def _introduce(output: Output, candles: Path | None, seed: int, folder: Path) -> None:
    market = f"made-up candles (SYNTHETIC, seed {seed})" if candles is None else f"the candles of {candles}"
    output.say(f"A bot trades {market} on a simulated exchange, and keeps its state in files in {folder}.")
    output.say("The exchange is a process of its own: it lives on, and counts what it is sent.\n")


def _shown(output: Output, show: Demonstration, kills: int) -> int:
    twin = show.twin()
    left = f"Left alone, the bot sends {len(twin.orders)} orders. Now the same again, with kill -9:\n"
    output.say(left)
    seen = [_line(output, killed) for killed in show.killed(kills)]
    paced = show.compared()
    flying = sum(killed.in_flight for killed in seen)
    output.say(f"\n{len(seen)} kills, {flying} of them between an order's intent and its outcome.")
    output.say(_table(twin, paced))
    output.say("\nAnd on a market that does not wait for the bot:")
    running = show.running(min(RUNNING_KILLS, kills), speed=RUNNING_SPEED)
    output.say(
        f"  {running.kills} kills at random times, {len(running.seen.orders)} orders: "
        f"{len(running.doubled)} sent twice, {len(running.lost)} lost or unwatched"
    )
    return _verdict(output, paced, running)


def _line(output: Output, killed: Killed) -> Killed:
    mark = ("  between intent and outcome  ", "bold yellow") if killed.in_flight else (" " * 30, "")
    output.say(
        Text.assemble(
            (f"  kill {killed.number:>3}", "bold"),
            f"  minute {killed.minute:>4}  {killed.orders:>4} orders ",
            mark,
            (killed.words, "dim" if not killed.in_flight else ""),
        )
    )
    facts = {"number": killed.number, "point": killed.point, "in_flight": killed.in_flight}
    output.record("kill", {**facts, "minute": killed.minute, "orders": killed.orders})
    return killed


def _table(twin: Picture, paced: Outcome) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3), title_justify="left")
    for column in ("", "left alone", "killed", ""):
        table.add_column(column, justify="left" if not column else "right")
    for name, one, other in _rows(twin, paced.seen):
        same = Text("same", "green") if one == other else Text("DIFFERENT", "bold red")
        table.add_row(name, _short(one), _short(other), same)
    return table


def _rows(twin: Picture, seen: Picture) -> list[tuple[str, Any, Any]]:
    return [
        ("orders at the exchange", twin.orders, seen.orders),
        ("client ids used twice", twin.witness.doubled, seen.witness.doubled),
        ("positions at the exchange", twin.positions, seen.positions),
        ("signals open in the store", twin.rows, seen.rows),
        ("events in the history", _events(twin), _events(seen)),
        ("other documents in the store", twin.documents, seen.documents),
    ]


def _events(seen: Picture) -> list[Any]:
    return [event for _, stream in sorted(seen.history.items()) for event in stream]


def _short(value: Any) -> str:
    return f"{len(value):,}"


def _verdict(output: Output, paced: Outcome, running: Outcome) -> int:
    lost, twice = [*paced.lost, *running.lost], [*paced.doubled, *running.doubled]
    identical = not paced.different
    kept = identical and not lost and not twice
    for line in [*twice, *lost, *paced.different][:12]:
        output.say(Text(f"  {line}", "red"))
    words = "Nothing lost, nothing sent twice, not a digit different." if kept else "A promise was broken."
    output.say(Text(f"\n{words}\n", "bold green" if kept else "bold red"))
    if kept:
        output.say(NEXT)
    output.record(
        "summary",
        {
            "kills": paced.kills,
            "orders": len(paced.seen.orders),
            "lost": len(lost),
            "doubled": len(twice),
            "identical": identical,
            "running": {"kills": running.kills, "orders": len(running.seen.orders)},
        },
    )
    return codes.DONE if kept else codes.FOUND
