"""The simulated exchange without HTTP: what its clients take for a session of aiohttp, over the simulated network."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Self
from urllib.parse import urlsplit

import aiohttp
import msgspec

from holdfast.broker.simulated import Submission
from holdfast.market.candles import Series
from holdfast.testing.exchange.endpoints import TRADING, answered
from holdfast.testing.exchange.faults import Fault, FaultPlan, Faults
from holdfast.testing.exchange.options import Options
from holdfast.testing.exchange.session import Session
from holdfast.testing.scenarios import Scenario
from holdfast.testing.simulation.network import Cut, Network
from holdfast.testing.simulation.process import EPOCH, SimulatedProcess
from holdfast.testing.simulation.world import World

__all__ = ("EXCHANGE", "URL", "ClientSession", "ExchangeClock", "Met", "exchange_of")

EXCHANGE: Final = "exchange"
URL: Final = "http://exchange"
TIMEOUT: Final = 10.0

KINDS: Final = {(method, path): (kind, endpoint) for kind, (method, path, endpoint) in TRADING.items()}

Accepted = Callable[[str], None]
Met = dict[str, tuple[Fault, ...]]
"""The scenario's own faults that each order has met, by client id."""


class ExchangeClock:
    """The exchange's own clock, which is right."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now(self) -> int:
        """Return wall time (ms)."""
        return EPOCH + int(self._world.now * 1000)

    def monotonic(self) -> float:
        """Return seconds since the world began."""
        return self._world.now

    async def sleep(self, seconds: float) -> None:
        """Never asked for: an exchange waits for nobody."""
        raise NotImplementedError


def exchange_of(world: World, scenario: Scenario, series: Mapping[str, Series], options: Options) -> Session:
    """Return a market, an account and a witness for a scenario."""
    session = Session(series, options, clock=ExchangeClock(world), markets={})
    session.faults = Faults(FaultPlan(faults=scenario.faults))
    return session


class ClientSession:
    """What `SimulatedExchange` and `SimulatedBroker` use of aiohttp's session; `accepted` hears of each new order."""

    def __init__(
        self, process: SimulatedProcess, network: Network, session: Session, accepted: Accepted, faults: Met
    ) -> None:
        self._faults = faults
        self._process = process
        self._network = network
        self._session = session
        self._accepted = accepted

    def get(self, url: str, *, params: Mapping[str, Any] | None = None) -> "_Asking":
        """Return the request, to be used as `async with`."""
        return self.request("GET", url, params=params)

    def request(
        self, method: str, url: str, *, params: Mapping[str, Any] | None = None, data: bytes | None = None
    ) -> "_Asking":
        """Return the request, to be used as `async with`."""
        asked = {name: str(value) for name, value in (params or {}).items()}
        return _Asking(self, method, urlsplit(url).path, asked, data or b"")

    async def answer(
        self, method: str, path: str, asked: Mapping[str, str], body: bytes
    ) -> tuple[int, bytes]:
        """Return the exchange's answer; raises what aiohttp raises where there is none."""
        kind, _ = KINDS[method, path]
        try:
            return await self._network.call(
                self._process, EXCHANGE, kind, lambda: self._serve(method, path, asked, body), within=TIMEOUT
            )
        except Cut as error:
            raise aiohttp.ClientConnectionError(str(error)) from error

    def _serve(self, method: str, path: str, asked: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        kind, endpoint = KINDS[method, path]
        session = self._session
        if kind == "submit":
            return self._submit(session, body)
        status, answer = answered(endpoint, session, asked, body, ())
        if kind == "cancel":
            self._process.world.tell("exchange", f"{kind} {answer.decode()}")
        return status, answer

    def _submit(self, session: Session, body: bytes) -> tuple[int, bytes]:
        client_id = msgspec.json.decode(body, type=Submission).order.client_id
        if client_id not in self._faults:  # a scenario's own are an order's, however often it is sent
            self._faults[client_id] = session.faults.meet("submit")
        known = len(session.engine.account.entries)
        status, answer = answered(TRADING["submit"][2], session, {}, body, self._faults[client_id])
        self._process.world.tell("exchange", f"submit {answer.decode()}")
        if len(session.engine.account.entries) > known:
            self._accepted(client_id)
        return status, answer


class _Asking:
    """A request, and its answer once it is there."""

    def __init__(
        self, session: ClientSession, method: str, path: str, asked: Mapping[str, str], body: bytes
    ) -> None:
        self._session = session
        self._what = (method, path, asked, body)
        self.status = 0
        self._answer = b""

    async def read(self) -> bytes:
        """Return the answer's body."""
        return self._answer

    async def __aenter__(self) -> Self:
        self.status, self._answer = await self._session.answer(*self._what)
        return self

    async def __aexit__(self, *_: object) -> None:
        return None
