"""What a signal does next: one pure function, `step`, without I/O, clock or randomness.

    idle -> scheduled -> opening -> open -> closing -> closed (and idle again)
              \\-> cancelled   \\-> rejected

Backtest and live both live on it: live is a backtest whose candles have not happened yet. A step returns the
new row (None: the signal is over), the events to append, and in `row.intent` the effect to execute once the
step is committed. While an intent stands nothing new is begun, and only the exchange's word takes it away;
what is asked for meanwhile is noted in the row. Telling an `Outcome` or a `Request` again changes nothing.
"""

from holdfast.trading.inputs import Decide, Input, Outcome, Tick
from holdfast.trading.lifecycle.decide import decided
from holdfast.trading.lifecycle.effects import MAX_EXIT_FAILURES, Step, requested
from holdfast.trading.lifecycle.settle import settled
from holdfast.trading.lifecycle.watch import ticked
from holdfast.trading.rules import Rules
from holdfast.trading.signal import SignalRow

__all__ = ("MAX_EXIT_FAILURES", "Step", "step")


def step(row: SignalRow | None, given: Input, rules: Rules) -> Step:
    """Return what becomes of a signal when `given` happens: for the same arguments always the same.

    Raises ValueError for a decision while a signal is alive. What is told of a signal that is over, or of
    orders that are not the signal's, changes nothing.
    """
    if isinstance(given, Decide):
        return decided(row, given, rules)
    if row is None:
        return Step(None)
    if isinstance(given, Tick):
        return ticked(row, given, rules)
    if isinstance(given, Outcome):
        return settled(row, given, rules)
    return requested(row, given)
