"""Market data: candles, where they come from, and the exchanges that hand them out.

    from holdfast.market import ReplayExchange, read_candles

    exchange = ReplayExchange("replay", {"BTCUSDT": read_candles("btc-1m.csv.gz")})

Names are loaded when they are first used, numpy with them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.market.candles import Series, View, Window
    from holdfast.market.csv import read_candles
    from holdfast.market.invented import synthetic
    from holdfast.market.protocol import Exchange, Market
    from holdfast.market.replay import ReplayExchange
    from holdfast.market.simulated import SimulatedExchange

__all__ = (
    "Exchange",
    "Market",
    "ReplayExchange",
    "Series",
    "SimulatedExchange",
    "View",
    "Window",
    "read_candles",
    "synthetic",
)

_HOME_OF = {
    "Exchange": "protocol",
    "Market": "protocol",
    "ReplayExchange": "replay",
    "Series": "candles",
    "SimulatedExchange": "simulated",
    "View": "candles",
    "Window": "candles",
    "read_candles": "csv",
    "synthetic": "invented",
}


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return value
