"""Live runs as processes, with real signals: they let go and carry on as if nothing had happened."""

import signal
from pathlib import Path
from typing import Any

import pytest

from holdfast.cli.candles import candles as write_candles
from holdfast.testing.exchange import Fault, SimulatedExchangeProcess
from tests.cli.builders import EAGER, Done, Here, Running, process, running, unread

PAPER = ("live", "bot.py:desk", "--candles", "BTCUSDT=candles.csv")


@pytest.fixture
def trading(
    folder: Path, exchange: SimulatedExchangeProcess, request: pytest.FixtureRequest
) -> tuple[str, ...]:
    """The words of a live run at a market of this test's own."""
    url = exchange.reset(request.node.name.replace("[", "-").replace("]", ""))
    return ("live", "bot.py:desk", "--symbol", "BTCUSDT", "--exchange", url, "--poll", "0.1")


def lifecycle(done: Done) -> list[Any]:
    return [one["value"] for one in done.of_type("event")]


def interrupted(command: Running) -> bool:
    """Send one more SIGINT; return whether the process has ended."""
    command.process.send_signal(signal.SIGINT)
    return command.process.poll() is not None


def trades(count: int) -> Any:
    return lambda command: command.out.count('"Closed"') >= count


def test_on_paper_it_trades_as_the_backtest_does(here: Here, folder: Path) -> None:
    done = here(*PAPER, "--json")
    assert done.code == 0
    assert done.of_type("Stopped")[0]["reason"] == "the market ended"
    assert done.summary["detached"] is False
    [seat] = done.summary["seats"]
    assert seat["cursor"] == 1_704_067_200_000 + 300 * 60_000
    tested = here("backtest", "bot.py:desk", "--candles", "BTCUSDT=candles.csv", "--json").of_type("Closed")
    levels = [(one["reason"], one["price"], one["at"]) for one in tested]
    assert [(one["reason"], one["price"], one["at"]) for one in done.of_type("Closed")] == levels
    assert len(levels) > 8


def test_lines_for_people(here: Here, folder: Path) -> None:
    done = here(*PAPER)
    assert "  BTCUSDT eager  opened     " in done.out
    assert "  BTCUSDT eager  stopped    the market ended" in done.out
    assert done.err.splitlines()[0] == "opening store file:state, namespace default"
    assert done.err.splitlines()[1].startswith("trading; Ctrl-C lets go")
    assert "\x1b" not in done.out


@pytest.mark.crash
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_lets_go_and_the_next_start_carries_on(
    here: Here,
    folder: Path,
    exchange: SimulatedExchangeProcess,
    trading: tuple[str, ...],
    number: signal.Signals,
) -> None:
    with running(*trading, "--json", cwd=folder) as command:
        command.until(trades(3))
        command.process.send_signal(number)
        done = command.ended()
    assert done.code == 0
    assert done.summary["detached"] is True
    assert done.of_type("Stopped") == []
    assert "positions and orders stay as they are" in done.err

    again = process(*trading, "--json", cwd=folder)
    assert again.code == 0
    assert again.summary["detached"] is False
    assert len(again.of_type("Recovered")) == 1
    assert exchange.witness(trading[5].rpartition("/")[2]).doubled == {}

    url = exchange.reset(f"untouched-{number.name}")
    alone = (*trading[:5], url, *trading[6:], "--store", "file:alone", "--json")
    assert process(*alone, cwd=folder).code == 0
    history = ("store", "history", "eager", "BTCUSDT", "--json")
    untouched = here(*history, "--store", "file:alone")
    assert lifecycle(here(*history, "--store", "file:state")) == lifecycle(untouched)
    assert len(lifecycle(untouched)) > 40


@pytest.mark.crash
def test_a_second_ctrl_c_ends_at_once(folder: Path) -> None:
    (folder / "bot.py").write_text(
        EAGER.replace('interval="5m"', 'interval="5m", timeout=50').replace(
            "    ctx.state[", "    import time; print('asked', flush=True); time.sleep(50)\n    ctx.state[", 1
        )
    )
    with running(*PAPER, "--json", cwd=folder) as command:
        command.until(lambda one: "asked" in one.out)
        command.process.send_signal(signal.SIGINT)
        command.until(lambda one: "Ctrl-C again ends at once" in one.err)
        assert command.process.poll() is None
        command.until(interrupted)
        assert command.ended().code == 130


