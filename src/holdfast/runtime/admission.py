"""Which proposals of a minute become signals: sized, judged by their risk profiles, in symbol order.

One function for backtest and live, over all drafts of a step, so that both decide alike.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from holdfast.errors import InvalidSignal
from holdfast.runtime.book import Draft
from holdfast.trading.events import StrategyFailed
from holdfast.trading.ids import signal_id
from holdfast.trading.inputs import Decide
from holdfast.trading.risk import Position, Positions, RiskProfile, admit, release
from holdfast.trading.rules import size
from holdfast.trading.signal import Signal, SignalRow

if TYPE_CHECKING:
    from holdfast.market.protocol import Market

__all__ = ("admit_all", "settle_risk")


def admit_all(
    drafts: Sequence[tuple[Draft, "Market"]],
    profiles: Mapping[str, RiskProfile],
    risks: dict[str, Positions],
    *,
    rows: Iterable[SignalRow] = (),
) -> None:
    """Decide the proposals of a step's drafts, and reserve their places in `risks`.

    `rows` are live signals outside of these drafts that share the account.
    """
    drafts = sorted(drafts, key=lambda one: (one[0].origin.symbol, one[0].origin.strategy))
    outside = list(rows)
    for draft, market in drafts:
        signal, draft.proposal = draft.proposal, None
        if signal is not None:
            alive = [*outside, *(one.book.row for one, _ in drafts if one.book.row is not None)]
            _admit(draft, signal, market, profiles, risks, alive)


def settle_risk(draft: Draft, before: bool, positions: Positions) -> Positions:
    """Release a reservation once its signal is over: `before` says whether there was one before the step."""
    if before and draft.book.row is None:
        return release(positions, draft.origin.strategy, draft.origin.symbol)
    return positions


def _admit(  # noqa: PLR0917  # one step of the loop above
    draft: Draft,
    signal: Signal,
    market: "Market",
    profiles: Mapping[str, RiskProfile],
    risks: dict[str, Positions],
    alive: Sequence[SignalRow],
) -> None:
    decide = _sized(draft, signal, market)
    if decide is None:
        return
    refusal, risk = _opposed(decide, alive), draft.origin.risk
    if risk is not None and not refusal:
        risks[risk], refusal = admit(profiles[risk], risks[risk], _place(decide))
    draft.feed(replace(decide, refusal=refusal))


def _sized(draft: Draft, signal: Signal, market: "Market") -> Decide | None:
    try:
        quantity = size(
            signal,
            draft.price,
            draft.rules,
            quantity_step=market.quantity_step,
            min_quantity=market.min_quantity,
            min_cost=market.min_cost,
        )
    except InvalidSignal as error:
        draft.tell(StrategyFailed, error=f"its signal was refused: {error}")
        return None
    return Decide(origin=draft.origin, signal=signal, at=draft.at, price=draft.price, quantity=quantity)


def _opposed(decide: Decide, alive: Sequence[SignalRow]) -> str:
    # An account has one position a symbol: opposite sides would cancel out, and neither exit could reduce it.
    for row in alive:
        if row.symbol == decide.origin.symbol and row.side != decide.signal.side:
            return f"{row.strategy} is {row.side} on {row.symbol}, and an account holds one side of a symbol"
    return ""


def _place(decide: Decide) -> Position:
    origin, signal = decide.origin, decide.signal
    return Position(
        strategy=origin.strategy,
        symbol=origin.symbol,
        side=signal.side,
        cost=decide.quantity * (signal.entry_price or decide.price),
        quantity=decide.quantity,
        since=decide.at,
        signal_id=signal_id(origin.namespace, origin.strategy, origin.symbol, decide.at),
    )
