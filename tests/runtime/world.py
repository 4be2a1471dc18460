"""An exchange inside the test's own process, and a clock that only moves when somebody sleeps on it."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Any, Literal, TypeVar

from holdfast.market.invented import SYNTHETIC_START
from holdfast.market.protocol import Market
from holdfast.market.series import Series
from holdfast.runtime.desk import Desk
from holdfast.runtime.live.patience import Patience
from holdfast.runtime.live.run import LiveRun
from holdfast.store import Store
from holdfast.store.backends.memory import MemoryStore
from holdfast.testing.exchange.engine import Engine
from holdfast.testing.exchange.options import Options
from holdfast.trading.candle import MINUTE, Candle
from holdfast.trading.events import Happening
from holdfast.trading.order import Order, OrderState
from holdfast.trading.signal import Signal

T = TypeVar("T")

LONG = Signal(side="long", take_profit=103.0, stop_loss=97.0, cost=1_000.0)
SHORT = Signal(side="short", take_profit=97.0, stop_loss=103.0, cost=1_000.0)
RESTING = Signal(side="long", entry_price=99.0, take_profit=102.0, stop_loss=97.0, cost=500.0)
PATIENCE = Patience(attempts=4, first=0.01, longest=0.05)


class FastClock:
    """Time that passes only in `sleep`, and at once."""

    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> int:
        return 1_800_000_000_000 + round(self.passed * 1000)

    def monotonic(self) -> float:
        return self.passed

    async def sleep(self, seconds: float) -> None:
        self.passed += seconds
        await asyncio.sleep(0)


Hook = Callable[[str, str], None]


class World:
    """A simulated exchange without a network, as an Exchange and as a Broker.

    `hook(kind, when)` is called "before" and "after" each request, and may raise what the request is to raise.
    """

    name = "world"
    account = "test"
    client_ids: Literal["none", "open_only", "window"] = "open_only"
    lookup_window = 86_400.0
    request_expiry: float | None = 5.0

    def __init__(
        self, series: Mapping[str, Series], *, clock: FastClock | None = None, **options: Any
    ) -> None:
        self.clock = clock or FastClock()
        self.engine = Engine(series, Options(**options), clock=self.clock)
        self.hook: Hook = lambda kind, when: None
        self.asked: list[str] = []

    @property
    def waits(self) -> bool:
        return self.engine.waits

    @property
    def doubled(self) -> dict[str, int]:
        return self.engine.account.repeated()

    @property
    def orders(self) -> list[Order]:
        return [entry.order for entry in self.engine.orders()]

    @property
    def positions(self) -> dict[str, float]:
        return self.engine.positions()

    async def candles(self, symbol: str, interval: str, since: int, limit: int) -> list[Candle]:
        return await self._do("candles", lambda: self.engine.candles(symbol, interval, since, limit))

    async def now(self) -> int:
        return await self._do("now", self.engine.now)

    async def market(self, symbol: str) -> Market:
        return await self._do("market", lambda: self.engine.market(symbol))

    async def time(self) -> int:
        return await self._do("time", self.engine.wall)

    async def submit(self, order: Order, *, expires_at: int = 0) -> OrderState:
        return await self._do("submit", lambda: self.engine.submit(order, expires_at=expires_at))

    async def lookup(self, client_id: str, *, symbol: str) -> OrderState | None:
        return await self._do("lookup", lambda: self.engine.lookup(client_id, symbol))

    async def cancel(self, client_id: str, *, symbol: str) -> OrderState | None:
        return await self._do("cancel", lambda: self.engine.cancel(client_id, symbol))

    async def open_orders(self) -> list[OrderState]:
        return await self._do("open_orders", self.engine.open_orders)

    async def fills(self, since: int) -> list[OrderState]:
        return await self._do("fills", lambda: self.engine.fills(since))

    async def _do(self, kind: str, do: Callable[[], T]) -> T:
        self.asked.append(kind)
        await asyncio.sleep(0)
        self.hook(kind, "before")
        answer = do()
        self.hook(kind, "after")
        return answer


def series(*closes: float, minutes: int = 20, start: int = SYNTHETIC_START) -> Series:
    """Return candles from closes; the last one stays, and each reaches 0.1 beyond its open and close."""
    whole = [*closes, *[closes[-1]] * (minutes - len(closes))]
    opens = [whole[0], *whole[:-1]]
    return Series.of(
        Candle(start + i * MINUTE, o, max(o, c) + 0.1, min(o, c) - 0.1, c, 10.0)
        for i, (o, c) in enumerate(zip(opens, whole, strict=True))
    )


def minute(at: int) -> int:
    return (at - SYNTHETIC_START) // MINUTE


def scripted(signals: Mapping[int, Signal]) -> Callable[[Any], Signal | None]:
    """Return a strategy that answers at certain minutes."""
    return lambda ctx: signals.get(minute(ctx.now))


def desk_on(world: World, store: Store | str | None = None, **options: Any) -> Desk:
    """Return a desk on a world, without a strategy."""
    desk = Desk(store=store or MemoryStore(), clock=world.clock, **options)
    desk.add_exchange("world", world, broker=world)
    return desk


def once(kind: str, when: str, error: Exception, *, nth: int = 1, times: int = 1) -> Hook:
    """Return a hook that raises an error at the nth such instant, and at the `times` - 1 after it."""
    seen = 0

    def hook(asked: str, instant: str) -> None:
        nonlocal seen
        if (asked, instant) == (kind, when):
            seen += 1
            if nth <= seen < nth + times:
                raise error

    return hook


async def follow(run: LiveRun, until: Callable[[Happening], bool] | None = None) -> list[Happening]:
    """Return the events of a run, to its end, until a certain one, or until all is halted."""
    events = []
    async with aclosing(aiter(run)) as told:
        async for event in told:
            events.append(event)
            seats = run.status()
            stuck = run._events.empty() and seats and all(seat.halted for seat in seats)
            if stuck or (until is not None and until(event)):
                break
    return events


def kinds(events: list[Happening]) -> list[str]:
    return [type(event).__name__ for event in events]
