"""The typed documents of a strategy's domains, with the versions in which they are stored."""

from typing import Final

from holdfast.store.codec import Schema
from holdfast.trading.risk import Positions
from holdfast.trading.signal import SignalRow

__all__ = ("RISK", "RISK_ID", "SIGNAL")

SIGNAL: Final = Schema(SignalRow, "signal", 1)
"""A live signal, in the domains `signal` and `schedule`, by symbol."""

RISK: Final = Schema(Positions, "risk", 1)
"""The positions of a risk profile, in the domain `risk`, under RISK_ID."""

RISK_ID: Final = "positions"
