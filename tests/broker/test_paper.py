"""Orders on paper: kept in a store, filled by the market's candles, the same after every crash."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from holdfast.broker import Broker, PaperBroker
from holdfast.errors import Rejected, Unavailable, Unknown
from holdfast.market import ReplayExchange, Series
from holdfast.store import Change, CommitId, open_store
from holdfast.store.backends.memory import MemoryStore
from holdfast.trading.candle import MINUTE, Candle
from holdfast.trading.order import Order, OrderState

T0 = 1_700_000_040_000
PRICES = [100.0, 101, 102, 99, 95, 90, 96, 104, 110]
SERIES = Series.of(
    Candle(T0 + i * MINUTE, price, price + 0.5, price - 0.5, price, 1.0) for i, price in enumerate(PRICES)
)


def order(client_id: str = "a", side: Any = "buy", quantity: float = 1.0, **more: Any) -> Order:
    kind: Any = "limit" if "price" in more else "market"
    return Order(client_id=client_id, symbol="X", side=side, type=kind, quantity=quantity, **more)


async def advance(exchange: ReplayExchange, minutes: int = 1) -> None:
    for _ in range(minutes):
        await exchange.candles("X", "1m", await exchange.now(), 1)


@asynccontextmanager
async def paper(store: MemoryStore | None = None) -> AsyncIterator[tuple[PaperBroker, ReplayExchange]]:
    async with store or MemoryStore() as opened:
        exchange = ReplayExchange("replay", {"X": SERIES})
        yield PaperBroker(opened, exchange), exchange


def test_it_is_a_broker() -> None:
    async def run() -> None:
        async with paper() as (made, _):
            broker: Broker = made
            assert (broker.name, broker.account, broker.client_ids) == ("paper", "paper.paper", "window")
            assert await broker.time() > T0
            assert await broker.lookup("a", symbol="X") is None
            assert await broker.cancel("a", symbol="X") is None
            assert (await broker.open_orders(), await broker.fills(0), await broker.positions()) == (
                [],
                [],
                {},
            )

    asyncio.run(run())


def test_orders_fill_as_the_market_goes() -> None:
    async def run() -> None:
        async with paper() as (broker, exchange):
            entry = await broker.submit(order())
            assert (entry.status, entry.fills[0].price, entry.fills[0].at) == ("filled", 100.0, T0 + MINUTE)
            assert (await broker.submit(order("b", price=94.0))).status == "open"
            await advance(exchange, 4)
            assert [state.client_id for state in await broker.open_orders()] == ["b"]
            await advance(exchange)
            filled = await broker.lookup("b", symbol="X")
            assert filled is not None
            assert (filled.status, filled.fills[0].price, filled.fills[0].at) == (
                "filled",
                90.0,
                T0 + 5 * MINUTE,
            )
            assert await broker.positions() == {"X": 2.0}
            assert [state.client_id for state in await broker.fills(T0 + 2 * MINUTE)] == ["b"]
            now = await exchange.now()
            await broker.positions()
            assert await exchange.now() == now  # looking never moves the market

    asyncio.run(run())


def test_a_broker_that_comes_back_knows_everything() -> None:
    async def run() -> None:
        store = MemoryStore()
        async with paper(store) as (broker, exchange):
            await broker.submit(order())
            await broker.submit(order("b", price=94.0))
            await broker.submit(order("c", price=50.0))
            await broker.cancel("c", symbol="X")
            before = [await broker.lookup(name, symbol="X") for name in "abc"]
        async with paper(store) as (broker, exchange):  # the market is at its beginning again
            assert [await broker.lookup(name, symbol="X") for name in "abc"] == before
            with pytest.raises(Unknown) as caught:
                await broker.submit(order())
            assert caught.value.reason == "duplicate"
            await advance(exchange, 6)
            assert await broker.positions() == {"X": 2.0}

    asyncio.run(run())


def test_two_brokers_of_one_account_see_each_other() -> None:
    async def run() -> None:
        store = MemoryStore()
        async with paper(store) as (one, exchange):
            other = PaperBroker(store, exchange)
            assert await other.lookup("a", symbol="X") is None
            await one.submit(order())
            assert await other.lookup("a", symbol="X") == await one.lookup("a", symbol="X")
            answers = await asyncio.gather(
                *(broker.submit(order("b")) for broker in (one, other)), return_exceptions=True
            )
            assert {type(answer) for answer in answers} == {OrderState, Unknown}
            assert await one.positions() == await other.positions() == {"X": 2.0}

    asyncio.run(run())


def test_an_expired_request_executes_nothing() -> None:
    async def run() -> None:
        async with paper() as (broker, _):
            with pytest.raises(Rejected) as caught:
                await broker.submit(order(), expires_at=await broker.time() - 1)
            assert (caught.value.reason, await broker.positions()) == ("expired", {})
            await broker.submit(order(), expires_at=await broker.time() + 60_000)
            with pytest.raises(Rejected) as caught:
                await broker.submit(Order(client_id="z", symbol="Z", side="buy", type="market", quantity=1.0))
            assert caught.value.reason == "symbol"

    asyncio.run(run())


class FailingStore(MemoryStore):
    """Commits, or not, and then says nothing: the worst that a store may do."""

    def __init__(self) -> None:
        super().__init__()
        self.fails: list[bool] = []

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        if not self.fails:
            return await super().commit(changes, commit_id=commit_id, vital=vital)
        if self.fails.pop(0):
            await super().commit(changes, commit_id=commit_id, vital=vital)
        raise Unavailable("no answer", unknown=True)


@pytest.mark.parametrize("happened", [True, False])
def test_an_unknown_commit_is_an_unknown_order(happened: bool) -> None:
    async def run() -> None:
        store = FailingStore()
        async with paper(store) as (broker, _):
            store.fails = [happened]
            with pytest.raises(Unknown):
                await broker.submit(order())
            found = await broker.lookup("a", symbol="X")
            assert (found is not None) == happened
            assert await broker.positions() == ({"X": 1.0} if happened else {})

    asyncio.run(run())


class RunningReplay(ReplayExchange):
    waits = False


def test_levels_in_the_past_count_only_where_the_market_waits() -> None:
    async def run() -> None:
        prices = []
        for kind in (ReplayExchange, RunningReplay):
            async with MemoryStore() as store:
                exchange = kind("replay", {"X": SERIES})
                broker = PaperBroker(store, exchange)
                await broker.submit(order())
                await advance(exchange, 4)
                stop = order("b", "sell", reduce_only=True, trigger="stop_loss", trigger_price=94.7)
                prices.append((await broker.submit(stop)).fills[0].price)
        assert prices == [94.7, 95.0]

    asyncio.run(run())


def test_orders_in_a_file_store(tmp_path: Any) -> None:
    async def run() -> None:
        exchange = ReplayExchange("replay", {"X": SERIES})
        for _ in range(2):
            async with open_store(f"file:{tmp_path}/data") as store:
                broker = PaperBroker(store, exchange)
                if await broker.lookup("a", symbol="X") is None:
                    await broker.submit(order(quantity=3.0))
                assert await broker.positions() == {"X": 3.0}

    asyncio.run(run())
