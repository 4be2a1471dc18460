"""An account at a simulated exchange (`python -m holdfast.testing.exchange`), over HTTP."""

from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

import msgspec
from msgspec import Struct

from holdfast.errors import Rejected, Unknown
from holdfast.trading.order import Order, OrderState

if TYPE_CHECKING:
    import aiohttp

__all__ = ("AccountInfo", "Refusal", "SimulatedBroker", "Submission")

T = TypeVar("T")


class Submission(Struct, frozen=True, kw_only=True):
    """An order on the wire, and when its request expires (the exchange's wall clock, ms; 0: never)."""

    order: Order
    expires_at: int = 0


class Refusal(Struct, frozen=True, kw_only=True):
    """The exchange's no to an order."""

    reason: str
    message: str


class AccountInfo(Struct, frozen=True, kw_only=True):
    """What the exchange says of an account and its own rules; see `Broker`."""

    account: str
    client_ids: Literal["none", "open_only", "window"]
    lookup_window: float
    request_expiry: float | None


class SimulatedBroker:
    """A client of one account; connects when it is first used, in whatever event loop that is.

    `account` and the rules are known once it is open; every request opens it first. Whatever is not a plain answer
    (a cut connection, a time-out, a 5xx, nonsense, also "connection refused") is Unknown: nothing is ever sent
    again from here. A session that is handed in stays open at close.
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
        self.timeout = timeout
        self.account = ""
        self.client_ids: Literal["none", "open_only", "window"] = "open_only"
        self.lookup_window = 0.0
        self.request_expiry: float | None = None
        self._session = session
        self._owned = session is None

    async def open(self) -> None:
        """Learn the account and its rules; raises Unknown where nobody answers."""
        if not self.account:
            info = await self._ask("GET", "/account", AccountInfo)
            self.client_ids, self.lookup_window = info.client_ids, info.lookup_window
            self.request_expiry, self.account = info.request_expiry, info.account

    async def close(self) -> None:
        """Let go of the connections."""
        session, self._session = self._session, None if self._owned else self._session
        if session is not None and self._owned:
            await session.close()

    async def time(self) -> int:
        """Return the exchange's wall clock (ms); raises Unknown."""
        await self.open()
        return await self._ask("GET", "/time", int)

    async def submit(self, order: Order, *, expires_at: int = 0) -> OrderState:
        """Send an order; raises Rejected (nothing was executed) or Unknown (it may have been).

        Unknown with the reason "duplicate" says that an open order of that client id is there already.
        """
        await self.open()
        body = msgspec.json.encode(Submission(order=order, expires_at=expires_at))
        return await self._ask("POST", "/order", OrderState, body=body)

    async def lookup(self, client_id: str, *, symbol: str) -> OrderState | None:
        """Return the newest order of a client id, None where there is none; raises Unknown."""
        return await self._one("GET", client_id, symbol)

    async def cancel(self, client_id: str, *, symbol: str) -> OrderState | None:
        """Cancel an order that is not final and return it, None where there is none; raises Unknown."""
        return await self._one("DELETE", client_id, symbol)

    async def open_orders(self) -> list[OrderState]:
        """Return all open orders; raises Unknown."""
        await self.open()
        return await self._ask("GET", "/open-orders", list[OrderState])

    async def fills(self, since: int) -> list[OrderState]:
        """Return the orders with a fill at or after `since` (market time, ms); raises Unknown."""
        await self.open()
        return await self._ask("GET", "/fills", list[OrderState], query={"since": since})

    async def positions(self) -> dict[str, float]:
        """Return what is held by symbol, negative for short; raises Unknown."""
        await self.open()
        return await self._ask("GET", "/positions", dict[str, float])

    async def _one(self, method: str, client_id: str, symbol: str) -> OrderState | None:
        await self.open()
        query = {"client_id": client_id, "symbol": symbol}
        found: OrderState | None = await self._ask(method, "/order", OrderState | None, query=query)  # type: ignore[arg-type]  # a union is no class, and msgspec takes it
        return found

    async def _ask(
        self,
        method: str,
        path: str,
        type: type[T],
        *,
        query: dict[str, Any] | None = None,
        body: bytes | None = None,
    ) -> T:
        import aiohttp

        try:
            async with self._connection().request(
                method, self.url + path, params=query, data=body
            ) as response:
                status, answer = response.status, await response.read()
            if status == 200:
                return msgspec.json.decode(answer, type=type)
            refusal = msgspec.json.decode(answer, type=Refusal) if status == 409 else None
        # An answer that is none: no HTTP, no JSON, no UTF-8, or nested without an end.
        except (aiohttp.ClientError, TimeoutError, ValueError, RecursionError) as error:
            raise Unknown(f"{self.name}: no answer from {self.url}{path}: {error!r}") from error
        if refusal is None or refusal.reason == "duplicate" or method != "POST":
            reason = refusal.reason if refusal else str(status)
            raise Unknown(f"{self.name}: {self.url}{path} answered {status}", reason=reason)
        raise Rejected(f"{self.name}: {refusal.message}", reason=refusal.reason)

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
