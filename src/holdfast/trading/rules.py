"""What may be asked for: the rules of a run, the check of a signal against them, and the size of its order."""

import math
from fractions import Fraction
from numbers import Integral, Real
from typing import Any, Final, get_args

from msgspec import Struct

from holdfast.errors import InvalidOption, InvalidSignal
from holdfast.trading.fills import FillModel, marketable
from holdfast.trading.signal import Side, Signal, plain

__all__ = ("Rules", "size", "validate")

SLACK: Final = 1e-9
"""Percent by which binary arithmetic may miss a distance that was asked for exactly."""


class Rules(Struct, frozen=True, kw_only=True):
    """The rules of a run; refuses to be made where they contradict each other.

    `fee` and `slippage` are percent on each leg, the least and largest distances percent of the entry price,
    `scheduled_minutes` how long an entry may rest, `max_time_limit` the longest life in minutes (None: for ever),
    `default_cost` what a signal without quantity and cost is worth, in quote units.
    """

    fill_model: FillModel = "touch"
    fee: float = 0.1
    slippage: float = 0.1
    scheduled_minutes: int = 120
    max_time_limit: int | None = 1440
    min_take_profit: float = 0.5
    min_stop_loss: float = 0.5
    max_stop_loss: float = 20.0
    default_cost: float = 100.0

    def __post_init__(self) -> None:
        self._one_of_the_models()
        for name in ("fee", "slippage"):
            self._require(name, 0 <= self._number(name) < 100, "a percentage from 0 to below 100")
        for name in ("min_take_profit", "min_stop_loss", "max_stop_loss", "default_cost"):
            self._require(name, self._number(name) > 0, "a finite number above 0")
        self._require(
            "scheduled_minutes", _minutes(self.scheduled_minutes), "a whole number of minutes above 0"
        )
        limit = self.max_time_limit
        self._require(
            "max_time_limit", limit is None or _minutes(limit), "a whole number of minutes above 0, or None"
        )
        self._require("max_stop_loss", self.min_stop_loss <= self.max_stop_loss, "at least min_stop_loss")
        costs = 2 * (self.fee + self.slippage)
        profitable = self.min_take_profit >= costs - SLACK
        self._require(
            "min_take_profit", profitable, f"at least 2 * (fee + slippage) = {costs:g}: less loses money"
        )

    def _number(self, name: str) -> float:
        value = getattr(self, name)
        return value if _finite(value) else math.nan

    def _one_of_the_models(self) -> None:
        models = get_args(FillModel)
        self._require("fill_model", self.fill_model in models, f"one of {', '.join(models)}")

    def _require(self, name: str, right: bool, wanted: str) -> None:
        if not right:
            raise InvalidOption(f"rules: {name} is {getattr(self, name)!r} and must be {wanted}", option=name)


def validate(signal: Signal, price: float, rules: Rules) -> Signal:
    """Return the signal, in plain numbers, if it may be traded with the market at `price`.

    Raises InvalidSignal (`field`, `rule`). Everything is checked, types included: strategies answer with
    strings, bools and NaN, too; and with numpy's floats, which are numbers but cannot be stored.
    """
    if not isinstance(signal, Signal):
        raise _invalid("signal", "type", f"a strategy answers with a Signal or None, not {_shown(signal)}")
    _check_types(signal)
    _check_time_limit(signal.time_limit, rules)
    signal = plain(signal)
    if not (_finite(price) and price > 0):
        raise _invalid(
            "price", "positive", f"the market's price is {_shown(price)}: nothing can be opened at that"
        )
    entry = price if signal.entry_price is None else signal.entry_price
    _check_order(signal, entry)
    _check_distances(signal, entry, rules)
    if signal.entry_price is None or marketable(signal.side, signal.entry_price, price):
        _check_immediate(signal, price)
    return signal


def size(
    signal: Signal,
    price: float,
    rules: Rules,
    *,
    quantity_step: float = 0.0,
    min_quantity: float = 0.0,
    min_cost: float = 0.0,
) -> float:
    """Return what to trade in base units, rounded down to the market's step exactly: 0.3, never 0.30000000000000004.

    `quantity`, else `cost` at the entry price (the market's where there is none). Raises InvalidSignal where that
    is below the market's least size. The signal has been validated.
    """
    entry = _exact(price if signal.entry_price is None else signal.entry_price)
    field = "cost" if signal.quantity is None else "quantity"
    cost = rules.default_cost if signal.cost is None else signal.cost
    wanted = _exact(cost) / entry if signal.quantity is None else _exact(signal.quantity)
    step = _exact(quantity_step)
    rounded = wanted // step * step if step else wanted
    if rounded <= 0 or rounded < _exact(min_quantity):
        least = max(quantity_step, min_quantity)
        raise _too_small(
            field, "min_quantity", f"{float(wanted):.12g} base units, the market takes {least:.12g}"
        )
    if rounded * entry < _exact(min_cost):
        worth = f"{float(rounded * entry):.12g} after rounding, the market takes {min_cost:.12g}"
        raise _too_small(field, "min_cost", worth)
    return float(rounded)


