"""Bots that only these tests need: what a child process of the nursery runs."""

import asyncio
import errno
import os
from pathlib import Path
from typing import Any

from holdfast.broker.paper import PaperBroker
from holdfast.broker.simulated import SimulatedBroker
from holdfast.errors import HoldfastError
from holdfast.market.replay import ReplayExchange
from holdfast.market.simulated import SimulatedExchange
from holdfast.store.backends.file import store as file_store
from holdfast.store.backends.file.disk import Disk
from holdfast.testing.bots import PATIENCE, trade_scenario
from holdfast.testing.scenarios import ANSWERS, SCENARIOS, desk_of, market_of, minute_of
from holdfast.testing.trial import EXPIRY
from holdfast.trading.candle import Candle
from holdfast.trading.events import StoreUnavailable

__all__ = ("failing_flush", "trade_filling", "trade_on_paper", "try_scenario")

FAILS_AT = 20


async def try_scenario(*, scenario: str, url: str, store: str) -> dict[str, Any]:
    """Trade a scenario, or say why not."""
    try:
        return {"done": await trade_scenario(scenario=scenario, url=url, store=store)}
    except HoldfastError as error:
        return {"error": type(error).__name__, "message": str(error)}


class FillingExchange(SimulatedExchange):
    """A market at a minute of which the disk fills up."""

    minute = 0
    disk = Path()
    filler: Path | None = None

    async def candles(self, symbol: str, interval: str, since: int, limit: int) -> list[Candle]:
        if minute_of(since) == self.minute and self.filler is None:
            self.filler = _fill(self.disk)
        return await super().candles(symbol, interval, since, limit)


def _fill(disk: Path) -> Path:
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return filler


async def trade_filling(*, scenario: str, url: str, store: str, disk: str, minute: int) -> dict[str, Any]:
    """Trade a scenario while the disk fills up, and make room once the store has said that there is none."""
    made: list[FillingExchange] = []

    def exchange() -> FillingExchange:
        made[:] = [FillingExchange(url, timeout=ANSWERS)]
        made[0].minute, made[0].disk = minute, Path(disk)
        return made[0]

    desk = desk_of(SCENARIOS[scenario], store=store)
    desk.add_exchange("simulated", exchange, broker=lambda: SimulatedBroker(url, timeout=ANSWERS))
    run, refused = desk.live.run(SCENARIOS[scenario].symbols, poll=0.01, patience=PATIENCE), 0
    async for event in run:
        if isinstance(event, StoreUnavailable):
            refused += 1
        if made and made[0].filler is not None and refused:
            await asyncio.to_thread(made[0].filler.unlink, missing_ok=True)
    return {"refused": refused}


class FailingDisk(Disk):
    """A disk of which one flush fails, once in the life of a process."""

    flushes = 0

    def flush(self, fd: int) -> None:
        FailingDisk.flushes += 1
        if FailingDisk.flushes == FAILS_AT:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().flush(fd)


def failing_flush() -> None:
    """Let file stores be on that disk."""
    vars(file_store)["Disk"] = FailingDisk


async def trade_on_paper(*, scenario: str, store: str) -> int:
    """Trade a scenario on a replay of its candles, with orders that are filled on paper."""
    known = SCENARIOS[scenario]
    PaperBroker.request_expiry = EXPIRY  # a recovery waits for as long
    desk = desk_of(known, store=store)
    desk.add_exchange("replay", lambda: ReplayExchange("replay", market_of({scenario: known})))
    return len([event async for event in desk.live.run(known.symbols, poll=0.01, patience=PATIENCE)])
