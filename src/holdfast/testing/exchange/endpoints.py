"""What each address of the simulated exchange does: plain functions of a session and a request's words."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from holdfast.broker.simulated import AccountInfo, Refusal, Submission
from holdfast.errors import InvalidOption, MarketEnded, Rejected
from holdfast.market.simulated import MarketInfo
from holdfast.testing.exchange.faults import Fault, FaultPlan, Faults
from holdfast.testing.exchange.session import Session

__all__ = ("CONTROL", "TRADING", "Endpoint", "answered")

Asked = Mapping[str, str]
Endpoint = Callable[[Session, Asked, bytes, tuple[Fault, ...]], Any]

CLIENT_IDS: Final = {"open": "open_only", "always": "window", "never": "none"}
LOOKUP_WINDOW: Final = 90 * 86_400.0


def _candles(session: Session, asked: Asked, _body: bytes, _faults: tuple[Fault, ...]) -> Any:
    return session.engine.candles(
        asked["symbol"],
        asked.get("interval", "1m"),
        int(asked.get("since", 0)),
        int(asked.get("limit", 1_000)),
    )


def _market(session: Session, asked: Asked, _body: bytes, _faults: tuple[Fault, ...]) -> Any:
    return session.engine.market(asked["symbol"])


def _now(session: Session, _asked: Asked, _body: bytes, _faults: tuple[Fault, ...]) -> Any:
    return MarketInfo(now=session.engine.now(), waits=session.engine.waits)


def _time(session: Session, _asked: Asked, _body: bytes, _faults: tuple[Fault, ...]) -> Any:
    return session.engine.wall()


def _account(session: Session, _asked: Asked, _body: bytes, _faults: tuple[Fault, ...]) -> Any:
    options = session.engine.options
    return AccountInfo(
        account=options.account,
        client_ids=CLIENT_IDS[options.dedupe],  # type: ignore[arg-type]  # one of the protocol's three words
        lookup_window=LOOKUP_WINDOW,
        request_expiry=options.request_expiry,
    )


def _submit(session: Session, _asked: Asked, body: bytes, faults: tuple[Fault, ...]) -> Any:
    asked = msgspec.json.decode(body, type=Submission)
    part = min((fault.part for fault in faults if fault.do == "partial"), default=1.0)
    return session.engine.submit(asked.order, expires_at=asked.expires_at, part=part)


def _lookup(session: Session, asked: Asked, _body: bytes, _faults: tuple[Fault, ...]) -> Any:
    return session.engine.lookup(asked["client_id"], asked["symbol"])


def _cancel(session: Session, asked: Asked, _body: bytes, _faults: tuple[Fault, ...]) -> Any:
    return session.engine.cancel(asked["client_id"], asked["symbol"])


def _open_orders(session: Session, _asked: Asked, _body: bytes, _faults: tuple[Fault, ...]) -> Any:
    return session.engine.open_orders()


def _fills(session: Session, asked: Asked, _body: bytes, _faults: tuple[Fault, ...]) -> Any:
    return session.engine.fills(int(asked.get("since", 0)))


def _positions(session: Session, _asked: Asked, _body: bytes, _faults: tuple[Fault, ...]) -> Any:
    return session.engine.positions()


def _witness(session: Session, _asked: Asked, _body: bytes, _faults: tuple[Fault, ...]) -> Any:
    return session.witness()


def _orders(session: Session, _asked: Asked, _body: bytes, _faults: tuple[Fault, ...]) -> Any:
    session.engine.now()
    return session.engine.orders()


def _requests(session: Session, asked: Asked, _body: bytes, _faults: tuple[Fault, ...]) -> Any:
    kind = asked.get("kind", "")
    return [seen for seen in session.seen[int(asked.get("after", 0)) :] if kind in ("", seen.kind)]


def _plan(session: Session, _asked: Asked, body: bytes, _faults: tuple[Fault, ...]) -> Any:
    session.faults = Faults(msgspec.json.decode(body, type=FaultPlan))
    return session.faults.plan


TRADING: Final[dict[str, tuple[str, str, Endpoint]]] = {
    "candles": ("GET", "/candles", _candles),
    "market": ("GET", "/market", _market),
    "now": ("GET", "/now", _now),
    "time": ("GET", "/time", _time),
    "account": ("GET", "/account", _account),
    "submit": ("POST", "/order", _submit),
    "lookup": ("GET", "/order", _lookup),
    "cancel": ("DELETE", "/order", _cancel),
    "open_orders": ("GET", "/open-orders", _open_orders),
    "fills": ("GET", "/fills", _fills),
    "positions": ("GET", "/positions", _positions),
}
"""By kind of request: what a trader uses. Each is written down, and may meet a fault."""

CONTROL: Final[tuple[tuple[str, str, Endpoint], ...]] = (
    ("GET", "/witness", _witness),
    ("GET", "/orders", _orders),
    ("GET", "/requests", _requests),
    ("POST", "/faults", _plan),
)
"""What a test uses: never written down, never harmed."""


def answered(
    endpoint: Endpoint, session: Session, asked: Asked, body: bytes, faults: tuple[Fault, ...]
) -> tuple[int, bytes]:
    """Return the status and the body that a request is answered with."""
    try:
        return 200, msgspec.json.encode(endpoint(session, asked, body, faults))
    except Rejected as refusal:
        return 409, msgspec.json.encode(Refusal(reason=refusal.reason, message=str(refusal)))
    except MarketEnded as ended:
        return 410, str(ended).encode()
    except (InvalidOption, KeyError, ValueError, RecursionError, OverflowError) as error:
        return 400, f"{type(error).__name__}: {error}".encode()
