"""What importing the rooms of market, broker and the simulated exchange costs: nothing that is not used."""

import subprocess
import sys

import pytest

HEAVY = ("aiohttp", "numpy")


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("statement", "loaded"),
    [
        ("import holdfast.market, holdfast.broker, holdfast.testing.exchange", set()),
        (
            "from holdfast.market import Exchange, SimulatedExchange; SimulatedExchange('http://127.0.0.1:1')",
            set(),
        ),
        (
            "from holdfast.broker import Broker, PaperBroker, SimulatedBroker; SimulatedBroker('http://x')",
            set(),
        ),
        (
            "from holdfast.market import Series, View, Window, ReplayExchange, read_candles, synthetic",
            {"numpy"},
        ),
        ("from holdfast.testing.exchange import serve", {"aiohttp", "numpy"}),
    ],
)
def test_names_load_only_what_they_need(statement: str, loaded: set[str]) -> None:
    assert loaded_by(statement) == loaded


@pytest.mark.parametrize("room", ["market", "broker", "testing.exchange"])
def test_public_names_are_there_and_others_are_not(room: str) -> None:
    code = (
        f"import holdfast.{room} as room\n"
        "assert set(room._HOME_OF) == set(room.__all__)\n"
        "assert all(callable(getattr(room, name)) for name in room.__all__)\n"
        "assert not hasattr(room, 'Bot')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
