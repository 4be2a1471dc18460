"""The recorded market that waits for whoever asks."""

import asyncio

import pytest

from holdfast.errors import BadCandles, InvalidOption, MarketEnded
from holdfast.market import Exchange, Market, ReplayExchange, Series, synthetic
from holdfast.trading.candle import MINUTE

A, B = synthetic(1, 100), synthetic(2, 90, start=1_704_067_200_000 + 5 * MINUTE)
T0 = int(A.at[0])


def replay(**options: object) -> ReplayExchange:
    return ReplayExchange("replay", {"A": A, "B": B}, **options)  # type: ignore[arg-type]  # what a test gives


def test_it_is_an_exchange() -> None:
    exchange: Exchange = replay()
    assert (exchange.name, exchange.waits) == ("replay", True)


def test_the_market_moves_only_when_it_is_asked_for_what_is_to_come() -> None:
    async def run() -> None:
        exchange = replay()
        start = await exchange.now()
        assert start == T0 + 6 * MINUTE  # the first minute of both has closed
        assert await exchange.candles("A", "1m", T0, 100) == list(A[:6])
        assert await exchange.candles("A", "1m", start - MINUTE, 5) == [A[5]]
        assert await exchange.now() == start
        assert await exchange.candles("A", "1m", start, 5) == [A[6]]
        assert await exchange.now() == start + MINUTE
        assert await exchange.candles("B", "1m", start, 5) == [B[1]]  # closed for all at once
        assert await exchange.candles("A", "5m", start, 5) == []  # only one-minute candles are waited for
        assert await exchange.candles("A", "5m", T0, 5) == list(A.resample("5m")[:1])
        assert await exchange.candles("A", "1m", start + MINUTE, 0) == []
        assert await exchange.now() == start + MINUTE

    asyncio.run(run())


def test_the_market_catches_up_with_a_run_that_goes_on() -> None:
    async def run() -> None:
        exchange = replay()
        assert await exchange.candles("A", "1m", int(A.at[50]), 10) == [A[50]]
        assert await exchange.now() == int(A.at[51])

    asyncio.run(run())


def test_the_market_ends_with_the_shortest_recording() -> None:
    async def run() -> None:
        last = int(B.at[-1])
        exchange = replay(start=last)
        assert await exchange.candles("A", "1m", last, 10) == [A[94]]
        now = await exchange.now()
        for since in (last + MINUTE, last + 10**9):
            with pytest.raises(MarketEnded):
                await exchange.candles("A", "1m", since, 1)
        assert await exchange.now() == now

    asyncio.run(run())


def test_what_is_not_there_is_said() -> None:
    async def run() -> None:
        exchange = replay(markets={"A": Market(symbol="A", quantity_step=0.1)})
        assert (await exchange.market("A")).quantity_step == 0.1
        assert await exchange.market("B") == Market(symbol="B")
        with pytest.raises(InvalidOption, match="only A, B"):
            await exchange.market("C")
        with pytest.raises(InvalidOption, match="only A, B"):
            await exchange.candles("C", "1m", 0, 1)
        with pytest.raises(InvalidOption, match="there is no interval"):
            await exchange.candles("A", "2m", 0, 1)

    asyncio.run(run())


@pytest.mark.parametrize("series", [{}, {"A": Series.of([])}])
def test_a_market_needs_candles(series: dict[str, Series]) -> None:
    with pytest.raises(InvalidOption, match="at least one"):
        ReplayExchange("replay", series)


def test_a_market_has_no_gaps_and_starts_inside() -> None:
    with pytest.raises(BadCandles, match="A: one-minute"):
        ReplayExchange("replay", {"A": A.resample("5m")})
    with pytest.raises(BadCandles, match="A: one-minute"):
        ReplayExchange("replay", {"A": Series.of([A[0], A[2]])})
    assert asyncio.run(replay(warmup=10).now()) == T0 + 15 * MINUTE
    for start in (T0, T0 + 7 * MINUTE + 1, T0 + 10_000 * MINUTE):
        with pytest.raises(InvalidOption, match="whole minute"):
            replay(start=start)
