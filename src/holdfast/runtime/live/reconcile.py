"""Comparing the exchange's orders with the store: finds ours that the store does not know."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from holdfast.runtime.live.seat import Seat
from holdfast.store import Store
from holdfast.trading.candle import MINUTE
from holdfast.trading.events import from_document
from holdfast.trading.ids import client_prefix, namespace_prefix
from holdfast.trading.order import OrderState

if TYPE_CHECKING:
    from holdfast.broker.protocol import Broker

__all__ = ("unknown_orders",)

LOOK_BACK: Final = 60 * MINUTE
TAIL: Final = 1_000


async def unknown_orders(
    store: Store, broker: "Broker", seats: Sequence[Seat]
) -> dict[Seat, list[OrderState]]:
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
            known |= _client_ids(event.value)
    return known


def _client_ids(document: object) -> set[str]:
    """Return the client ids of the orders that a stored event speaks of."""
    event = from_document(document, 0)
    named = {getattr(event, "client_id", "")}
    return (named | {name for name in getattr(event, "orders", ())}) - {""}