@pytest.mark.crash
def test_a_signal_while_the_exchange_is_away(folder: Path) -> None:
    words = ("live", "bot.py:desk", "--symbol", "BTCUSDT", "--exchange", "http://127.0.0.1:9", "--json")
    done = process(*words, cwd=folder)
    assert done.code == 1
    assert done.objects[-1]["error"] == "Unavailable"
    assert "127.0.0.1:9" in done.err


def test_two_bots(here: Here, folder: Path) -> None:
    write_candles(folder / "long.csv", minutes=50_000)
    long = ("live", "bot.py:desk", "--candles", "BTCUSDT=long.csv", "--json")
    with running(*long, cwd=folder) as first:
        first.until(trades(1))
        done = here(*PAPER, "--json")
        assert done.code == 2
        assert done.objects[-1]["error"] == "StoreInUse"
        assert f"process {first.process.pid} on " in done.err
        assert " since 2" in done.err
        assert "trading" not in done.err, "it never did"
        looked = here("store", "history", "eager", "BTCUSDT", "--store", "file:state", "--json")
        assert looked.code == 0
        assert looked.summary["events"] >= 4
        with running(*PAPER, "--wait", cwd=folder) as second:
            second.until(lambda one: "waiting" in one.out)
            assert f"for process {first.process.pid} on " in second.out
            assert first.process.poll() is None
            first.process.send_signal(signal.SIGTERM)
            assert first.ended().code == 0
            waited = second.ended()
            assert waited.code == 0
            assert waited.out.count(" waiting ") == 1
            assert "trading;" in waited.err
    assert here(*PAPER, "--namespace", "other").code == 0


@pytest.mark.parametrize("how", [["--json"], []], ids=["json", "lines"])
def test_trading_goes_on_when_nobody_reads_any_more(here: Here, folder: Path, how: list[str]) -> None:
    done = unread(*PAPER, *how, cwd=folder)
    assert done.code == 0
    assert "tarted" in done.out
    assert "trading goes on" in done.err
    assert "Traceback" not in done.err
    stopped = here("store", "history", "eager", "BTCUSDT", "--system", "--store", "file:state")
    assert "the market ended" in stopped.out


def test_open_positions_of_a_strategy_that_is_gone(here: Here, folder: Path) -> None:
    stays = (
        EAGER.replace("1.006", "1.15").replace("0.994", "0.85").replace("time_limit=20", "time_limit=1440")
    )
    (folder / "bot.py").write_text(stays)
    assert here(*PAPER).code == 0
    (folder / "bot.py").write_text(
        EAGER.replace('"eager"', '"other"').replace('if ctx.state["asked"] % 2', "if True")
    )
    write_candles(folder / "candles.csv", minutes=400, force=True)
    done = here(*PAPER)
    assert done.code == 2
    assert "eager on BTCUSDT" in done.err
    assert all(option in done.err for option in ("--adopt", "--flatten", "--ignore"))
    assert here(*PAPER, "--ignore").code == 0
    flattened = here(*PAPER, "--flatten", "--json")
    assert [one["reason"] for one in flattened.of_type("Closed") if one["strategy"] == "eager"] == ["flatten"]


def test_a_run_whose_symbols_are_all_halted_ends_and_says_so(
    here: Here, folder: Path, exchange: SimulatedExchangeProcess, trading: tuple[str, ...]
) -> None:
    exchange.harm(Fault(on="submit", do="reject", nth=2, times=0), session=trading[5].rpartition("/")[2])
    for _ in range(2):
        done = here(*trading, "--json")
        assert done.code == 1
        assert "exits in a row" in done.summary["seats"][0]["halted"]
        assert "--resume" in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("live", "bot.py:desk", "--symbol", "BTCUSDT"), "say where to trade"),
        ((*PAPER, "--exchange", "x"), "choose one"),
        (("live", "bot.py:desk", "--exchange", "http://127.0.0.1:9"), "say what to trade"),
        ((*PAPER, "--store", "nowhere"), "for files write file:nowhere"),
        ((*PAPER, "--store", "cassandra://x"), "no backend"),
    ],
)
def test_what_a_run_needs(here: Here, folder: Path, words: tuple[str, ...], said: str) -> None:
    done = here(*words)
    assert done.code == 2
    assert said in done.err
    assert not (folder / "state").exists()
