"""What importing the rooms of market, broker and the simulated exchange costs: nothing that is not used."""

import subprocess
import sys
from importlib import import_module

import pytest

STEPS = """
import sys
def heavy():
    return [name for name in ("aiohttp", "numpy") if name in sys.modules]
import holdfast.market, holdfast.broker, holdfast.testing.exchange
from holdfast.market import Exchange, SimulatedExchange
from holdfast.broker import Broker, PaperBroker, SimulatedBroker
SimulatedExchange("http://127.0.0.1:1"), SimulatedBroker("http://127.0.0.1:1")
assert heavy() == [], heavy()
from holdfast.market import Series, View, Window, ReplayExchange, read_candles, synthetic
assert heavy() == ["numpy"], heavy()
from holdfast.testing.exchange import serve
assert heavy() == ["aiohttp", "numpy"], heavy()
"""


def test_names_load_only_what_they_need() -> None:
    subprocess.run([sys.executable, "-c", STEPS], check=True)


@pytest.mark.parametrize("name", ["market", "broker", "testing.exchange"])
def test_public_names_are_there_and_others_are_not(name: str) -> None:
    room = import_module(f"holdfast.{name}")
    assert set(room._HOME_OF) == set(room.__all__)
    assert all(callable(getattr(room, public)) for public in room.__all__)
    assert not hasattr(room, "Bot")
