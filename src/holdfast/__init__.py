"""Backtest and live-trade strategies whose state survives `kill -9`, power loss and restarts.

    from holdfast import Live, Signal, strategy

Every public name is loaded when it is first used, so `import holdfast` alone costs a few milliseconds
and loads neither numpy nor a network or database driver.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.errors import HoldfastError
    from holdfast.persist import (
        PersistBase,
        PersistRiskAdapter,
        PersistScheduleAdapter,
        PersistSignalAdapter,
        PersistStateAdapter,
    )
    from holdfast.runtime.api import Backtest, Live, add_exchange, add_risk, strategy, use_store
    from holdfast.runtime.desk import Desk
    from holdfast.store import open_store
    from holdfast.trading.rules import Rules
    from holdfast.trading.signal import Cancel, Close, Signal

__all__ = (
    "Backtest",
    "Cancel",
    "Close",
    "Desk",
    "HoldfastError",
    "Live",
    "PersistBase",
    "PersistRiskAdapter",
    "PersistScheduleAdapter",
    "PersistSignalAdapter",
    "PersistStateAdapter",
    "Rules",
    "Signal",
    "add_exchange",
    "add_risk",
    "open_store",
    "strategy",
    "use_store",
)

_HOMES = {
    "holdfast.errors": ("HoldfastError",),
    "holdfast.persist": (
        "PersistBase",
        "PersistRiskAdapter",
        "PersistScheduleAdapter",
        "PersistSignalAdapter",
        "PersistStateAdapter",
    ),
    "holdfast.runtime.api": ("Backtest", "Live", "add_exchange", "add_risk", "strategy", "use_store"),
    "holdfast.runtime.desk": ("Desk",),
    "holdfast.store": ("open_store",),
    "holdfast.trading.rules": ("Rules",),
    "holdfast.trading.signal": ("Cancel", "Close", "Signal"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    module = _HOME_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(module), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
