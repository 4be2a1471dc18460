"""A candle has closed: whether a resting entry is given up, and whether a position is to be closed."""

from holdfast.trading.candle import MINUTE
from holdfast.trading.fills import breached, exit_of
from holdfast.trading.inputs import Tick
from holdfast.trading.lifecycle.effects import Step, cancel, close, exit_again
from holdfast.trading.rules import Rules
from holdfast.trading.signal import SignalRow

__all__ = ("ticked",)


def ticked(row: SignalRow, given: Tick, rules: Rules) -> Step:
    """Return the row after a candle; nothing new is begun while an intent has no outcome."""
    if row.intent is not None:
        return Step(row)
    if row.status == "closing":  # the last exit was refused or left something; a minute has passed since
        return exit_again(row, given.at)
    if row.status == "scheduled":
        return _give_up(row, given, rules)
    found = exit_of(rules.fill_model, row, given.candle, given.price, given.at)
    if found is not None:
        return close(row, given.at, found.reason, found.level, late=given.late)
    if row.entry.final:
        return Step(row)
    return cancel(row, given.at, "expired") if _aged(row, given.at, rules) else Step(row)


def _give_up(row: SignalRow, given: Tick, rules: Rules) -> Step:
    # What a candle did before the decision was known to the one who decided.
    if given.candle.at >= row.decided_at and breached(row.side, row.stop_loss, given.candle):
        return cancel(row, given.at, "stop_loss")
    return cancel(row, given.at, "expired") if _aged(row, given.at, rules) else Step(row)


def _aged(row: SignalRow, at: int, rules: Rules) -> bool:
    return at - row.decided_at >= rules.scheduled_minutes * MINUTE
