"""What processes of the hazard tests run besides the bank itself."""

import asyncio
import os
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from holdfast import points
from holdfast.errors import HoldfastError
from holdfast.runtime.live import steady
from holdfast.runtime.live.feed import BATCH
from holdfast.store import Change, CommitId, Store, lease
from holdfast.store.wrappers.base import Wrapper
from holdfast.testing import bots, workloads
from holdfast.testing.bots import trade_scenario, traded
from holdfast.testing.own_adapter import store_of
from holdfast.testing.scenarios import MINUTES, Plan, Scenario, minute_of
from holdfast.trading.candle import Candle
from holdfast.trading.signal import Signal

__all__ = (
    "stopping_at",
    "stopping_bank",
    "stopping_before_commit",
    "trade_shared",
    "trade_telling",
    "try_trading",
)


async def stopping_bank(*, stop_at: str, nth: int = 1, **arguments: Any) -> Any:
    """Be a process of the bank that stops itself with SIGSTOP, once: at a crash point, or between read and commit."""
    if stop_at:
        stopping_at(stop_at, nth)
    else:
        stopping_before_commit(nth)
    return await workloads.bank(**arguments)


async def try_trading(
    *, pid_file: str = os.devnull, stop_at: str = "", nth: int = 1, **arguments: Any
) -> dict[str, Any]:
    """Trade a scenario, stopping once at a crash point if told to; say why where it does not come to its end."""
    Path(pid_file).write_text(str(os.getpid()))  # noqa: ASYNC240  # before anything else runs
    if stop_at:
        stopping_at(stop_at, nth)
    try:
        return {"done": await trade_scenario(**arguments)}
    except HoldfastError as error:
        return {
            "error": type(error).__name__,
            "message": str(error),
            "pid": error.facts.get("pid"),
            "host": error.facts.get("host"),
        }


async def trade_telling(*, told: str, **arguments: Any) -> dict[str, Any]:
    """Trade a scenario, patiently, and write a line into a file whenever the store is opened anew."""
    vars(steady)["ATTEMPTS"], vars(steady)["LONGEST_PAUSE"] = 200, 0.5  # a server may take its time to start
    before = points.reached

    def reached(point: str) -> None:
        before(point)
        if point == "live.store-reopening":
            with Path(told).open("a") as file:
                file.write("opened anew\n")

    points.reached = reached
    return await trade_scenario(**arguments)


async def trade_shared(*, url: str, store: str, symbols: Sequence[str], meeting: str) -> dict[str, Any]:
    """Trade some symbols of the scenario below, minute by minute beside whoever trades the others."""
    Abreast.meeting, Abreast.symbols = Path(meeting), set(symbols)
    vars(bots)["WishingExchange"] = Abreast
    try:
        return await traded(CONTESTED, url, store, symbols=symbols)
    finally:
        Abreast.arrived(MINUTES)


class Abreast(bots.WishingExchange):
    """A market whose next minute is asked for only when every bot that trades on it has come that far."""

    meeting: Path
    symbols: set[str]

    async def candles(self, symbol: str, interval: str, since: int, limit: int) -> list[Candle]:
        """Return closed candles from `since`, once all are there."""
        if limit == BATCH:
            self.arrived(minute_of(since))
            while any(self.at(other) < minute_of(since) for other in CONTESTED.symbols):  # noqa: ASYNC110
                await asyncio.sleep(0.002)
        return await super().candles(symbol, interval, since, limit)

    @classmethod
    def arrived(cls, minute: int) -> None:
        for symbol in cls.symbols:
            new = cls.meeting / f"{symbol}.new"
            new.write_text(str(minute))
            new.replace(cls.meeting / symbol)

    @classmethod
    def at(cls, symbol: str) -> int:
        place = cls.meeting / symbol
        return int(place.read_text()) if place.exists() else -1


def contested() -> Scenario:
    """Return two symbols that may never both be held: both want to for some minutes, then one, then the other."""
    brief = Signal(side="long", take_profit=110.0, stop_loss=90.0, time_limit=1)
    plans = {
        symbol: Plan(closes=(100.0,) * 4, signals=dict.fromkeys((*range(2, 11), own, own + 1), brief))
        for symbol, own in (("CONTESTED-A", 13), ("CONTESTED-B", 16))
    }
    return Scenario(name="contested", plans=plans, positions=1)


CONTESTED = contested()


def unfenced() -> None:
    """Let a lease be taken, and never be checked again: in no commit, and before no request."""

    async def fine(*_: Any) -> None:
        return None

    vars(lease)["Lease"].checks = lambda self, seats: []
    vars(lease)["Lease"].check = lambda self: None
    vars(lease)["Lease"].ensure = fine


def stop_here() -> None:
    """Stop the process in this very call: sent to the process, the signal would leave this thread time to go on."""
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


def stopping_at(at: str, nth: int) -> None:
    """Let the process stop when it comes to a point for the `nth` time."""
    before, count = points.reached, 0

    def reached(point: str) -> None:
        nonlocal count
        before(point)
        if point == at:
            count += 1
            if count == nth:
                stop_here()

    points.reached = reached


class _Stopping(Wrapper):
    nth = 1
    count = 0

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        if len(changes) > 2:  # it rests on something that was read
            _Stopping.count += 1
            if _Stopping.count == _Stopping.nth:
                stop_here()
        return await self.inner.commit(changes, commit_id=commit_id, vital=vital)


def stopping_before_commit(nth: int) -> None:
    """Let the process stop between the reading for its `nth` transfer and the commit of it."""
    _Stopping.nth = nth
    before: Any = vars(workloads)["store_of"]

    def opened(url: str) -> Store:
        return _Stopping(before(url))

    vars(workloads)["store_of"] = opened


def check_first_then_stop() -> None:
    """Look whether all is as expected, stop, and write without looking again: the order that loses updates."""
    from tests.hazards.mutants import CheckFirst

    _Stopping.nth = 1

    vars(workloads)["store_of"] = lambda url: CheckFirst(_Stopping(store_of(url)))
