"""The simulated exchange and its clients over real sockets: fills, faults, expiry, and the witness."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from holdfast.broker import Broker, SimulatedBroker
from holdfast.errors import HoldfastError, InvalidOption, MarketEnded, Rejected, Unavailable, Unknown
from holdfast.market import Exchange, SimulatedExchange
from holdfast.testing.exchange import Fault, Options
from holdfast.trading.candle import MINUTE
from tests.testing_exchange.builders import SERIES, T0, Served, order, served, until


def run(test: Callable[[Served], Awaitable[None]], **options: Any) -> None:
    async def served_to_it() -> None:
        async with served(**options) as parts:
            await test(parts)

    asyncio.run(served_to_it())


async def asked(url: str, path: str, *, method: str = "GET", body: Any = None) -> Any:
    data = None if body is None else json.dumps(body)
    async with aiohttp.ClientSession() as session, session.request(method, url + path, data=data) as response:
        text = await response.text()
        return json.loads(text) if response.status == 200 else (response.status, text)


def test_the_clients_are_an_exchange_and_a_broker() -> None:
    async def test(parts: Served) -> None:
        exchange: Exchange = parts.exchange
        broker: Broker = parts.broker
        assert (exchange.name, exchange.waits, broker.name) == ("simulated", True, "simulated")
        assert (broker.account, broker.client_ids, broker.request_expiry) == ("mine", "open_only", 5.0)
        assert abs(await broker.time() - parts.session.engine.wall()) < 10_000
        assert await exchange.now() == T0 + MINUTE
        assert (await exchange.market("X")).symbol == "X"

    run(test, account="mine")


def test_a_trade_from_end_to_end() -> None:
    async def test(parts: Served) -> None:
        exchange, broker = parts.exchange, parts.broker
        assert await exchange.candles("X", "1m", T0, 10) == [SERIES[0]]
        entry = await broker.submit(order(quantity=2.0), expires_at=await broker.time() + 5_000)
        assert (entry.status, entry.fills[0].price) == ("filled", 100.0)
        await broker.submit(order("b", price=94.0))
        await broker.submit(order("c", price=50.0))
        cancelled = await broker.cancel("c", symbol="X")
        assert cancelled is not None
        assert cancelled.status == "cancelled"
        for at in range(1, 6):
            assert await exchange.candles("X", "1m", T0 + at * MINUTE, 10) == [SERIES[at]]
        assert (await broker.open_orders(), await broker.positions()) == ([], {"X": 3.0})
        assert [state.client_id for state in await broker.fills(T0 + 2 * MINUTE)] == ["b"]
        exit_ = await broker.submit(order("d", "sell", 9.0, reduce_only=True))
        assert (exit_.filled, await broker.positions()) == (3.0, {})
        assert await broker.lookup("d", symbol="X") == exit_
        assert await broker.lookup("e", symbol="X") is None
        assert await broker.cancel("e", symbol="X") is None
        with pytest.raises(Rejected) as caught:
            await broker.submit(order("f", "sell", reduce_only=True))
        assert caught.value.reason == "reduce-only"

    run(test)


def test_the_market_ends_and_what_is_unknown_is_said() -> None:
    async def test(parts: Served) -> None:
        with pytest.raises(MarketEnded):
            await parts.exchange.candles("X", "1m", T0 + 9 * MINUTE, 1)
        for call in (parts.exchange.market("Y"), parts.exchange.candles("X", "2m", T0, 1)):
            with pytest.raises(InvalidOption):
                await call
        status, _ = await asked(parts.url, "/order", method="POST", body={"order": 7})
        assert status == 400
        status, text = await asked(parts.url, "/s/nobody/now")
        assert status == 404
        assert "PUT /sessions/nobody" in text

    run(test)


@pytest.mark.parametrize("dedupe", ["open", "never", "always"])
def test_the_witness_sees_an_order_sent_twice(dedupe: Any) -> None:
    """The control of every crash test: what recovery must avoid is possible here, and is seen."""

    async def test(parts: Served) -> None:
        await parts.broker.submit(order())
        assert parts.session.witness().doubled == {}
        if dedupe == "always":
            with pytest.raises(Unknown) as caught:
                await parts.broker.submit(order())
            assert caught.value.reason == "duplicate"
        else:
            await parts.broker.submit(order())
        witness = await asked(parts.url, "/witness")
        doubled = dedupe != "always"
        assert witness["doubled"] == ({"a": 2} if doubled else {})
        assert witness["positions"] == {"X": 2.0 if doubled else 1.0}
        assert witness["refused"] == ({} if doubled else {"duplicate": 1})
        assert (witness["orders"], witness["filled"]) == ((2, 2) if doubled else (1, 1))
        assert len(await asked(parts.url, "/orders")) == witness["orders"]

    run(test, dedupe=dedupe)


def test_an_open_order_is_there_already() -> None:
    async def test(parts: Served) -> None:
        await parts.broker.submit(order(price=50.0))
        with pytest.raises(Unknown) as caught:
            await parts.broker.submit(order(price=50.0))
        assert caught.value.reason == "duplicate"
        assert len(await parts.broker.open_orders()) == 1

    run(test)


HARMS = {
    "drop_before": (Fault(on="submit", do="drop_before"), False),
    "drop_after": (Fault(on="submit", do="drop_after"), True),
    "error_before": (Fault(on="submit", do="error_before", status=502), False),
    "error_after": (Fault(on="submit", do="error_after"), True),
    "nonsense": (Fault(on="submit", do="nonsense"), True),
    "delay_answer": (Fault(on="submit", do="delay_answer", ms=60_000), True),
}


@pytest.mark.parametrize("harm", HARMS)
def test_no_answer_is_unknown_and_a_lookup_settles_it(harm: str) -> None:
    async def test(parts: Served) -> None:
        fault, executed = HARMS[harm]
        parts.harm(fault)
        limit = 1.0 if fault.do == "delay_answer" else 100.0
        async with SimulatedBroker(parts.url, timeout=limit) as broker:
            with pytest.raises(Unknown):
                await broker.submit(order())
        assert (await parts.broker.lookup("a", symbol="X") is not None) == executed
        (seen,) = [seen for seen in parts.session.seen if seen.kind == "submit"]
        assert (seen.faults, seen.executed, seen.client_id) == ((fault.do,), executed, "a")
        assert parts.session.witness().requests["submit"] == 1  # nobody sent it again
        assert parts.session.witness().faults == {fault.do: 1}
        assert (await parts.broker.submit(order("b"))).status == "filled"  # and the next one is well

    run(test)


@pytest.mark.parametrize("harm", ["drop_before", "drop_after", "error_before", "error_after", "nonsense"])
def test_a_harmed_question_has_no_answer_either(harm: Any) -> None:
    async def test(parts: Served) -> None:
        broker, exchange = parts.broker, parts.exchange
        questions: dict[str, Callable[[], Awaitable[Any]]] = {
            "lookup": lambda: broker.lookup("a", symbol="X"),
            "cancel": lambda: broker.cancel("a", symbol="X"),
            "open_orders": broker.open_orders,
            "fills": lambda: broker.fills(0),
            "positions": broker.positions,
            "time": broker.time,
            "candles": lambda: exchange.candles("X", "1m", T0, 1),
            "now": exchange.now,
            "market": lambda: exchange.market("X"),
        }
        for kind, question in questions.items():
            parts.harm(Fault(on=kind, do=harm))
            with pytest.raises((Unknown, Unavailable)):
                await question()
            await question()

    run(test)


def test_a_lost_candle_is_asked_for_again_and_the_market_has_not_moved_on() -> None:
    async def test(parts: Served) -> None:
        parts.harm(Fault(on="candles", do="drop_after"))
        with pytest.raises(Unavailable):
            await parts.exchange.candles("X", "1m", T0 + MINUTE, 1)
        assert await parts.exchange.candles("X", "1m", T0 + MINUTE, 1) == [SERIES[1]]
        assert await parts.exchange.now() == T0 + 2 * MINUTE

    run(test)


def test_a_request_that_arrives_late_is_refused() -> None:
    async def test(parts: Served) -> None:
        parts.harm(Fault(on="submit", do="delay", ms=80))
        with pytest.raises(Rejected) as caught:
            await parts.broker.submit(order(), expires_at=await parts.broker.time() + 40)
        assert (caught.value.reason, await parts.broker.lookup("a", symbol="X")) == ("expired", None)
        assert parts.session.witness().refused == {"expired": 1}

    run(test)


def test_a_request_may_be_executed_after_its_sender_has_given_up() -> None:
    async def test(parts: Served) -> None:
        for name, ms in (("a", 1_000), ("b", 10_000), ("c", 60_000)):  # until we are there before it
            parts.harm(Fault(on="submit", do="delay", ms=ms))
            async with SimulatedBroker(parts.url, timeout=0.3) as impatient:
                with pytest.raises(Unknown):
                    await impatient.submit(order(name), expires_at=await parts.broker.time() + 300_000)
            arrived = any(seen.client_id == name for seen in parts.session.seen if seen.kind == "submit")
            if (found := await parts.broker.lookup(name, symbol="X")) is None and arrived:
                break
        assert arrived
        assert found is None  # not found, and not final
        await until(lambda: parts.broker.lookup(name, symbol="X"))
        assert parts.session.witness().doubled == {}

    run(test)


def test_a_question_that_takes_too_long() -> None:
    async def test(parts: Served) -> None:
        parts.harm(
            Fault(on="lookup", do="delay", ms=60_000), Fault(on="candles", do="delay_answer", ms=60_000)
        )
        with pytest.raises(Unknown):
            await parts.broker.lookup("a", symbol="X")
        with pytest.raises(Unavailable):
            await parts.exchange.candles("X", "1m", T0 + MINUTE, 1)
        assert parts.session.engine.now() == T0 + 2 * MINUTE

    run(test, patience=0.5)


def test_refused_and_partly_filled_by_plan() -> None:
    async def test(parts: Served) -> None:
        broker = parts.broker
        parts.harm(
            Fault(on="submit", do="reject", reason="no margin"),
            Fault(on="submit", do="partial", nth=2, times=2, part=0.25),
        )
        with pytest.raises(Rejected) as caught:
            await broker.submit(order())
        assert caught.value.reason == "no margin"
        market = await broker.submit(order("b"))
        assert (market.status, market.filled) == ("cancelled", 0.25)
        assert (await broker.submit(order("c", price=101.4 - 2))).status == "open"
        for at, filled, status in ((3, 0.25, "open"), (4, 1.0, "filled")):
            await parts.exchange.candles("X", "1m", T0 + at * MINUTE, 1)
            found = await broker.lookup("c", symbol="X")
            assert found is not None
            assert (found.filled, found.status) == (filled, status)

    run(test)


def test_sessions_are_markets_of_their_own() -> None:
    async def test(parts: Served) -> None:
        url = f"{parts.url}/s/one"
        answer = await asked(parts.url, "/sessions/one", method="PUT", body={"warmup": 3, "account": "other"})
        assert (answer["warmup"], answer["account"], answer["dedupe"]) == (3, "other", "always")
        async with SimulatedExchange(url) as exchange, SimulatedBroker(url) as broker:
            assert (await exchange.now(), broker.account) == (T0 + 3 * MINUTE, "other")
            await broker.submit(order())
            assert (await broker.positions(), await parts.broker.positions()) == ({"X": 1.0}, {})
            assert [seen["kind"] for seen in await asked(url, "/requests?kind=submit")] == ["submit"]
            assert await asked(url, "/requests?after=100") == []
            await asked(url, "/reset", method="POST", body={"warmup": 2})
            assert (await exchange.now(), await broker.positions()) == (T0 + 2 * MINUTE, {})
            assert await asked(url, "/witness") == {
                **await asked(url, "/witness"),
                "orders": 0,
                "refused": {},
            }
        plan = {"faults": [{"on": "any", "do": "delay"}]}
        assert (await asked(url, "/faults", method="POST", body=plan))["faults"] == plan["faults"]
        for wrong in ({"pace": "fast"}, {"warmup": 99}, {"speed": -1}, {"colour": "red"}):
            assert (await asked(url, "/reset", method="POST", body=wrong))[0] == 400
        assert (await asked(url, "/faults", method="POST", body={"faults": [{"do": "x"}]}))[0] == 400
        assert await asked(parts.url, "/sessions/one", method="DELETE") is None
        assert (await asked(url, "/now"))[0] == 404

    run(test, dedupe="always")


def test_a_running_market_is_seen_from_outside() -> None:
    async def test(parts: Served) -> None:
        assert not parts.exchange.waits
        candles = await until(lambda: parts.exchange.candles("X", "1m", T0 + MINUTE, 10))
        assert candles[0] == SERIES[1]

    run(test, pace="running", speed=3_000.0)


def test_nobody_there() -> None:
    async def test() -> None:
        async with served() as parts:
            url = parts.url
        exchange, broker = SimulatedExchange(url), SimulatedBroker(url)
        for call, error in ((exchange.now(), Unavailable), (broker.submit(order()), Unknown)):
            with pytest.raises(HoldfastError) as caught:
                await call
            assert type(caught.value) is error
            assert isinstance(caught.value.__cause__, aiohttp.ClientError)
        await exchange.close()
        await broker.close()

    asyncio.run(test())


def test_a_session_that_was_handed_in_stays_open() -> None:
    async def test(parts: Served) -> None:
        async with aiohttp.ClientSession() as session:
            async with (
                SimulatedExchange(parts.url, session=session) as exchange,
                SimulatedBroker(parts.url, session=session),
            ):
                assert await exchange.now() == T0 + MINUTE
            assert not session.closed
            assert await exchange.now() == T0 + MINUTE

    run(test)


def test_a_client_comes_back() -> None:
    async def test(parts: Served) -> None:
        await parts.broker.submit(order())
        await parts.broker.close()
        await parts.exchange.close()
        assert await parts.broker.positions() == {"X": 1.0}
        assert await parts.exchange.now() == T0 + MINUTE

    run(test)


def test_options_that_are_given_are_kept() -> None:
    async def test(parts: Served) -> None:
        assert parts.session.engine.options == Options(fill_model="vwap", warmup=4)
        entry = await parts.broker.submit(order())
        assert entry.fills[0].price == pytest.approx((100 + 101 + 102 + 99) / 4)

    run(test, fill_model="vwap", warmup=4)
