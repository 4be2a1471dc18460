"""The start of a run: whose namespace it is, what is open, what the exchange did meanwhile. Nothing is decided here.

    bind the namespace -> find open signals nobody would watch -> load the seats -> settle their intents
    -> compare the exchange's orders with the store -> Started
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, Literal

from holdfast import points
from holdfast.errors import Orphaned, WrongNamespace
from holdfast.persist.schemas import SIGNAL
from holdfast.runtime.live.seat import Seat
from holdfast.store import ABSENT, Key, Put, Store
from holdfast.trading.candle import MINUTE
from holdfast.trading.events import from_document
from holdfast.trading.ids import client_prefix, namespace_prefix
from holdfast.trading.order import OrderState
from holdfast.trading.signal import SignalRow

if TYPE_CHECKING:
    from holdfast.broker.protocol import Broker

__all__ = ("OrphanPolicy", "bind", "orphans", "unknown_orders")

OrphanPolicy = Literal["refuse", "adopt", "flatten", "ignore", "later"]

BINDING: Final = Key("holdfast.desk", "binding")
LOOK_BACK: Final = 60 * MINUTE
TAIL: Final = 1_000


async def bind(store: Store, *, exchange: str, broker: str, account: str) -> None:
    """Tie the namespace to an exchange and account at first use; raises WrongNamespace for any other later."""
    wanted = {"exchange": exchange, "broker": broker, "account": account}
    [record] = await store.get(BINDING)
    if record is None:
        await store.commit([Put(BINDING, wanted, ABSENT)])
        points.reached("start.bound")
    elif record.value != wanted:
        raise WrongNamespace(
            f"namespace {store.namespace!r} of {store.url} belongs to {record.value}, and this run is for {wanted}: "
            "give this run a namespace of its own",
            found=record.value,
            wanted=wanted,
        )


async def orphans(store: Store, seats: Iterable[Seat]) -> list[SignalRow]:
    """Return the live signals in the store whose strategy and symbol no seat of this run has."""
    taken = {(seat.origin.strategy, seat.symbol) for seat in seats}
    rows = []
    for name in (await store.names()).entities:
        if name.startswith(("signal.", "schedule.")):
            async for record in store.scan(name):
                if record.value is not None:
                    rows.append(SIGNAL.from_document(record.value))
    return [row for row in rows if (row.strategy, row.symbol) not in taken]


def refuse(rows: Sequence[SignalRow]) -> Orphaned:
    """Return the error that lists open signals nobody would watch, and what can be done about them."""
    held = ", ".join(f"{row.strategy} on {row.symbol} ({row.status}, {row.side} {row.held:g})" for row in rows)
    return Orphaned(
        f"open signals of strategies or symbols that are not part of this run: {held}. Choose --adopt (watch them to "
        "their end), --flatten (close them at the market) or --ignore (leave them unwatched)",
        positions=tuple(rows),
    )


async def unknown_orders(store: Store, broker: "Broker", seats: Sequence[Seat]) -> dict[Seat, list[OrderState]]:
    """Return the exchange's orders under our ids that the store does not know, by seat.

    There are none unless the store has lost commits (an older copy was put back). Raises Orphaned for orders of
    this namespace that belong to no seat and to no signal in the store.
    """
    if not seats:
        return {}
    since = min(seat.held.run.cursor for seat in seats) - LOOK_BACK
    ours = namespace_prefix(store.namespace)
    found = {o.client_id: o for o in [*await broker.fills(since), *await broker.open_orders()]}
    foreign = [order for name, order in sorted(found.items()) if name.startswith(ours)]
    unknown: dict[Seat, list[OrderState]] = {}
    for seat in seats:
        prefix = client_prefix(store.namespace, seat.origin.strategy)
        mine = [o for o in foreign if o.client_id.startswith(prefix) and o.symbol == seat.symbol]
        known = await _known_ids(store, seat) if mine else set()
        if lost := [order for order in mine if order.client_id not in known]:
            unknown[seat] = lost
    return unknown


async def _known_ids(store: Store, seat: Seat) -> set[str]:
    known = set() if seat.row is None else {o.client_id for o in (seat.row.entry, *seat.row.exits)}
    run = seat.held.run
    for stream, count in zip(seat.streams(), (run.history, run.system), strict=True):
        async for event in store.read(stream, after=max(count - TAIL, 0)):
            known |= client_ids(event.value)
    return known


def client_ids(document: object) -> set[str]:
    """Return the client ids of the orders that a stored event speaks of."""
    event = from_document(document, 0)
    named = {getattr(event, "client_id", "")}
    return (named | {name for name in getattr(event, "orders", ())}) - {""}
