"""What every step is made of: its result, and how exits and cancels become intents."""

from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from holdfast.trading.events import Closing, Happening
from holdfast.trading.ids import operation_id
from holdfast.trading.inputs import Request
from holdfast.trading.order import Order, OrderState, Trigger
from holdfast.trading.signal import CloseReason, Intent, SignalRow

__all__ = ("MAX_EXIT_FAILURES", "Step", "about", "act", "cancel", "close", "exit_again", "requested")

MAX_EXIT_FAILURES: Final = 5
"""Exits in a row that the exchange may refuse (one a minute) before the symbol is halted."""


class Step(Struct, frozen=True):
    """The result of a step; `halt` names what a person must look at, "" for nothing."""

    row: SignalRow | None
    events: tuple[Happening, ...] = ()
    halt: str = ""


def about(row: SignalRow, kind: type[Happening], at: int, **fields: Any) -> Happening:
    """Return an event of that kind about a signal."""
    return kind(symbol=row.symbol, strategy=row.strategy, at=at, signal_id=row.id, **fields)


def requested(row: SignalRow, given: Request) -> Step:
    """Return the row with somebody's wish noted, and acted on as soon as nothing is under way.

    A close asked for before the position is open cancels a resting entry, and closes what is filled all
    the same: a wish to be flat does not lose to a fill. Where an exit was refused, the next one is tried now.
    """
    if row.status == "closing":
        return exit_again(row, given.at) if given.kind == "close" and row.intent is None else Step(row)
    wished = row
    if row.status == "scheduled":
        wished = replace(wished, cancel_reason=row.cancel_reason or given.reason)
    if given.kind == "close":
        wished = replace(wished, close_reason=row.close_reason or given.reason)
    return act(wished, given.at) if wished != row else Step(row)


def act(row: SignalRow, at: int) -> Step:
    """Return the row with what was wished for begun, where nothing is under way."""
    if row.intent is not None:
        return Step(row)
    if row.status == "open" and row.close_reason is not None:
        return close(row, at, row.close_reason, None)
    if row.cancel_reason and row.status in ("scheduled", "open") and not row.entry.final:
        return cancel(row, at, row.cancel_reason)
    return Step(row)


def cancel(row: SignalRow, at: int, reason: str) -> Step:
    """Return the row with the cancel of its entry, or of what still rests of it, as an intent."""
    intent = Intent(kind="cancel", client_id=row.entry.client_id, at=at)
    return Step(replace(row, cancel_reason=reason, intent=intent))


def close(row: SignalRow, at: int, reason: CloseReason, level: float | None, *, late: bool = False) -> Step:
    """Return the row closing: with its exit as an intent, or first the cancel of what rests of the entry."""
    closing = replace(
        row, status="closing", close_reason=reason, close_level=None if late else level, late=late
    )
    event = about(row, Closing, at, reason=reason, quantity=row.held, level=level, late=late)
    # No exit before the rest of the entry can no longer fill: it would be a position that nobody closes.
    begun = exit_again(closing, at) if row.entry.final else cancel(closing, at, row.cancel_reason or reason)
    return Step(begun.row, (event,))


def exit_again(row: SignalRow, at: int) -> Step:
    """Return the row with the next exit, for all that is held, as an intent; a halt after too many refusals.

    Refusals are counted anew from the halt on: whoever lifts it wants the exit tried again.
    """
    if row.failures >= MAX_EXIT_FAILURES:
        failed = f"the exchange refused {row.failures} exits in a row of {row.side} {row.held} {row.symbol}"
        reason = row.exits[-1].reason or "no reason given"
        return Step(replace(row, failures=0), halt=f"{failed} ({reason}): close it by hand")
    order = _exit_order(row)
    intent = Intent(kind="submit", client_id=order.client_id, at=at, order=order)
    exits = (*row.exits, OrderState.of(order))
    return Step(replace(row, intent=intent, steps=row.steps + 1, exits=exits))


def _exit_order(row: SignalRow) -> Order:
    trigger: Trigger | None = None
    # A second exit is not filled at the level any more: the market has moved on.
    if row.close_level is not None and not row.exits:
        trigger = "take_profit" if row.close_reason == "take_profit" else "stop_loss"
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
