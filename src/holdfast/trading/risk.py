"""Risk profiles: which positions a namespace may hold at once. Pure: the caller stores what is answered.

A profile's positions are one document, shared by all strategies that trade under it. A place is reserved in
the commit that decides a signal, and released only in the commit that settles its end.
"""

import math
from collections.abc import Callable

from msgspec import Struct

from holdfast.trading.signal import Side

__all__ = (
    "Position",
    "Positions",
    "RiskProfile",
    "RiskView",
    "Validation",
    "admit",
    "position_key",
    "release",
)


class Position(Struct, frozen=True, kw_only=True):
    """A reserved place: whose signal it is, its side and size (cost in quote, quantity in base units)."""

    strategy: str
    symbol: str
    side: Side
    cost: float
    quantity: float
    since: int
    signal_id: str


class Positions(Struct, frozen=True, kw_only=True):
    """All places of a profile as stored, by `position_key`, in the order of their keys."""

    entries: dict[str, Position] = {}


class RiskView(Struct, frozen=True, kw_only=True):
    """What a validation sees: the profile's places before the wanted one, in the order of their keys."""

    profile: str
    positions: tuple[Position, ...]
    wanted: Position


Validation = Callable[[RiskView], str | bool | None]


class RiskProfile(Struct, frozen=True, kw_only=True):
    """Limits that all strategies of a profile share; None for no limit.

    `max_cost` limits the cost of all positions together, in quote units. A validation refuses by answering a
    text (the reason) or False, or by raising; it is to depend on nothing but its view.
    """

    name: str
    max_positions: int | None = None
    max_cost: float | None = None
    validations: tuple[Validation, ...] = ()


def position_key(strategy: str, symbol: str) -> str:
    """Return the key of a strategy's place on a symbol; no two pairs have the same."""
    return f"{strategy.replace('%', '%25').replace('/', '%2F')}/{symbol}"


def admit(profile: RiskProfile, positions: Positions, wanted: Position) -> tuple[Positions, str]:
    """Return the places with the wanted one among them, or the same as before and why it is refused.

    Asking again for a signal that has its place already is no second place.
    """
    key = position_key(wanted.strategy, wanted.symbol)
    held = positions.entries.get(key)
    if held is not None and held.signal_id == wanted.signal_id:
        return positions, ""
    if held is not None:
        return positions, f"risk {profile.name}: {wanted.symbol} is held by signal {held.signal_id} already"
    refusal = _limited(profile, positions, wanted) or _forbidden(profile, positions, wanted)
    if refusal:
        return positions, f"risk {profile.name}: {refusal}"
    return _sorted({**positions.entries, key: wanted}), ""


def release(positions: Positions, strategy: str, symbol: str) -> Positions:
    """Return the places without that one; the same where there is none."""
    key = position_key(strategy, symbol)
    return _sorted({known: place for known, place in positions.entries.items() if known != key})


def _sorted(entries: dict[str, Position]) -> Positions:
    return Positions(entries=dict(sorted(entries.items())))


def _limited(profile: RiskProfile, positions: Positions, wanted: Position) -> str:
    count = len(positions.entries)
    if profile.max_positions is not None and count >= profile.max_positions:
        return f"{count} positions are held, max_positions is {profile.max_positions}"
    # fsum, so that the answer does not depend on the order of the places.
    cost = math.fsum([wanted.cost, *(place.cost for place in positions.entries.values())])
    if profile.max_cost is not None and not cost <= profile.max_cost:
        return f"the positions would cost {cost:.12g}, max_cost is {profile.max_cost:.12g}"
    return ""


def _forbidden(profile: RiskProfile, positions: Positions, wanted: Position) -> str:
    places = tuple(place for _, place in sorted(positions.entries.items()))
    view = RiskView(profile=profile.name, positions=places, wanted=wanted)
    for validation in profile.validations:
        refusal = _answer(validation, view)
        if refusal:
            return refusal
    return ""


def _answer(validation: Validation, view: RiskView) -> str:
    name = getattr(validation, "__name__", type(validation).__name__)
    try:
        answer = validation(view)
    except Exception as error:  # a check that cannot be made has not been passed
        return f"{name}: {str(error) or type(error).__name__}"
    if answer is None or answer in ("", True):  # equal, not identical: numpy has a True of its own
        return ""
    return f"{name} said no" if answer == 0 else f"{name}: {answer}"
