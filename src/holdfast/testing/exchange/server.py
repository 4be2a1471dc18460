"""The simulated exchange over HTTP, on this machine only.

What a trader uses (each request is written down, and may meet a fault):

    GET  /candles?symbol&interval&since&limit   /market?symbol   /now   /time   /account
    POST /order {order, expires_at}     GET /order?client_id&symbol     DELETE /order?client_id&symbol
    GET  /open-orders   /fills?since   /positions

What a test uses:

    GET  /witness   /orders   /requests?kind&after      POST /faults {faults, seed}     POST /reset {options}
    PUT  /sessions/NAME {options}     DELETE /sessions/NAME

Every address above the last line also exists under `/s/NAME` for the session of that name: a market, an account and
a witness of its own over the same candles, made in no time. An answer is JSON. A refusal is a status: 400 (no such
thing), 409 (an order refused: {reason, message}), 410 (the market has ended).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web

from holdfast.broker.simulated import Refusal, Submission
from holdfast.errors import InvalidOption
from holdfast.market.candles import Series
from holdfast.market.protocol import Market
from holdfast.system import Clock, SystemClock
from holdfast.testing.exchange.endpoints import CONTROL, TRADING, Endpoint, answered
from holdfast.testing.exchange.faults import Fault
from holdfast.testing.exchange.options import Options, Seen
from holdfast.testing.exchange.session import KEPT, Session

__all__ = ("Server", "serve")

MAIN = ""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Answer = tuple[int, bytes]


class Server:
    """Sessions by name (the main one is ""), and the handlers that lead to them."""

    def __init__(
        self,
        series: Mapping[str, Series],
        options: Options | None = None,
        *,
        markets: Mapping[str, Market] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._series = series
        self._markets = dict(markets or {})
        self._clock = clock or SystemClock()
        self.sessions: dict[str, Session] = {}
        self.start(MAIN, options or Options())

    def start(self, name: str, options: Options) -> Session:
        """Start a market of that name, in the place of one that may be there."""
        session = Session(self._series, options, clock=self._clock, markets=self._markets)
        self.sessions[name] = session
        return session

    def app(self) -> web.Application:
        """Return the web application."""
        app = web.Application()
        for kind, (method, path, endpoint) in TRADING.items():
            _route(app, method, path, self._trading(kind, endpoint))
        for method, path, endpoint in CONTROL:
            _route(app, method, path, self._control(endpoint))
        _route(app, "POST", "/reset", self._reset)
        app.router.add_put("/sessions/{session}", self._put)
        app.router.add_delete("/sessions/{session}", self._delete)
        return app

    def _trading(self, kind: str, endpoint: Endpoint) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            session = self._session(request)
            body = await request.read()
            seen = session.see(kind, request.method, request.path_qs, _client_id(request, body), body)
            faults = session.faults.meet(kind)
            seen.faults = tuple(fault.do for fault in faults)
            return await _harmed(
                request, seen, faults, lambda: answered(endpoint, session, request.query, body, faults)
            )

        return handle

    def _control(self, endpoint: Endpoint) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            session, body = self._session(request), await request.read()
            return _response(answered(endpoint, session, request.query, body, ()))

        return handle

    def _session(self, request: web.Request) -> Session:
        name = request.match_info.get("session", MAIN)
        if name not in self.sessions:
            raise web.HTTPNotFound(text=f"there is no session {name!r}: PUT /sessions/{name} makes one")
        return self.sessions[name]

    async def _reset(self, request: web.Request) -> web.StreamResponse:
        """Start the session's market anew, with its options but for those given."""
        before = self._session(request).engine.options
        return self._started(request, before, await request.read())

    async def _put(self, request: web.Request) -> web.StreamResponse:
        return self._started(request, self.sessions[MAIN].engine.options, await request.read())

    def _started(self, request: web.Request, options: Options, changes: bytes) -> web.Response:
        name = request.match_info.get("session", MAIN)
        try:
            given = msgspec.json.decode(changes or b"{}", type=dict[str, Any])
            options = msgspec.convert({**msgspec.to_builtins(options), **given}, Options)
            self.start(name, options)
        except (ValueError, RecursionError, OverflowError, InvalidOption) as error:
            return _response((400, str(error).encode()))
        return _response((200, msgspec.json.encode(options)))

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        self._session(request)
        del self.sessions[request.match_info["session"]]
        return _response((200, b"null"))


@asynccontextmanager
async def serve(server: Server, *, port: int = 0) -> AsyncIterator[str]:
    """Serve on 127.0.0.1 in the running event loop; yields the URL. Port 0 takes a free one."""
    runner = web.AppRunner(server.app(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _route(app: web.Application, method: str, path: str, handler: Handler) -> None:
    for prefix in ("", "/s/{session}"):
        app.router.add_route(method, prefix + path, handler)


def _client_id(request: web.Request, body: bytes) -> str:
    if not body:
        return request.query.get("client_id", "")
    try:
        return msgspec.json.decode(body, type=Submission).order.client_id
    except (ValueError, RecursionError):
        return ""


async def _harmed(
    request: web.Request, seen: Seen, faults: tuple[Fault, ...], run: Callable[[], Answer]
) -> web.StreamResponse:
    """Execute a request and answer it, with everything done to both that the faults say."""
    for fault in faults:
        if fault.do == "delay":
            await asyncio.sleep(fault.ms / 1000)
        elif fault.do == "drop_before":
            return await _cut(request)
        elif fault.do == "error_before":
            return _answered(seen, (fault.status, b"a fault before the market"))
        elif fault.do == "reject":
            refusal = Refusal(reason=fault.reason, message="refused by the fault plan")
            return _answered(seen, (409, msgspec.json.encode(refusal)))
    answer = run()
    seen.executed = True
    for fault in faults:
        if fault.do == "delay_answer":
            await asyncio.sleep(fault.ms / 1000)
        elif fault.do == "drop_after":
            return await _cut(request)
        elif fault.do == "error_after":
            answer = fault.status, b"a fault after the market"
        elif fault.do == "nonsense":
            answer = 200, b'{"this is": not an answer'
    return _answered(seen, answer)


def _answered(seen: Seen, answer: Answer) -> web.Response:
    seen.status, seen.answer = answer[0], answer[1][:KEPT].decode()
    return _response(answer)


def _response(answer: Answer) -> web.Response:
    status, body = answer
    kind = "application/json" if status in (200, 409) else "text/plain"
    return web.Response(status=status, body=body, content_type=kind)


async def _cut(request: web.Request) -> web.StreamResponse:
    # The answer has begun when the connection ends: a client that hears nothing at all on a kept connection may
    # repeat a GET by itself, and the fault would have been met by a request that nobody knows of.
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b" ")
    if request.transport is not None:
        request.transport.close()
    return response
