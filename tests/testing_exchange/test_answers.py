"""Answers that are none, to the clients of an exchange: an order's fate is Unknown then, a market is Unavailable."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from holdfast.broker.simulated import SimulatedBroker
from holdfast.errors import Unavailable, Unknown
from holdfast.market.invented import synthetic
from holdfast.market.simulated import SimulatedExchange
from holdfast.testing.exchange import Server, serve
from holdfast.trading.order import Order

BODIES = [
    b'"\xff"',
    b'{"account":"\xff"}',
    b'{"now":1,"x":' + b"[" * 100_000,
    b"[" * 100_000,
    b"",
    b"null",
    b"\xff",
]
ORDER = Order(client_id="c", symbol="S", side="buy", type="market", quantity=1.0)


@asynccontextmanager
async def answering(body: bytes, status: int = 200) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("status", [200, 409])
def test_an_order_whose_answer_is_none_is_unknown(body: bytes, status: int) -> None:
    async def run() -> None:
        async with answering(body, status) as url:
            broker = SimulatedBroker(url)
            broker.account = "a"
            with pytest.raises(Unknown):
                await broker.submit(ORDER)
            await broker.close()

    asyncio.run(run())


@pytest.mark.parametrize("body", BODIES)
def test_a_market_whose_answer_is_none_is_unavailable(body: bytes) -> None:
    async def run() -> None:
        async with answering(body) as url:
            with pytest.raises(Unavailable):
                async with SimulatedExchange(url):
                    pass
            with pytest.raises(Unknown):
                async with SimulatedBroker(url):
                    pass

    asyncio.run(run())


@pytest.mark.parametrize("client", [SimulatedBroker, SimulatedExchange])
def test_a_client_that_cannot_be_opened_keeps_no_connections(
    client: type[SimulatedBroker] | type[SimulatedExchange],
) -> None:
    async def run() -> None:
        async with answering(b"") as url:
            made = client(url)
            with pytest.raises((Unknown, Unavailable)):
                await made.__aenter__()
            assert made._session is None

    asyncio.run(run())


@pytest.mark.parametrize("body", [b'"\xff"', b'{"pace":"\xff"}', b'{"a":' + b"[" * 100_000])
@pytest.mark.parametrize("path", ["/reset", "/order", "/faults"])
def test_a_request_that_is_none_is_refused_and_no_fault(path: str, body: bytes) -> None:
    async def run() -> int:
        async with (
            serve(Server({"S": synthetic(1, 5)})) as url,
            aiohttp.ClientSession() as session,
            session.post(url + path, data=body) as response,
        ):
            return response.status

    assert asyncio.run(run()) == 400
