"""Bots for the crash harness: what a child process runs, named so that it can be imported there."""

from collections.abc import Sequence
from typing import Any, Final

from holdfast.broker.simulated import SimulatedBroker
from holdfast.market.simulated import SimulatedExchange
from holdfast.runtime.desk import Desk
from holdfast.runtime.live.feed import BATCH
from holdfast.runtime.live.patience import Patience
from holdfast.runtime.live.run import LiveRun
from holdfast.store.lease import LEASE_SECONDS
from holdfast.testing.own_adapter import adapters_at
from holdfast.testing.scenarios import ANSWERS, SCENARIOS, Scenario, Wish, desk_of, minute_of
from holdfast.trading.candle import Candle
from holdfast.trading.events import Stopped

__all__ = ("PATIENCE", "WishingExchange", "ended", "trade_scenario", "traded", "traded_on")

PATIENCE: Final = Patience(attempts=20, first=0.01, longest=0.2)
"""A request that comes too late for its expiry is one of these tries: on a busy machine there are several in a row."""
MARKET_ENDED: Final = "the market ended"


class WishingExchange(SimulatedExchange):
    """A market whose next candle is only asked for after the user has had their wishes of that minute.

    A wish is had once: it is for a state (open, scheduled, not stopped) that it ends.
    """

    run: LiveRun | None = None
    wishes: tuple[Wish, ...] = ()

    async def candles(self, symbol: str, interval: str, since: int, limit: int) -> list[Candle]:
        """Return closed candles from `since`, wishes first."""
        if limit == BATCH and self.run is not None:  # the feed's own request, with the cursor of a seat
            for wish in self.wishes:
                if wish.minute == minute_of(since):
                    await self._have(self.run, wish)
        return await super().candles(symbol, interval, since, limit)

    async def _have(self, run: LiveRun, wish: Wish) -> None:
        [seat] = [status for status in run.status() if status.symbol == wish.symbol]
        if seat.halted:  # nothing is done for it any more: the wish would be refused
            return
        if wish.kind == "stop" and not seat.stopped:
            await run.stop(wish.symbol)
        elif wish.kind == "close" and seat.status == "open":
            await run.close(wish.symbol)
        elif wish.kind == "cancel" and seat.status == "scheduled":
            await run.cancel(wish.symbol)


async def trade_scenario(
    *,
    scenario: str,
    url: str,
    store: str,
    symbols: Sequence[str] = (),
    wait: bool = False,
    lease: float = LEASE_SECONDS,
) -> dict[str, Any]:
    """Trade a scenario to its market's end, through a stop and its resume, or until every symbol is halted.

    `symbols` are those of the scenario that this bot takes (none: all), `wait` and `lease` as for a live run.
    """
    options = {"wait": wait, "lease": lease}
    return await traded(SCENARIOS[scenario], url, store, symbols=symbols, **options)


async def traded(
    scenario: Scenario, url: str, store: str, *, symbols: Sequence[str] = (), **options: Any
) -> dict[str, Any]:
    """Trade a scenario that need not be among the known ones; see `trade_scenario`."""
    return await traded_on(
        desk_of(scenario, adapters=adapters_at(store)), scenario, url, symbols=symbols, **options
    )


async def traded_on(
    desk: Desk,
    scenario: Scenario,
    url: str,
    *,
    symbols: Sequence[str] = (),
    session: Any = None,
    **options: Any,
) -> dict[str, Any]:
    """Trade a scenario on a desk that has its strategy; `session` is what asks the exchange, in place of HTTP."""
    made: list[WishingExchange] = []

    def exchange() -> WishingExchange:
        made[:] = [WishingExchange(url, session=session, timeout=ANSWERS)]
        made[0].wishes = tuple(wish for wish in scenario.wishes if not symbols or wish.symbol in symbols)
        return made[0]

    desk.add_exchange(
        "simulated", exchange, broker=lambda: SimulatedBroker(url, session=session, timeout=ANSWERS)
    )
    resume, told = False, 0
    while True:
        run = desk.live.run(
            list(symbols) or scenario.symbols,
            **{"poll": 0.01, "patience": PATIENCE, "resume": resume, **options},
        )
        over, events, halted = await ended(desk, run, made)
        told += events
        if over or halted:
            return {"events": told, "halted": halted}
        resume = True  # it was stopped: now it is resumed


async def ended(desk: Desk, run: LiveRun, made: list[WishingExchange]) -> tuple[bool, int, list[str]]:
    """Follow a run to its end: whether the market ended, how many events there were, and what is halted."""
    del desk
    over, count, halted = False, 0, list[str]()
    async for event in run:
        if made:
            made[0].run = run
        count += 1
        ends = isinstance(event, Stopped) and event.reason == MARKET_ENDED
        over = over or ends  # what a replica lacks may be told after that
        halted = [seat.halted for seat in run.status() if seat.halted]
        if halted and len(halted) == len(run.status()):
            run.detach()
    return over, count, halted
