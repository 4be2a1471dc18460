"""What child processes of these tests do: copy, trade a part of a scenario; and how to break a copy."""

from collections.abc import AsyncIterator
from typing import Any

from holdfast.broker.simulated import SimulatedBroker
from holdfast.errors import HoldfastError
from holdfast.market.simulated import SimulatedExchange
from holdfast.runtime.live.run import LiveRun
from holdfast.store import Event, Store, open_store
from holdfast.store.tools import copy, export, writing
from holdfast.testing.bots import PATIENCE
from holdfast.testing.own_adapter import adapters_at
from holdfast.testing.scenarios import ANSWERS, SCENARIOS, desk_of, minute_of
from holdfast.trading.candle import Candle

__all__ = ("copied", "exported", "from_the_start", "trade_until")


async def copied(*, source: str, target: str, move: bool) -> dict[str, Any]:
    """Copy or move a portfolio."""
    done = await copy(open_store(source), open_store(target), move=move)
    return {"records": done.records, "events": done.events, "mark": done.mark}


async def exported(*, source: str, path: str) -> int:
    """Write a portfolio to a file."""
    return (await export(open_store(source), path)).events


def from_the_start() -> None:
    """Break the copy: it forgets where the target's streams end."""

    async def number(store: Store, stream: str) -> int:
        return 0

    vars(writing)["Writer"]._from = staticmethod(number)


class Leaving(SimulatedExchange):
    """A market at a minute of which somebody sends the bot a SIGTERM, in effect."""

    run: LiveRun | None = None
    minute = 0

    async def candles(self, symbol: str, interval: str, since: int, limit: int) -> list[Candle]:
        """Return closed candles; the run lets go once they are of that minute."""
        if self.run is not None and minute_of(since) >= self.minute:
            self.run.detach()
        return await super().candles(symbol, interval, since, limit)


async def trade_until(*, scenario: str, url: str, store: str, minute: int) -> dict[str, Any]:
    """Trade a scenario until a minute of its market, or say why not."""
    desk = desk_of(SCENARIOS[scenario], adapters=adapters_at(store))
    made: list[Leaving] = []

    def exchange() -> Leaving:
        made[:] = [Leaving(url, timeout=ANSWERS)]
        made[0].minute = minute
        return made[0]

    desk.add_exchange("simulated", exchange, broker=lambda: SimulatedBroker(url, timeout=ANSWERS))
    run, count = desk.live.run(SCENARIOS[scenario].symbols, poll=0.01, patience=PATIENCE), 0
    try:
        async for _ in run:
            made[0].run = run
            count += 1
    except HoldfastError as error:
        return {"error": type(error).__name__, "message": str(error)}
    return {"events": count, "status": [seat.status for seat in run.status()]}


async def all_of(events: AsyncIterator[Event]) -> list[Any]:
    """Return the values of a stream."""
    return [event.value async for event in events]
