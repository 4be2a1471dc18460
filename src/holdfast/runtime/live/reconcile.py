"""Comparing the exchange's orders with the store: finds ours that the store does not know.

There are none unless the store has lost commits: an older copy was put back, or a failover forgot some.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from holdfast.persist.schemas import SIGNAL
from holdfast.runtime.live.seat import Seat
from holdfast.store import Store
from holdfast.trading.candle import MINUTE
from holdfast.trading.ids import client_prefix, namespace_prefix
from holdfast.trading.order import OrderState
from holdfast.trading.signal import SignalRow

if TYPE_CHECKING:
    from holdfast.broker.protocol import Broker

__all__ = ("Unknowns", "unknown_orders")

LOOK_BACK: Final = 60 * MINUTE
FOR_EVER: Final = 30 * 1_440
"""Minutes that are looked back where a position may live for ever."""
TAIL: Final = 1_000


class Unknowns(Struct, frozen=True):
    """Orders under our ids that the store does not know: by the seat that they belong to, and of no seat."""

    of_seats: dict[Seat, list[OrderState]]
    strays: list[OrderState]


async def unknown_orders(store: Store, broker: "Broker", seats: Sequence[Seat]) -> Unknowns:
    """Return the orders since the seats' cursors that carry the namespace's ids and are not in the store.

    For a seat that has never decided anything, since as long ago as a position of it may live: its state may have
    been deleted.
    """
    usual = min((seat.held.run.cursor for seat in seats), default=0) - LOOK_BACK
    since = min([usual, *map(_since, seats)])
    found = {order.client_id: order for order in [*await broker.fills(since), *await broker.open_orders()]}
    ours = namespace_prefix(store.namespace)
    unknown = {name: order for name, order in sorted(found.items()) if name.startswith(ours)}
    for seat in seats:
        unknown = _without(unknown, _ids_of_row(seat)) if unknown else {}
    if unknown:
        # After the exchange was asked: what another process sends meanwhile, it has committed before.
        unknown = _without(unknown, await _ids_in_rows(store) | await _ids_in_streams(store))
    return _by_seat(store, seats, unknown, usual)


def _since(seat: Seat) -> int:
    run, rules = seat.held.run, seat.spec.rules
    if run.history:
        return run.cursor - LOOK_BACK
    return run.cursor - (rules.scheduled_minutes + (rules.max_time_limit or FOR_EVER)) * MINUTE


def _by_seat(store: Store, seats: Sequence[Seat], unknown: dict[str, OrderState], usual: int) -> Unknowns:
    of_seats: dict[Seat, list[OrderState]] = {}
    for seat in seats:
        prefix, since = client_prefix(store.namespace, seat.origin.strategy), _since(seat)
        mine = [o for name, o in unknown.items() if name.startswith(prefix) and o.symbol == seat.symbol]
        unknown = _without(unknown, {order.client_id for order in mine})
        if lost := [order for order in mine if _is_as_new(order, since)]:
            of_seats[seat] = lost
    return Unknowns(of_seats, [order for order in unknown.values() if _is_as_new(order, usual)])


def _is_as_new(order: OrderState, since: int) -> bool:
    return not order.fills or order.fills[-1].at >= since


def _without(orders: dict[str, OrderState], known: Iterable[str]) -> dict[str, OrderState]:
    gone = set(known)
    return {name: order for name, order in orders.items() if name not in gone}


def _ids_of_row(seat: Seat) -> set[str]:
    return set() if seat.row is None else _orders_of(seat.row)


def _orders_of(row: SignalRow) -> set[str]:
    of_intent = {row.intent.client_id} if row.intent is not None else set()
    return {order.client_id for order in (row.entry, *row.exits)} | of_intent


async def _ids_in_rows(store: Store) -> set[str]:
    """Return the client ids of every live signal of the namespace."""
    known: set[str] = set()
    for name in (await store.names()).entities:
        if name.startswith(("signal.", "schedule.")):
            async for record in store.scan(name):
                known |= set() if record.value is None else _orders_of(SIGNAL.from_document(record.value))
    return known


async def _ids_in_streams(store: Store) -> set[str]:
    """Return the client ids that the newer events of every strategy and symbol of the namespace speak of."""
    known: set[str] = set()
    for stream in (await store.names()).streams:
        if stream.startswith(("history.", "system.")):
            last = await store.last_number(stream)
            async for event in store.read(stream, after=max(last - TAIL, 0)):
                known |= _ids_in(event.value)
    return known


def _ids_in(document: Any) -> set[str]:
    if not isinstance(document, dict):  # an event that was lost, and repaired away
        return set()
    named = {document.get("client_id", ""), *document.get("orders", ())}
    return named - {""}
