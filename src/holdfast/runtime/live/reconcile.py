"""Comparing the exchange's orders with the store: finds ours that the store does not know.

There are none unless the store has lost commits: an older copy was put back, or a failover forgot some.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from holdfast.runtime.live.seat import Seat
from holdfast.store import Store
from holdfast.trading.candle import MINUTE
from holdfast.trading.ids import client_prefix, namespace_prefix
from holdfast.trading.order import OrderState

if TYPE_CHECKING:
    from holdfast.broker.protocol import Broker

__all__ = ("Unknowns", "unknown_orders")

LOOK_BACK: Final = 60 * MINUTE
TAIL: Final = 1_000


class Unknowns(Struct, frozen=True):
    """Orders under our ids that the store does not know: by the seat that they belong to, and of no seat."""

    of_seats: dict[Seat, list[OrderState]]
    strays: list[OrderState]


async def unknown_orders(store: Store, broker: "Broker", seats: Sequence[Seat]) -> Unknowns:
    """Return the orders since the seats' cursors that carry the namespace's ids and are not in the store."""
    since = min((seat.held.run.cursor for seat in seats), default=0) - LOOK_BACK
    found = {order.client_id: order for order in [*await broker.fills(since), *await broker.open_orders()]}
    ours = namespace_prefix(store.namespace)
    strays = {name: order for name, order in sorted(found.items()) if name.startswith(ours)}
    for seat in seats:
        strays = _without(strays, _ids_of_row(seat)) if strays else {}
    if strays:
        strays = _without(strays, await _ids_in_streams(store))
    return _by_seat(store, seats, strays)


def _by_seat(store: Store, seats: Sequence[Seat], strays: dict[str, OrderState]) -> Unknowns:
    of_seats: dict[Seat, list[OrderState]] = {}
    for seat in seats:
        prefix = client_prefix(store.namespace, seat.origin.strategy)
        lost = [o for name, o in strays.items() if name.startswith(prefix) and o.symbol == seat.symbol]
        if lost:
            of_seats[seat] = lost
            strays = _without(strays, {order.client_id for order in lost})
    return Unknowns(of_seats, list(strays.values()))


def _without(orders: dict[str, OrderState], known: Iterable[str]) -> dict[str, OrderState]:
    gone = set(known)
    return {name: order for name, order in orders.items() if name not in gone}


def _ids_of_row(seat: Seat) -> set[str]:
    return set() if seat.row is None else {order.client_id for order in (seat.row.entry, *seat.row.exits)}


async def _ids_in_streams(store: Store) -> set[str]:
    """Return the client ids that the newer events of every strategy and symbol of the namespace speak of."""
    known: set[str] = set()
    for stream in (await store.names()).streams:
        if stream.startswith(("history.", "system.")):
            last = await store.last_number(stream)
            async for event in store.read(stream, after=max(last - TAIL, 0)):
                known |= _ids_in(event.value)
    return known


def _ids_in(document: dict[str, Any]) -> set[str]:
    named = {document.get("client_id", ""), *document.get("orders", ())}
    return named - {""}
