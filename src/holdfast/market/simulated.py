"""The market of a simulated exchange (`python -m holdfast.testing.exchange`), over HTTP."""

from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import msgspec
from msgspec import Struct

from holdfast.errors import InvalidOption, MarketEnded, Unavailable
from holdfast.market.protocol import Market
from holdfast.trading.candle import Candle

if TYPE_CHECKING:
    import aiohttp

__all__ = ("MarketInfo", "SimulatedExchange")

T = TypeVar("T")


class MarketInfo(Struct, frozen=True, kw_only=True):
    """A market's time, and whether it waits for the trader."""

    now: int
    waits: bool


class SimulatedExchange:
    """A client of one market; connects when it is first used, in whatever event loop that is.

    `waits` is known once it is open. A session that is handed in stays open at close.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str = "simulated",
        timeout: float = 10.0,
        session: "aiohttp.ClientSession | None" = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.name = name
        self.waits = True
        self.timeout = timeout
        self._session = session
        self._owned = session is None
        self._opened = False

    async def open(self) -> None:
        """Learn whether the market waits; every request does so first. Raises Unavailable."""
        if not self._opened:
            info = await self._get("/now", MarketInfo)
            self.waits, self._opened = info.waits, True

    async def close(self) -> None:
        """Let go of the connections."""
        session, self._session = self._session, None if self._owned else self._session
        self._opened = False
        if session is not None and self._owned:
            await session.close()

    async def candles(self, symbol: str, interval: str, since: int, limit: int) -> list[Candle]:
        """Return up to `limit` closed candles from `since`; see `Exchange`."""
        await self.open()
        query = {"symbol": symbol, "interval": interval, "since": since, "limit": limit}
        return await self._get("/candles", list[Candle], query)

    async def now(self) -> int:
        """Return the market's time."""
        await self.open()
        return (await self._get("/now", MarketInfo)).now

    async def market(self, symbol: str) -> Market:
        """Return a symbol's trading rules; raises InvalidOption for one that is not traded."""
        await self.open()
        return await self._get("/market", Market, {"symbol": symbol})

    async def _get(self, path: str, type: type[T], query: dict[str, Any] | None = None) -> T:
        import aiohttp

        try:
            async with self._connection().get(self.url + path, params=query) as response:
                status, body = response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(f"{self.name}: no answer from {self.url}{path}: {error!r}") from error
        if status == 200:
            return self._decoded(body, type)
        raise self._refused(status, path, body.decode(errors="replace"))

    def _decoded(self, body: bytes, type: type[T]) -> T:
        try:
            return msgspec.json.decode(body, type=type)
        except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, or nested without an end
            raise Unavailable(f"{self.name}: answered what is no {type}: {body[:80]!r}") from error

    def _refused(self, status: int, path: str, text: str) -> Exception:
        if status == 410:
            return MarketEnded(text)
        if status in (400, 404):
            return InvalidOption(f"{self.name}: {text}")
        return Unavailable(f"{self.name}: {self.url}{path} answered {status}: {text[:80]}", status=status)

    def _connection(self) -> "aiohttp.ClientSession":
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self.timeout))
        return self._session

    async def __aenter__(self) -> Self:
        try:
            await self.open()
        except BaseException:  # nobody is there to close it
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
