"""Profit and loss in percent, after fees and slippage, for positions of one or of several entries and exits.

With f = fee and s = slippage in percent of each leg, k = +1 for a long and -1 for a short:

    eo = entry * (1 + k*s/100)      ec = close * (1 - k*s/100)
    pnl = k * (ec - eo) / eo * 100 - f * (1 + ec/eo)                                  (percent of the cost)

Several entries act as one at their effective price, sum(cost) / sum(cost/price). A partial exit closes `percent`
of the cost basis that was left before it; entries that follow add to what remains. With weight = percent/100 *
basis / total cost for each partial, and rest = 1 - sum(weight):

    fees = f + f * sum(weight * ec/eo over the partials) + f * rest * ec/eo
    pnl = sum(weight * gross) + rest * gross of the rest - fees            gross = k * (ec - eo) / eo * 100

each leg on the effective entry at its own time. Money is pnl / 100 * total cost.
"""

from collections.abc import Sequence

from msgspec import Struct

from holdfast.trading.rules import Rules
from holdfast.trading.signal import Side

__all__ = ("Entry", "Partial", "Position", "effective_entry", "may_average", "pnl", "position_pnl")


class Entry(Struct, frozen=True):
    """Quote units spent at a price."""

    price: float
    cost: float = 100.0


class Partial(Struct, frozen=True):
    """A part of a position closed at a price: `percent` of the basis left, after its first `entries` entries."""

    price: float
    percent: float
    entries: int


class Position(Struct, frozen=True):
    """What is left of a position: its cost basis in quote units, and the effective price of it."""

    basis: float
    price: float


def pnl(side: Side, entry: float, price: float, rules: Rules) -> float:
    """Return the profit of a position opened at `entry` and closed whole at `price`, in percent, costs included."""
    closing = _ratio(side, entry, price, rules)
    return _gross(side, closing) - rules.fee * (1 + closing)


def effective_entry(entries: Sequence[Entry], partials: Sequence[Partial] = ()) -> float:
    """Return the price that the rest of a position was, in effect, opened at."""
    return _walk(entries, partials)[-1].price


def may_average(side: Side, entries: Sequence[Entry], price: float) -> bool:
    """Return whether a further entry is a new extreme: below all entries of a long, above all of a short."""
    return all(price < entry.price if side == "long" else price > entry.price for entry in entries)


def position_pnl(
    side: Side, entries: Sequence[Entry], partials: Sequence[Partial], price: float, rules: Rules
) -> float:
    """Return the profit of a position whose rest is closed at `price`, in percent of the cost of all its entries."""
    total = sum(entry.cost for entry in entries)
    *before, left = _walk(entries, partials)
    gross = fees = closed = 0.0
    for partial, position in zip(partials, before, strict=True):
        weight = partial.percent / 100 * position.basis / total
        closing = _ratio(side, position.price, partial.price, rules)
        gross, fees, closed = gross + weight * _gross(side, closing), fees + weight * closing, closed + weight
    closing, rest = _ratio(side, left.price, price, rules), 1 - closed
    return gross + rest * _gross(side, closing) - rules.fee * (1 + fees + rest * closing)


def _walk(entries: Sequence[Entry], partials: Sequence[Partial]) -> list[Position]:
    """Return the position before each partial exit, and the one that is left after all of them."""
    if not entries:
        raise ValueError("a position has at least one entry")
    positions: list[Position] = []
    basis = coins = 0.0
    entered = 0
    for partial in (*partials, Partial(0.0, 0.0, len(entries))):
        for entry in entries[entered : partial.entries]:
            basis, coins = basis + entry.cost, coins + entry.cost / entry.price
        entered = max(entered, partial.entries)
        if not coins > 0:
            raise ValueError(
                "nothing is left to close: the exits before have closed it all, or came before any entry"
            )
        positions.append(Position(basis, basis / coins))
        left = 1 - partial.percent / 100
        basis, coins = basis * left, coins * left
    return positions


def _ratio(side: Side, entry: float, price: float, rules: Rules) -> float:
    slip = rules.slippage / 100 if side == "long" else -rules.slippage / 100
    return price * (1 - slip) / (entry * (1 + slip))


def _gross(side: Side, ratio: float) -> float:
    return (ratio - 1) * 100 if side == "long" else (1 - ratio) * 100
