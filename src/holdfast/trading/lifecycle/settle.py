"""The exchange's word on an order: it settles intents, opens positions and ends signals.

Words may be told twice, late and out of order. What is known of an order only grows: its status goes from new
to open to final and never back, and a fill that was seen stays.
"""

from typing import Final

from msgspec.structs import replace

from holdfast.trading import events
from holdfast.trading.candle import MINUTE
from holdfast.trading.inputs import Outcome
from holdfast.trading.lifecycle.effects import Step, about, act, exit_again
from holdfast.trading.order import Fill, OrderState, average_price
from holdfast.trading.pnl import pnl
from holdfast.trading.rules import Rules
from holdfast.trading.signal import SignalRow

__all__ = ("settled",)

FLAT: Final = 1e-9
"""Below this share of the entry a remainder is the exchange's rounding, not a position."""


def settled(row: SignalRow, given: Outcome, rules: Rules) -> Step:
    """Return the row with the exchange's word taken in; what teaches nothing changes nothing."""
    learnt = _learn(row, given.order)
    if learnt == row:
        return Step(row)
    if given.order.client_id == row.entry.client_id:
        return _entry_settled(learnt, given.at)
    counts = given.order.client_id == row.exits[-1].client_id and not row.exits[-1].final
    return _exit_settled(learnt, given.at, rules) if counts else Step(learnt)


def _learn(row: SignalRow, told: OrderState) -> SignalRow:
    known = {order.client_id: order for order in (row.entry, *row.exits)}
    if told.client_id not in known:
        return row
    known[told.client_id] = newer = _joined(known[told.client_id], told)
    entry, *exits = known.values()
    return replace(row, entry=entry, exits=tuple(exits), intent=None if _answers(row, newer) else row.intent)


def _joined(known: OrderState, told: OrderState) -> OrderState:
    fills = _all_fills(known.fills, told.fills)
    # "filled" without a fill is half an answer (the fills are not listed yet): it is asked for again.
    if known.final or told.status == "new" or (told.status == "filled" and not fills):
        return replace(known, fills=fills)
    return replace(known, status=told.status, reason=told.reason, fills=fills)


def _all_fills(known: tuple[Fill, ...], told: tuple[Fill, ...]) -> tuple[Fill, ...]:
    # An exchange without fill ids tells one fill that grows.
    fills = {fill.id: fill for fill in known}
    for fill in told:
        if fill.quantity > (fills[fill.id].quantity if fill.id in fills else 0):
            fills[fill.id] = fill
    return tuple(sorted(fills.values(), key=lambda fill: fill.at))


def _answers(row: SignalRow, order: OrderState) -> bool:
    if row.intent is None or row.intent.client_id != order.client_id:
        return False
    return order.final or (row.intent.kind == "submit" and order.type == "limit" and order.status == "open")


def _entry_settled(row: SignalRow, at: int) -> Step:
    entry = row.entry
    if row.status == "closing":  # the rest of the entry is gone: now the exit
        return exit_again(row, at) if row.intent is None and not row.exits else Step(row)
    if row.status == "open":
        return act(row, at)
    if entry.fills:
        return _opened(row, at)
    if not entry.final:
        return act(row, at)
    if row.status == "scheduled" and entry.status == "cancelled":
        reason = row.cancel_reason or entry.reason or "cancelled at the exchange"
        return Step(None, (about(row, events.Cancelled, at, reason=reason),))
    reason = entry.reason or f"the exchange says {entry.status}, with nothing filled"
    return Step(None, (about(row, events.Rejected, at, reason=reason),))


def _opened(row: SignalRow, at: int) -> Step:
    fills = row.entry.fills
    first = fills[0].at
    event = about(
        row,
        events.Opened,
        at,
        client_id=row.entry.client_id,
        side=row.side,
        price=average_price(fills),
        quantity=row.entry.filled,
        fills=fills,
        opened_at=first,
    )
    new = replace(row, status="open", opened_at=first, watch_from=_watch_from(row, first))
    next_step = act(new, at)
    return Step(next_step.row, (event, *next_step.events))


def _watch_from(row: SignalRow, filled_at: int) -> int:
    # A resting order fills somewhere inside a candle, a market order between two of them (or inside one,
    # where the market does not wait).
    if row.entry.type == "limit":
        return (filled_at // MINUTE + 1) * MINUTE
    return -(-filled_at // MINUTE) * MINUTE


def _exit_settled(row: SignalRow, at: int, rules: Rules) -> Step:
    last = row.exits[-1]
    if not last.final:
        return Step(row)
    if row.held <= FLAT * row.entry.filled:
        return _closed(row, at, rules)
    return Step(replace(row, failures=0 if last.fills else row.failures + 1))  # the next tick exits again


def _closed(row: SignalRow, at: int, rules: Rules) -> Step:
    fills = tuple(fill for order in row.exits for fill in order.fills)
    entry, price = average_price(row.entry.fills), average_price(fills)
    percent = pnl(row.side, entry, price, rules)
    event = about(
        row,
        events.Closed,
        at,
        reason=row.close_reason,
        side=row.side,
        entry_price=entry,
        price=price,
        quantity=row.entry.filled,
        pnl_percent=percent,
        pnl_cost=percent / 100 * entry * row.entry.filled,
        opened_at=row.opened_at,
        fills=fills,
        entry_fills=row.entry.fills,
        orders=tuple(order.client_id for order in row.exits),
        late=row.late,
    )
    return Step(None, (event,), halt=_excess(row))


def _excess(row: SignalRow) -> str:
    if row.held >= -FLAT * row.entry.filled:
        return ""
    return f"the exits of {row.symbol} were filled for {-row.held} more than was held: look at the position"
