"""What a market does with orders, under a named model: for paper and simulated brokers, and the backtest.

`touch`: highs and lows are reached, the stop-loss before the take-profit where one candle spans both; a candle
that opens beyond a level fills at its open. `vwap`: the current price is the mean of five candles, a stop-loss
is hit by the low or high, a take-profit by the current price, and levels fill at exactly their price.
"""

from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from holdfast.trading.candle import MINUTE, Candle
from holdfast.trading.order import Fill, Order, OrderSide, OrderState
from holdfast.trading.signal import CloseReason, Side, SignalRow

__all__ = ("VWAP_CANDLES", "Exit", "FillModel", "current_price", "execute", "exit_of", "marketable", "rest")

FillModel = Literal["touch", "vwap"]

VWAP_CANDLES: Final = 5
"""How many candles the current price of the `vwap` model is the mean of."""


class Exit(Struct, frozen=True):
    """Why a position is to be closed, and the price that caused it: None where time did."""

    reason: CloseReason
    level: float | None


def current_price(model: FillModel, window: Sequence[Candle]) -> float:
    """Return the market's current price after the last candle of `window`, oldest first and never empty.

    `touch`: its close. `vwap`: sum((high + low + close) / 3 * volume) / sum(volume) of the last five, and their
    mean close where nothing was traded.
    """
    if model == "touch":
        return window[-1].close
    last = window[-VWAP_CANDLES:]
    volume = sum(candle.volume for candle in last)
    if not volume > 0:
        return sum(candle.close for candle in last) / len(last)
    return sum((candle.high + candle.low + candle.close) / 3 * candle.volume for candle in last) / volume


def marketable(side: Side, entry_price: float, price: float) -> bool:
    """Return whether the market at `price` is already at or beyond an entry price, so that nothing would rest."""
    return price <= entry_price if side == "long" else price >= entry_price


def exit_of(model: FillModel, row: SignalRow, candle: Candle, price: float, at: int) -> Exit | None:
    """Return the exit of an open position that `candle`, closed at `at`, causes; None for none.

    Before `row.watch_from` only a stop-loss can count: see `_stopped_while_filling`.
    """
    if row.watch_from is not None and candle.at < row.watch_from:
        return Exit("stop_loss", row.stop_loss) if _stopped_while_filling(model, row, candle) else None
    found = [
        Exit("stop_loss", row.stop_loss) if _breached(row.side, row.stop_loss, candle) else None,
        Exit("take_profit", row.take_profit) if _taken(model, row, candle, price) else None,
    ]
    expired = Exit("time_limit", None) if _expired(row, at) else None
    order = [*found, expired] if model == "touch" else [expired, *found]
    return next((one for one in order if one is not None), None)


def execute(model: FillModel, order: Order, candle: Candle, price: float, at: int) -> OrderState:
    """Return what a market answers to an order that arrives at `at`, with `candle` the last closed one.

    A market order is filled whole: at the level that triggered it by the rules of the model, else at the
    current `price`. A limit order rests, unless the market has reached its price meanwhile.
    """
    if order.type == "market":
        return _filled(order, _market_price(model, order, candle, price), at)
    limit = _limit(order)
    if not _reached(order.side, limit, price):
        return replace(OrderState.of(order), status="open")
    return _filled(order, limit if model == "vwap" else price, at)


def rest(model: FillModel, order: Order, candle: Candle) -> OrderState | None:
    """Return a resting limit order as `candle` fills it, None where it does not: the market was not there.

    The candle opened when the order was resting already. In the `vwap` model a candle that breaches the
    attached stop-loss does not fill: the bot is to cancel first.
    """
    limit = _limit(order)
    if not _reached(order.side, limit, candle.low if order.side == "buy" else candle.high):
        return None
    if model == "touch":
        better = min if order.side == "buy" else max
        return _filled(order, better(candle.open, limit), candle.at)
    side: Side = "long" if order.side == "buy" else "short"
    if order.stop_loss is not None and _breached(side, order.stop_loss, candle):
        return None
    return _filled(order, limit, candle.at)


def _breached(side: Side, stop_loss: float, candle: Candle) -> bool:
    return candle.low <= stop_loss if side == "long" else candle.high >= stop_loss


def _taken(model: FillModel, row: SignalRow, candle: Candle, price: float) -> bool:
    long = row.side == "long"
    if model == "touch":
        price = candle.high if long else candle.low
    return price >= row.take_profit if long else price <= row.take_profit


def _expired(row: SignalRow, at: int) -> bool:
    if row.time_limit is None or row.opened_at is None:
        return False
    return at - row.opened_at >= row.time_limit * MINUTE


def _stopped_while_filling(model: FillModel, row: SignalRow, candle: Candle) -> bool:
    # In the candle that fills a resting entry, a take-profit touch may have come before the fill. A stop-loss
    # touch cannot have: the stop lies beyond the entry price, and the market came from the other side.
    if model != "touch" or row.entry.type != "limit" or row.opened_at is None:
        return False
    rested = candle.at >= row.decided_at and candle.at + MINUTE > row.opened_at
    return rested and _breached(row.side, row.stop_loss, candle)


def _reached(side: OrderSide, limit: float, price: float) -> bool:
    return price <= limit if side == "buy" else price >= limit


def _limit(order: Order) -> float:
    if order.type != "limit" or order.price is None:
        raise ValueError(f"order {order.client_id} has no limit price: only limit orders rest")
    return order.price


def _market_price(model: FillModel, order: Order, candle: Candle, price: float) -> float:
    level = order.trigger_price
    if level is None or order.trigger is None:
        return price
    if model == "vwap":
        return level
    if order.trigger == "entry":
        return price
    if (order.side == "sell") == (order.trigger == "take_profit"):  # the market rises to the level
        touched, reached = candle.high >= level, max(candle.open, level)
    else:
        touched, reached = candle.low <= level, min(candle.open, level)
    # An order that arrives after the market has left its level is a market order like any other.
    return min(max(reached, candle.low), candle.high) if touched else price


def _filled(order: Order, price: float, at: int) -> OrderState:
    fill = Fill(id=f"{order.client_id}-1", price=price, quantity=order.quantity, at=at)
    return replace(OrderState.of(order), status="filled", fills=(fill,))
