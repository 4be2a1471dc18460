"""What a signal does next: one pure function, `step`, without I/O, clock or randomness.

Backtest and live both live on it: live is a backtest whose candles have not happened yet. A step returns the
new row (None: the signal is over), the events to append, and in `row.intent` the effect to execute once the
step is committed. Applying an `Outcome` again changes nothing.
"""

from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from holdfast.trading.candle import MINUTE
from holdfast.trading.events import (
    Cancelled,
    Closed,
    Closing,
    Decided,
    Happening,
    Opened,
    Opening,
    Rejected,
    Scheduled,
)
from holdfast.trading.fills import exit_of, marketable
from holdfast.trading.ids import operation_id, signal_id
from holdfast.trading.inputs import Decide, Input, Outcome, Request, Tick
from holdfast.trading.order import Fill, Order, OrderSide, OrderState, average_price
from holdfast.trading.pnl import pnl
from holdfast.trading.rules import Rules
from holdfast.trading.signal import CloseReason, Intent, SignalRow

__all__ = ("MAX_EXIT_FAILURES", "Step", "step")

MAX_EXIT_FAILURES: Final = 5
"""Exits in a row that the exchange may refuse (one a minute) before the symbol is halted."""

FLAT: Final = 1e-9
"""Below this share of the entry a remainder is rounding, not a position."""


class Step(Struct, frozen=True):
    """The result of a step; `halt` names what a person must look at, "" for nothing."""

    row: SignalRow | None
    events: tuple[Happening, ...] = ()
    halt: str = ""


def step(row: SignalRow | None, given: Input, rules: Rules) -> Step:
    """Return what becomes of a signal when `given` happens: the same answer for the same arguments, always."""
    if isinstance(given, Decide):
        return _decide(row, given, rules)
    if row is None:
        return Step(None)
    if isinstance(given, Tick):
        return _tick(row, given, rules)
    if isinstance(given, Outcome):
        return _outcome(row, given, rules)
    return _request(row, given)


# ---------------------------------------------------------------- idle -> scheduled | opening


def _decide(row: SignalRow | None, given: Decide, rules: Rules) -> Step:
    if row is not None:
        raise ValueError("a decision for a signal that is still alive")
    new = _row(given, rules)
    decided = _decided(new.id, given)
    if given.refusal:
        return Step(None, (decided, _about(new, Rejected, given.at, reason=given.refusal)))
    kind = Scheduled if new.status == "scheduled" else Opening
    price = new.entry.price or given.price
    began = _about(
        new, kind, given.at, client_id=new.entry.client_id, price=price, quantity=new.quantity
    )
    return Step(new, (decided, began))


def _row(given: Decide, rules: Rules) -> SignalRow:
    origin, signal = given.origin, given.signal
    names = (origin.namespace, origin.strategy, origin.symbol, given.at)
    order = _entry_order(given, operation_id(*names, 1), rules)
    return SignalRow(
        id=signal_id(*names),
        namespace=origin.namespace,
        strategy=origin.strategy,
        symbol=origin.symbol,
        exchange=origin.exchange,
        risk=origin.risk,
        side=signal.side,
        status="scheduled" if order.type == "limit" else "opening",
        take_profit=signal.take_profit,
        stop_loss=signal.stop_loss,
        entry_price=signal.entry_price,
        time_limit=signal.time_limit,
        note=signal.note,
        quantity=given.quantity,
        decided_at=given.at,
        entry=_unanswered(order),
        intent=Intent(kind="submit", client_id=order.client_id, at=given.at, order=order),
    )


def _entry_order(given: Decide, client_id: str, rules: Rules) -> Order:
    signal = given.signal
    side: OrderSide = "buy" if signal.side == "long" else "sell"
    resting = signal.entry_price is not None and not marketable(signal.side, signal.entry_price, given.price)
    at_level = signal.entry_price if rules.fill_model == "vwap" and not resting else None
    return Order(
        client_id=client_id,
        symbol=given.origin.symbol,
        side=side,
        type="limit" if resting else "market",
        quantity=given.quantity,
        price=signal.entry_price if resting else None,
        trigger="entry" if at_level is not None else None,
        trigger_price=at_level,
        stop_loss=signal.stop_loss if resting else None,
    )


