"""What a user asks for wrongly is refused where it is asked, and what is meant is understood."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from holdfast.errors import InvalidOption, NotRegistered
from holdfast.market.invented import SYNTHETIC_START
from holdfast.runtime.desk import Desk
from holdfast.store.backends.memory import MemoryStore
from holdfast.trading.candle import MINUTE
from holdfast.trading.events import LIFECYCLE
from tests.runtime.world import LONG, follow, kinds, scripted, series

CLOSES = series(100.0, 100.0, 100.0, 100.5, 101.5, 102.5, 103.5, 103.0)


def desk() -> Desk:
    made = Desk(store=MemoryStore())
    made.strategy("s", interval="1m")(scripted({3: LONG}))
    return made


def test_a_live_run_over_candles_makes_the_trades_of_a_backtest() -> None:
    told = asyncio.run(follow(desk().live.run("A", candles=CLOSES, poll=0.01)))
    tested = desk().backtest.run("A", candles=CLOSES, exchange_name="replay")
    assert [event for event in told if isinstance(event, LIFECYCLE)] == list(tested.events)
    assert kinds(told)[-2:] == ["Closed", "Stopped"]


@pytest.mark.parametrize("start", [SYNTHETIC_START, SYNTHETIC_START - 7 * MINUTE, "2023-12-31", None])
def test_a_backtest_begins_with_the_candles_where_they_begin_later(start: Any) -> None:
    assert desk().backtest.run("A", candles=CLOSES, start=start).candles == 19


def test_a_start_within_a_minute_is_the_next_one() -> None:
    at = datetime.fromtimestamp(SYNTHETIC_START / 1000 + 301, UTC)
    assert desk().backtest.run("A", candles=CLOSES, start=at).start == SYNTHETIC_START + 6 * MINUTE


@pytest.mark.parametrize(
    "options",
    [
        {"start": "2024-01-01T00:15", "end": "2024-01-01T00:10"},
        {"end": "2023-12-31"},
        {"start": "2025-01-01"},
        {"start": "soon"},
        {"start": 1.5},
    ],
)
def test_a_backtest_of_no_candles_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption):
        desk().backtest.run("A", candles=CLOSES, **options)


@pytest.mark.parametrize("symbols", [[], ["A", "A"], [""], 5, [5]])
def test_symbols_that_are_none(symbols: Any) -> None:
    for ask in (desk().live.run, desk().backtest.run):
        with pytest.raises((InvalidOption, TypeError)):
            ask(symbols, candles=CLOSES)


def test_one_file_is_of_one_symbol() -> None:
    with pytest.raises(InvalidOption, match="which symbol"):
        desk().backtest.run(["A", "B"], candles=CLOSES)


@pytest.mark.parametrize("options", [{"policy": "adapt"}, {"poll": -1.0}, {"poll": float("nan")}])
def test_options_of_a_live_run(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption):
        desk().live.run("A", candles=CLOSES, **options)


@pytest.mark.parametrize("market", [None, 5, "http://x"])
def test_what_is_no_exchange(market: Any) -> None:
    with pytest.raises(InvalidOption, match="candles"):
        desk().add_exchange("e", market)


@pytest.mark.parametrize(
    "limits", [{"max_positions": -1}, {"max_positions": "1"}, {"max_cost": "5"}, {"validations": [3]}]
)
def test_what_is_no_risk_profile(limits: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption):
        desk().add_risk("r", **limits)


@pytest.mark.parametrize(
    "options", [{"rules": {"fee": 1}}, {"manage": "x"}, {"history": "1d"}, {"timeout": None}]
)
def test_what_is_no_option_of_a_strategy(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption):
        desk().strategy("t", interval="1m", **options)


def test_what_nobody_has_registered_says_how() -> None:
    with pytest.raises(NotRegistered, match="add_exchange"):
        desk().live.run("A")
