"""What the tests of the simulated exchange share: a small market, orders, and clients of a server on a real socket."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeVar

from holdfast.broker import SimulatedBroker
from holdfast.market import Series, SimulatedExchange
from holdfast.testing.exchange import Engine, Fault, FaultPlan, Options, Server, serve
from holdfast.testing.exchange.faults import Faults
from holdfast.testing.exchange.session import Session
from holdfast.trading.candle import MINUTE, Candle
from holdfast.trading.order import Order

T = TypeVar("T")

T0 = 1_700_000_040_000
PRICES = [100.0, 101, 102, 99, 95, 90, 96, 104, 110]
SERIES = Series.of(
    Candle(T0 + i * MINUTE, price, price + 0.5, price - 0.5, price, 1.0) for i, price in enumerate(PRICES)
)


class ManualClock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def now(self) -> int:
        return int(self.seconds * 1000)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def engine(clock: ManualClock | None = None, **options: Any) -> Engine:
    return Engine({"X": SERIES}, Options(**options), clock=clock or ManualClock())


def order(client_id: str = "a", side: Any = "buy", quantity: float = 1.0, **more: Any) -> Order:
    kind: Any = "limit" if "price" in more else "market"
    return Order(client_id=client_id, symbol="X", side=side, type=kind, quantity=quantity, **more)


async def until(question: Callable[[], Awaitable[T]]) -> T:
    """Ask until there is an answer; pytest-timeout is what ends a wait that is in vain."""
    while True:
        if answer := await question():
            return answer
        await asyncio.sleep(0.005)


class Served(NamedTuple):
    """A server, the trader's two clients, and the main session behind them."""

    server: Server
    url: str
    exchange: SimulatedExchange
    broker: SimulatedBroker

    @property
    def session(self) -> Session:
        return self.server.sessions[""]

    def harm(self, *faults: Fault, seed: int = 0) -> None:
        self.session.faults = Faults(FaultPlan(faults=faults, seed=seed))


@asynccontextmanager
async def served(*, patience: float = 100.0, **options: Any) -> AsyncIterator[Served]:
    server = Server({"X": SERIES}, Options(**options))
    async with (
        serve(server) as url,
        SimulatedExchange(url, timeout=patience) as exchange,
        SimulatedBroker(url, timeout=patience) as broker,
    ):
        yield Served(server, url, exchange, broker)