# ---------------------------------------------------------------- a candle closed


def _tick(row: SignalRow, given: Tick, rules: Rules) -> Step:
    if row.intent is not None:  # the last effect has no outcome yet: nothing new before it is settled
        return Step(row)
    if row.status == "scheduled":
        return _tick_scheduled(row, given, rules)
    if row.status == "closing":  # the last exit left something behind; a minute has passed since
        return _exit(row, given.at)
    if row.watch_from is not None and given.candle.at < row.watch_from:
        return Step(row)
    found = exit_of(rules.fill_model, row, given.candle, given.price, given.at)
    if found is None:
        return Step(row)
    return _close(row, given.at, found.reason, found.level, late=given.late)


def _tick_scheduled(row: SignalRow, given: Tick, rules: Rules) -> Step:
    long, candle = row.side == "long", given.candle
    breached = candle.low <= row.stop_loss if long else candle.high >= row.stop_loss
    if breached:
        return _cancel(row, given.at, "stop_loss")
    if given.at - row.decided_at >= rules.scheduled_minutes * MINUTE:
        return _cancel(row, given.at, "expired")
    return Step(row)


# ---------------------------------------------------------------- somebody asked


def _request(row: SignalRow, given: Request) -> Step:
    if row.intent is not None or row.status in ("opening", "closing"):
        return Step(row)
    if row.status == "scheduled":
        return _cancel(row, given.at, given.reason)
    if given.kind == "cancel":
        return Step(row)
    return _close(row, given.at, given.reason, None)


# ---------------------------------------------------------------- effects to come


def _cancel(row: SignalRow, at: int, reason: str) -> Step:
    intent = Intent(kind="cancel", client_id=row.entry.client_id, at=at)
    return Step(replace(row, cancel_reason=reason, intent=intent))


def _close(
    row: SignalRow, at: int, reason: CloseReason, level: float | None, *, late: bool = False
) -> Step:
    closing = replace(
        row, status="closing", close_reason=reason, close_level=None if late else level, late=late
    )
    event = _about(row, Closing, at, reason=reason, quantity=row.held, level=level, late=late)
    if not row.entry.final:  # a part filled: no exit before the rest of the entry can no longer fill
        intent = Intent(kind="cancel", client_id=row.entry.client_id, at=at)
        return Step(replace(closing, intent=intent), (event,))
    return Step(_exit(closing, at).row, (event,))


def _exit(row: SignalRow, at: int) -> Step:
    if row.failures >= MAX_EXIT_FAILURES:
        return Step(row, halt=f"the exchange refused {row.failures} exits: close {row.held} {row.symbol} by hand")
    order = _exit_order(row)
    intent = Intent(kind="submit", client_id=order.client_id, at=at, order=order)
    return Step(replace(row, intent=intent, steps=row.steps + 1, exits=(*row.exits, _unanswered(order))))


def _exit_order(row: SignalRow) -> Order:
    trigger = row.close_reason if row.close_reason in ("take_profit", "stop_loss") else None
    if row.close_level is None or row.exits:  # a second try is not filled at the level any more
        trigger = None
    return Order(
        client_id=operation_id(row.namespace, row.strategy, row.symbol, row.decided_at, row.steps + 1),
        symbol=row.symbol,
        side="sell" if row.side == "long" else "buy",
        type="market",
        quantity=row.held,
        reduce_only=True,
        trigger=trigger,
        trigger_price=row.close_level if trigger else None,
    )


def _unanswered(order: Order) -> OrderState:
    return OrderState(
        client_id=order.client_id,
        symbol=order.symbol,
        side=order.side,
        type=order.type,
        quantity=order.quantity,
        status="new",
        price=order.price,
        reduce_only=order.reduce_only,
    )


# ---------------------------------------------------------------- the exchange's word


def _outcome(row: SignalRow, given: Outcome, rules: Rules) -> Step:
    learnt = _learn(row, given.order)
    if learnt == row:  # what teaches nothing changes nothing: an outcome may be told twice
        return Step(row)
    if given.order.client_id == row.entry.client_id:
        return _entry_outcome(learnt, given)
    return _exit_outcome(learnt, given, rules)


