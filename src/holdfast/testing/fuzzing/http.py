"""What is read from the network: an exchange's answers by its clients, and a trader's requests by the simulated one.

Bytes go through real sockets on this machine. Each answer that a client gets is one connection's.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any, Final

import msgspec

from holdfast.broker.simulated import AccountInfo, Refusal, SimulatedBroker, Submission
from holdfast.errors import InvalidOption, MarketEnded, Rejected, Unavailable, Unknown
from holdfast.market.invented import synthetic
from holdfast.market.simulated import MarketInfo, SimulatedExchange
from holdfast.testing.exchange import Server, serve
from holdfast.testing.fuzzing.damage import damaged
from holdfast.testing.fuzzing.dice import Dice
from holdfast.testing.fuzzing.entities import ORDER, STATE
from holdfast.testing.fuzzing.file_store import running
from holdfast.testing.fuzzing.target import require
from holdfast.trading.candle import Candle

__all__ = ("answers", "requests")

LIMIT: Final = 20.0
PATIENCE: Final = 0.1
ACCOUNT: Final = AccountInfo(account="a", client_ids="open_only", lookup_window=60.0, request_expiry=5.0)
CANDLE: Final = Candle(1_700_000_040_000, 1.0, 2.0, 0.5, 1.5, 10.0)

Asking = Callable[[str], Awaitable[Any]]


def answers(data: bytes) -> None:
    """A client's answer is what the exchange said, a final no, or Unknown (a broker's), Unavailable (a market's)."""
    dice = Dice(data)
    body, ask, no = dice.pick(_questions())
    status = dice.pick((200, 409, 410, 404, 400, 500, 204, 302))
    kind = b"application/json; charset=utf-8"
    body = damaged(dice, body)
    whole = b"HTTP/1.1 %d OK\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (
        status, kind, len(body), body,
    )  # fmt: skip
    answer = damaged(dice, whole) if dice.chance(3) else whole

    async def run() -> None:
        async with _Answering(answer) as url:
            try:
                await asyncio.wait_for(ask(url), LIMIT)
            except no:
                return

    running(run)


def requests(data: bytes) -> None:
    """The simulated exchange answers whatever it is asked, never with a fault of its own, and goes on."""
    dice = Dice(data)
    line, body = dice.pick(_requests())
    body = damaged(dice, body)
    line = damaged(dice, line) if dice.chance(2) else line
    head = b"Host: x\r\nContent-Length: %d\r\nConnection: close\r\n" % len(body)
    whole = line + b" HTTP/1.1\r\n" + head + b"\r\n" + body

    async def run() -> None:
        port = await _exchange()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(damaged(dice, whole) if dice.chance(3) else whole)
        try:
            said = await _heard(reader, writer)
        finally:
            writer.close()
        require(b" 500 " not in said[:32], f"fault: of the exchange itself: {said[:200]!r}")

    running(run)


async def _heard(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Return what the exchange says; where it waits for more, it is told that nothing more will come."""
    try:
        return await asyncio.wait_for(reader.read(), PATIENCE)
    except TimeoutError:
        writer.write_eof()
        return await asyncio.wait_for(reader.read(), LIMIT)


class _Answering:
    """A server that says the same to every connection, once it has heard something."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(self._answer)
        writer.close()


def _broker(ask: Callable[[SimulatedBroker], Awaitable[Any]]) -> Asking:
    async def asking(url: str) -> Any:
        broker = SimulatedBroker(url, timeout=LIMIT / 2)
        broker.account = "a"  # it is open
        try:
            return await ask(broker)
        finally:
            await broker.close()

    return asking


def _market(ask: Callable[[SimulatedExchange], Awaitable[Any]]) -> Asking:
    async def asking(url: str) -> Any:
        market = SimulatedExchange(url, timeout=LIMIT / 2)
        market._opened = True
        try:
            return await ask(market)
        finally:
            await market.close()

    return asking


async def _opened(url: str) -> None:
    async with SimulatedBroker(url, timeout=LIMIT / 2):
        return


@cache
def _questions() -> tuple[tuple[bytes, Asking, tuple[type[Exception], ...]], ...]:
    encode = msgspec.json.encode
    no, none = (Unknown,), (Unavailable, MarketEnded, InvalidOption)
    return (
        (encode(STATE), _broker(lambda b: b.submit(ORDER)), (Unknown, Rejected)),
        (
            encode(Refusal(reason="margin", message="no")),
            _broker(lambda b: b.submit(ORDER)),
            (Unknown, Rejected),
        ),
        (encode(STATE), _broker(lambda b: b.lookup("hf-1", symbol="BTCUSDT")), no),
        (encode(STATE), _broker(lambda b: b.cancel("hf-1", symbol="BTCUSDT")), no),
        (encode([STATE]), _broker(lambda b: b.fills(0)), no),
        (encode({"BTCUSDT": 0.5}), _broker(lambda b: b.positions()), no),
        (encode(1_700_000_000_000), _broker(lambda b: b.time()), no),
        (encode(ACCOUNT), _opened, no),
        (encode([CANDLE]), _market(lambda m: m.candles("BTCUSDT", "1m", 0, 10)), none),
        (encode(MarketInfo(now=1, waits=True)), _market(lambda m: m.now()), none),
    )


@cache
def _requests() -> tuple[tuple[bytes, bytes], ...]:
    order = msgspec.json.encode(Submission(order=ORDER, expires_at=0))
    plan = b'{"faults":[{"on":"time","do":"error_before","nth":3}],"seed":1}'
    return (
        (b"GET /candles?symbol=BTCUSDT&interval=5m&since=0&limit=3", b""),
        (b"GET /market?symbol=BTCUSDT", b""),
        (b"POST /order", order),
        (b"GET /order?client_id=hf-1&symbol=BTCUSDT", b""),
        (b"DELETE /order?client_id=hf-1&symbol=BTCUSDT", b""),
        (b"GET /fills?since=0", b""),
        (b"GET /requests?kind=submit&after=1", b""),
        (b"POST /reset", b'{"warmup":3,"speed":2.0,"dedupe":"always"}'),
        (b"PUT /sessions/one", b'{"start":1704067260000}'),
        (b"POST /faults", plan),
        (b"GET /witness", b""),
    )


_serving: dict[str, int] = {}


async def _exchange() -> int:
    """Return the port of the exchange, which serves as long as this process lives."""
    if "port" not in _serving:
        logging.getLogger("aiohttp.server").setLevel(
            logging.CRITICAL
        )  # what it was asked is none of its faults
        context = serve(Server({"BTCUSDT": synthetic(7, 60)}))
        _serving["port"] = int((await context.__aenter__()).rpartition(":")[2])
        _kept.append(context)
    return _serving["port"]


_kept: list[Any] = []
