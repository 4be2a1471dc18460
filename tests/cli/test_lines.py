from typing import Any, get_args

import pytest

from holdfast.cli.lines import facts_of, line, moment, number
from holdfast.trading import events as e
from holdfast.trading.events import Happening

COMMON: dict[str, Any] = {"symbol": "BTCUSDT", "strategy": "s", "at": 1_704_067_200_000}
EVENTS: list[tuple[Happening, str]] = [
    (e.Decided(**COMMON, side="long", take_profit=2, stop_loss=1, price=1.5, note="n"), "long at the market (now 1.5)"),
    (e.Decided(**COMMON, side="long", take_profit=2, stop_loss=1, price=1.5, entry_price=1.4), "long at 1.4"),
    (e.Scheduled(**COMMON, client_id="c", price=1.5, quantity=2), "limit 2 at 1.5"),
    (e.Opening(**COMMON, client_id="c", price=1.5, quantity=2), "market 2 at about 1.5"),
    (e.Opened(**COMMON, client_id="c", side="short", price=1.5, quantity=2, fills=(), opened_at=0), "short 2 at 1.5"),
    (e.Closing(**COMMON, reason="stop_loss", quantity=2, level=1.0, late=True), "stop loss at 1, late"),
    (
        e.Closed(
            **COMMON, reason="time_limit", side="long", entry_price=1, price=2, quantity=3, pnl_percent=-1.25,
            pnl_cost=-2.5, opened_at=0, fills=(),
        ),
        "time limit: long 3, 1 to 2, -1.25 % (-2.50)",
    ),
    (e.Cancelled(**COMMON, reason="too old"), "too old"),
    (e.Rejected(**COMMON, reason="too small"), "too small"),
    (e.Released(**COMMON, reason="its run is gone"), "its run is gone"),
    (e.Started(**COMMON), "started"),
    (e.Stopped(**COMMON, reason="the market ended"), "the market ended"),
    (e.Recovered(**COMMON, status="open", detail="more"), "open; more"),
    (e.Reconciled(**COMMON, detail="an order"), "an order"),
    (e.DecisionSkipped(**COMMON, count=3), "3 intervals"),
    (e.StrategyFailed(**COMMON, error="Traceback\n  line"), "Traceback   line"),
    (e.SymbolHalted(**COMMON, reason="look"), "look"),
    (e.StoreUnavailable(**COMMON, error="gone; asking again"), "store away gone; asking again"),
    (e.StoreRecovered(**COMMON, seconds=15.04, error="gone"), "store back after 15.0 s (gone)"),
    (e.StoreWarned(**COMMON, warning="slow"), "warning    slow"),
    (e.StoreWarned(**COMMON, warning="slow: why", over=True), "mended     no longer: slow"),
    (e.Waiting(**COMMON, reason="waiting for process 1"), "waiting    for process 1"),
    (e.ExchangeUnavailable(**COMMON, error="away"), "away"),
]  # fmt: skip


@pytest.mark.parametrize(("event", "said"), EVENTS)
def test_an_event_is_one_line(event: Happening, said: str) -> None:
    text = line(event).plain
    assert said in text
    assert text.startswith("2024-01-01 00:00:00  BTCUSDT s  ")
    assert "\n" not in text


def test_every_kind_of_event_is_told() -> None:
    assert {type(event) for event, _ in EVENTS} == {*get_args(e.Lifecycle), *get_args(e.System)}


def test_facts_name_the_stream() -> None:
    assert facts_of(e.Started(**COMMON, number=4)) == {
        **COMMON, "type": "Started", "number": 4, "stream": "system.s.BTCUSDT",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "said"),
    [(40_000.0, "40000"), (40_123.456, "40123.456"), (0.00012345678, "0.00012345678"), (2e7, "20000000.00")],
)
def test_numbers(value: float, said: str) -> None:
    assert number(value) == said


@pytest.mark.parametrize("at", [10**30, -(10**30), 10**16, 2**63 - 1])
def test_a_time_of_no_calendar_is_shown_as_it_is(at: int) -> None:
    assert moment(at) == f"{at} ms"
