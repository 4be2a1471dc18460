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

__all__ = (
    "VWAP_CANDLES",
    "Exit",
    "FillModel",
    "breached",
    "current_price",
    "execute",
    "exit_of",
    "marketable",
    "rest",
)

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


def breached(side: Side, stop_loss: float, candle: Candle) -> bool:
    """Return whether a candle touches a stop-loss."""
    return candle.low <= stop_loss if side == "long" else candle.high >= stop_loss


def exit_of(model: FillModel, row: SignalRow, candle: Candle, price: float, at: int) -> Exit | None:
    """Return the exit of an open position that `candle`, closed at `at`, causes; None for none.

    Candles from `row.watch_from` on count whole. Of the one that the entry was filled in, `touch` counts what
    is known to have come after the fill, `vwap` nothing.
    """
    if row.watch_from is not None and candle.at < row.watch_from:
        if model == "vwap" or row.opened_at is None or candle.at + MINUTE <= row.opened_at:
            return None
        return _first(
            _stopped(row, _after_fill(row, candle)), _taken(model, row, _after_fill(row, candle), price)
        )
    stopped, taken, expired = _stopped(row, candle), _taken(model, row, candle, price), _expired(row, at)
    return _first(stopped, taken, expired) if model == "touch" else _first(expired, stopped, taken)


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
    if order.stop_loss is not None and breached(side, order.stop_loss, candle):
        return None
    return _filled(order, limit, candle.at)


def _first(*exits: Exit | None) -> Exit | None:
    return next((found for found in exits if found is not None), None)


def _stopped(row: SignalRow, candle: Candle) -> Exit | None:
    return Exit("stop_loss", row.stop_loss) if breached(row.side, row.stop_loss, candle) else None


def _taken(model: FillModel, row: SignalRow, candle: Candle, price: float) -> Exit | None:
    long = row.side == "long"
    if model == "touch":
        price = candle.high if long else candle.low
    taken = price >= row.take_profit if long else price <= row.take_profit
    return Exit("take_profit", row.take_profit) if taken else None


def _expired(row: SignalRow, at: int) -> Exit | None:
    if row.time_limit is None or row.opened_at is None:
        return None
    return Exit("time_limit", None) if at - row.opened_at >= row.time_limit * MINUTE else None


def _after_fill(row: SignalRow, candle: Candle) -> Candle:
    # The close came after the fill. So did a touch of the stop-loss where the entry rested all the while: the
    # stop lies beyond the entry price, and the market came from the other side.
    close, rested = candle.close, row.entry.type == "limit" and candle.at >= row.decided_at
    low = candle.low if rested and row.side == "long" else close
    high = candle.high if rested and row.side == "short" else close
    return Candle(candle.at, close, high, low, close, candle.volume)


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
    fill = Fill(id=f"{order.client_id}-1", price=float(price), quantity=order.quantity, at=int(at))
    return replace(OrderState.of(order), status="filled", fills=(fill,))
