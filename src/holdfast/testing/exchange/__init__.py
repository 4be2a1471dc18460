"""A simulated exchange: a process of its own that outlives any trader, and an impartial witness of what was sent.

    async with serve(Server({"BTCUSDT": series})) as url: ...                  # in this event loop
    with SimulatedExchangeProcess({"BTCUSDT": series}) as exchange: ...        # exchange.url; a process
    python -m holdfast.testing.exchange --synthetic BTCUSDT=7:1440             # by hand

`SimulatedExchange(url)` and `SimulatedBroker(url)` are its clients.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.testing.exchange.engine import Engine
    from holdfast.testing.exchange.faults import Fault, FaultPlan
    from holdfast.testing.exchange.options import Options, Seen, Witness
    from holdfast.testing.exchange.process import SimulatedExchangeProcess
    from holdfast.testing.exchange.server import Server, serve

__all__ = (
    "Engine",
    "Fault",
    "FaultPlan",
    "Options",
    "Seen",
    "Server",
    "SimulatedExchangeProcess",
    "Witness",
    "serve",
)

_HOME_OF = {
    "Engine": "engine",
    "Fault": "faults",
    "FaultPlan": "faults",
    "Options": "options",
    "Seen": "options",
    "Server": "server",
    "SimulatedExchangeProcess": "process",
    "Witness": "options",
    "serve": "server",
}


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return value