def _check_types(signal: Signal) -> None:
    if signal.side not in get_args(Side):
        raise _invalid("side", "type", f"side is {_shown(signal.side)}: it must be 'long' or 'short'")
    for field in ("take_profit", "stop_loss"):
        _check_positive(field, getattr(signal, field))
    for field in ("entry_price", "quantity", "cost"):
        if getattr(signal, field) is not None:
            _check_positive(field, getattr(signal, field))
    if not isinstance(signal.note, str) or not _encodable(signal.note):
        raise _invalid("note", "type", "note must be a text that can be encoded as UTF-8")


def _check_positive(field: str, value: Any) -> None:
    if not isinstance(value, Real) or isinstance(value, bool):
        raise _invalid(field, "type", f"{field} is {_shown(value)}: it must be a number")
    if not _finite(value):
        raise _invalid(
            field, "finite", f"{field} is {_shown(value)}: it must be finite; wait for enough candles"
        )
    if not float(value) > 0:
        raise _invalid(field, "positive", f"{field} is {_shown(value)}: it must be above 0")


def _check_order(signal: Signal, entry: float) -> None:
    above, below = ("take_profit", "stop_loss") if signal.side == "long" else ("stop_loss", "take_profit")
    for field, right, word in (
        (above, getattr(signal, above) > entry, "above"),
        (below, getattr(signal, below) < entry, "below"),
    ):
        if not right:
            text = (
                f"{field} is {getattr(signal, field):.12g}: for a {signal.side} it must be {word} the entry"
            )
            raise _invalid(field, "order", f"{text} at {entry:.12g}")


def _check_distances(signal: Signal, entry: float, rules: Rules) -> None:
    take, stop = (abs(level - entry) / entry * 100 for level in (signal.take_profit, signal.stop_loss))
    if take < rules.min_take_profit - SLACK:
        raise _too_close("take_profit", take, entry, rules.min_take_profit)
    if stop < rules.min_stop_loss - SLACK:
        raise _too_close("stop_loss", stop, entry, rules.min_stop_loss)
    if stop > rules.max_stop_loss + SLACK:
        text = f"stop_loss is {stop:.4g} % from the entry at {entry:.12g}: bring it within {rules.max_stop_loss:g} %"
        raise _invalid("stop_loss", "max_distance", f"{text}, or raise max_stop_loss")


def _check_time_limit(minutes: Any, rules: Rules) -> None:
    longest = rules.max_time_limit
    if minutes is None:
        if longest is not None:
            text = f"time_limit is None (for ever): give at most {longest} minutes, or set max_time_limit to None"
            raise _invalid("time_limit", "max_time_limit", text)
    elif not _minutes(minutes):
        text = f"time_limit is {_shown(minutes)}: it must be a whole number of minutes above 0"
        raise _invalid("time_limit", "whole_minutes", text)
    elif longest is not None and minutes > longest:
        text = f"time_limit is {minutes} minutes: give at most {longest}, or raise max_time_limit"
        raise _invalid("time_limit", "max_time_limit", text)


def _check_immediate(signal: Signal, price: float) -> None:
    low, high = sorted((signal.stop_loss, signal.take_profit))
    if not low < price < high:
        field = "stop_loss" if (price <= low) == (signal.side == "long") else "take_profit"
        text = (
            f"the market at {price:.12g} is not between stop_loss and take_profit ({low:.12g} to {high:.12g})"
        )
        raise _invalid(field, "immediate", f"{text}: the position would be closed as soon as it is opened")


def _finite(value: Any) -> bool:
    # bool is a number to Python, and numpy's floats are Real: the first is nonsense here, the second is not.
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _minutes(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) > 0


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _exact(value: float) -> Fraction:
    # The number as a person wrote it: 0.1 is a tenth, not its nearest binary fraction.
    return Fraction(repr(float(value)))


def _shown(value: object) -> str:
    return repr(value)[:80]


def _invalid(field: str, rule: str, text: str) -> InvalidSignal:
    return InvalidSignal(text, field=field, rule=rule)


def _too_close(field: str, distance: float, entry: float, least: float) -> InvalidSignal:
    text = f"{field} is {distance:.4g} % from the entry at {entry:.12g}: move it to at least {least:g} %"
    return _invalid(field, "min_distance", f"{text}, or lower min_{field}")


def _too_small(field: str, rule: str, text: str) -> InvalidSignal:
    return _invalid(field, rule, f"{field} comes to {text} at least: raise it")
