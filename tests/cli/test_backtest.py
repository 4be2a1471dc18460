import signal
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from holdfast.cli.candles import candles as write_candles
from holdfast.cli.plot import svg
from holdfast.cli.report import chart
from holdfast.runtime.result import BacktestResult, statistics
from holdfast.trading.events import Closed
from tests.cli.builders import EAGER, Here, process, running, unread

WORDS = ("backtest", "bot.py:desk", "--candles", "BTCUSDT=candles.csv")


def trade(at: int, money: float) -> Closed:
    return Closed(
        symbol="BTCUSDT", strategy="s", at=at, reason="time_limit", side="long", entry_price=1, price=2,
        quantity=1, pnl_percent=money, pnl_cost=money, opened_at=0, fills=(),
    )  # fmt: skip


def result(*money: float) -> BacktestResult:
    trades = tuple(trade(60_000 * (i + 1), one) for i, one in enumerate(money))
    minutes = len(money) + 1
    return BacktestResult(
        start=0,
        end=60_000 * minutes,
        candles=minutes,
        events=trades,
        trades=trades,
        statistics=statistics(trades),
    )


def test_a_backtest_in_json(here: Here, folder: Path) -> None:
    done = here(*WORDS, "--json")
    assert done.code == 0
    closed = done.of_type("Closed")
    assert done.summary["trades"] == len(closed) > 8
    assert done.summary["total_pnl"] == pytest.approx(sum(one["pnl_cost"] for one in closed))
    assert done.summary["candles"] == 299
    assert done.of_type("Decided")[0]["number"] == 1
    assert not (folder / "state").exists()


def test_a_backtest_for_people(here: Here, folder: Path) -> None:
    done = here(*WORDS, "--trades", 3, "--plot", "equity.svg")
    assert done.code == 0
    assert "profit factor" in done.out
    assert "the last 3 of " in done.out
    assert "█" in done.out
    assert "\x1b" not in done.out
    assert "equity.svg" in done.err
    assert ET.parse(folder / "equity.svg").getroot().tag.endswith("svg")


def test_a_part_of_the_time(here: Here, folder: Path) -> None:
    done = here(*WORDS, "--start", "2024-01-01T02:00", "--end", "2024-01-01T03:00", "--json")
    assert done.summary["candles"] == 60
    assert here(*WORDS, "--start", "soon").code == 2


def test_a_strategy_that_fails_is_said_and_counted(here: Here, folder: Path) -> None:
    (folder / "bot.py").write_text(EAGER.replace("return Signal", "1 / 0\n    return Signal"))
    done = here(*WORDS)
    assert done.code == 1
    assert "ZeroDivisionError" in done.err
    assert "the strategy failed 61 times" in done.err


def test_candles_that_cannot_be_right(here: Here, folder: Path) -> None:
    lines = (folder / "candles.csv").read_text().splitlines()
    (folder / "candles.csv").write_text("\n".join([*lines[:5], lines[3]]))
    done = here(*WORDS)
    assert done.code == 2
    assert "candles.csv, line 6" in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--strategy", "other"], "registered: eager"),
        (["--symbol", "ETHUSDT"], "no candles of ETHUSDT"),
    ],
)
def test_names_that_are_none(here: Here, folder: Path, words: list[str], said: str) -> None:
    done = here(*WORDS, *words)
    assert done.code == 2
    assert said in done.err


def test_without_candles_it_says_what_to_give(here: Here, folder: Path) -> None:
    done = here("backtest", "bot.py:desk", "--symbol", "BTCUSDT")
    assert done.code == 2
    assert "--candles SYMBOL=FILE" in done.err


def test_a_backtest_can_be_interrupted(folder: Path) -> None:
    write_candles(folder / "long.csv", minutes=20_000)
    (folder / "bot.py").write_text(EAGER.replace("ctx.state[", "print('asked', flush=True); ctx.state[", 1))
    with running("backtest", "bot.py:desk", "--candles", "BTCUSDT=long.csv", cwd=folder) as command:
        command.until(lambda one: "asked" in one.out)
        command.process.send_signal(signal.SIGINT)
        done = command.ended()
    assert done.code == 130
    assert done.err.splitlines() == ["error: interrupted"]


def test_a_reader_that_goes_away_is_no_traceback(folder: Path) -> None:
    done = unread(*WORDS, "--json", cwd=folder)
    assert done.objects[0]["type"] == "Decided"
    # A reader may be quicker to go than the command to end, or slower: then the pipe took it all.
    assert done.code in (0, 1)
    assert not done.err


def test_a_process_prints_what_a_call_prints(here: Here, folder: Path) -> None:
    assert process(*WORDS, "--json", cwd=folder).out == here(*WORDS, "--json").out


@pytest.mark.parametrize("money", [(), (0.0,), (5.0,), (-5.0,), (3.0, -7.5, 2.0), (1e-6,), (-1e9, 3e9)])
def test_pictures_of_any_curve(money: tuple[float, ...]) -> None:
    one = result(*money)
    lines = chart(one).plain.splitlines()
    assert len(lines) == 10
    root = ET.fromstring(svg(one, "a & b <c>"))
    assert root.findtext("{http://www.w3.org/2000/svg}title", "").startswith("a & b <c>: ")
