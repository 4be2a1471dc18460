"""idle -> scheduled | opening: the first row of a signal, with its entry as an intent."""

from holdfast.trading import events
from holdfast.trading.fills import marketable
from holdfast.trading.ids import operation_id, signal_id
from holdfast.trading.inputs import Decide
from holdfast.trading.lifecycle.effects import Step, about
from holdfast.trading.order import Order, OrderSide, OrderState
from holdfast.trading.rules import Rules
from holdfast.trading.signal import Intent, Signal, SignalRow, plain

__all__ = ("decided",)


def decided(row: SignalRow | None, given: Decide, rules: Rules) -> Step:
    """Return the new signal's row and its Decided; Rejected and no row where it was refused."""
    if row is not None:
        raise ValueError(f"{row.strategy} decided on {row.symbol} while signal {row.id} is {row.status}")
    signal, price = plain(given.signal), float(given.price)
    order = _entry_order(given, signal, rules)
    new = _row(given, signal, order)
    first = _decided(new, signal, price)
    if given.refusal:
        return Step(None, (first, about(new, events.Rejected, given.at, reason=given.refusal)))
    kind = events.Scheduled if new.status == "scheduled" else events.Opening
    wanted = order.price or order.trigger_price or price
    second = about(new, kind, given.at, client_id=order.client_id, price=wanted, quantity=order.quantity)
    return Step(new, (first, second))


def _entry_order(given: Decide, signal: Signal, rules: Rules) -> Order:
    origin, level = given.origin, signal.entry_price
    side: OrderSide = "buy" if signal.side == "long" else "sell"
    resting = level is not None and not marketable(signal.side, level, given.price)
    at_level = level if rules.fill_model == "vwap" and not resting else None
    return Order(
        client_id=operation_id(origin.namespace, origin.strategy, origin.symbol, given.at, 1),
        symbol=origin.symbol,
        side=side,
        type="limit" if resting else "market",
        quantity=float(given.quantity),
        price=level if resting else None,
        trigger="entry" if at_level is not None else None,
        trigger_price=at_level,
        stop_loss=signal.stop_loss if resting else None,
    )


def _row(given: Decide, signal: Signal, order: Order) -> SignalRow:
    origin = given.origin
    return SignalRow(
        id=signal_id(origin.namespace, origin.strategy, origin.symbol, given.at),
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
        quantity=order.quantity,
        decided_at=given.at,
        entry=OrderState.of(order),
        intent=Intent(kind="submit", client_id=order.client_id, at=given.at, order=order),
    )


def _decided(row: SignalRow, signal: Signal, price: float) -> events.Happening:
    return about(
        row,
        events.Decided,
        row.decided_at,
        side=signal.side,
        take_profit=signal.take_profit,
        stop_loss=signal.stop_loss,
        price=price,
        entry_price=signal.entry_price,
        time_limit=signal.time_limit,
        quantity=signal.quantity,
        cost=signal.cost,
        note=signal.note,
    )