def _learn(row: SignalRow, order: OrderState) -> SignalRow:
    """Take an order's newer state, and drop the intent that it answers."""
    if order.client_id not in {known.client_id for known in (row.entry, *row.exits[-1:])}:
        return row
    answered = row.intent is not None and row.intent.client_id == order.client_id
    if answered and row.intent is not None:
        answered = order.final or (row.intent.kind == "submit" and order.type == "limit")
    intent = None if answered else row.intent
    if order.client_id == row.entry.client_id:
        return replace(row, entry=_newer(row.entry, order), intent=intent)
    return replace(row, exits=(*row.exits[:-1], _newer(row.exits[-1], order)), intent=intent)


def _newer(known: OrderState, told: OrderState) -> OrderState:
    # Answers may arrive out of order: a final word is never taken back, fills never become fewer.
    if known.final or len(told.fills) < len(known.fills):
        return known
    return told


def _entry_outcome(row: SignalRow, given: Outcome) -> Step:
    entry = row.entry
    if row.status == "closing":
        return _exit(row, given.at) if entry.final and row.intent is None and not row.exits else Step(row)
    if row.status == "open":
        return Step(row)
    if entry.fills:
        return _opened(row, given.at)
    if not entry.final:
        return Step(row)
    if row.status == "scheduled" and entry.status == "cancelled":
        return Step(None, (_about(row, Cancelled, given.at, reason=row.cancel_reason or "exchange"),))
    reason = entry.reason or f"the exchange says {entry.status}, with nothing filled"
    return Step(None, (_about(row, Rejected, given.at, reason=reason),))


def _opened(row: SignalRow, at: int) -> Step:
    fills = row.entry.fills
    new = replace(
        row,
        status="open",
        opened_at=fills[0].at,
        watch_from=_watch_from(row, fills[0]),
        # A cancel that lost the race against the fill has been answered, unless a part still rests.
        intent=row.intent if not row.entry.final else None,
    )
    event = _about(
        row,
        Opened,
        at,
        client_id=row.entry.client_id,
        side=row.side,
        price=average_price(fills),
        quantity=row.entry.filled,
        fills=fills,
        opened_at=fills[0].at,
    )
    return Step(new, (event,))


def _watch_from(row: SignalRow, fill: Fill) -> int:
    # A resting order fills somewhere inside a candle: its own touches may have come before the fill.
    # A market order fills between two candles (or inside one, where the market does not wait).
    if row.entry.type == "limit":
        return (fill.at // MINUTE + 1) * MINUTE
    return -(-fill.at // MINUTE) * MINUTE


def _exit_outcome(row: SignalRow, given: Outcome, rules: Rules) -> Step:
    last = row.exits[-1]
    if not last.final or row.intent is not None:
        return Step(row)
    if row.held <= FLAT * row.entry.filled:
        return _closed(row, given.at, rules)
    failures = 0 if last.fills else row.failures + 1
    return Step(replace(row, failures=failures))  # the next tick sends the next exit


def _closed(row: SignalRow, at: int, rules: Rules) -> Step:
    fills = tuple(fill for order in row.exits for fill in order.fills)
    entry, price = average_price(row.entry.fills), average_price(fills)
    percent = pnl(row.side, entry, price, rules)
    event = _about(
        row,
        Closed,
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
        late=row.late,
    )
    return Step(None, (event,))


# ---------------------------------------------------------------- events


def _about(row: SignalRow, kind: type[Happening], at: int, **fields: Any) -> Happening:
    return kind(symbol=row.symbol, strategy=row.strategy, at=at, signal_id=row.id, **fields)


def _decided(signal: str, given: Decide) -> Decided:
    wanted, origin = given.signal, given.origin
    return Decided(
        symbol=origin.symbol,
        strategy=origin.strategy,
        at=given.at,
        signal_id=signal,
        side=wanted.side,
        take_profit=wanted.take_profit,
        stop_loss=wanted.stop_loss,
        price=given.price,
        entry_price=wanted.entry_price,
        time_limit=wanted.time_limit,
        quantity=wanted.quantity,
        cost=wanted.cost,
        note=wanted.note,
    )
