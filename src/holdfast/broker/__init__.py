"""Where orders go: the broker protocol, a broker on paper, and the client of the simulated exchange.

    from holdfast.broker import PaperBroker

Names are loaded when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.broker.paper import PaperBroker
    from holdfast.broker.protocol import Broker
    from holdfast.broker.simulated import SimulatedBroker

__all__ = ("Broker", "PaperBroker", "SimulatedBroker")

_HOME_OF = {"Broker": "protocol", "PaperBroker": "paper", "SimulatedBroker": "simulated"}


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return value
