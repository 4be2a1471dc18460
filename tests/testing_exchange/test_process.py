"""The simulated exchange as a process of its own: real processes, really killed."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import msgspec
import pytest

from holdfast.broker import SimulatedBroker
from holdfast.errors import HoldfastError, InvalidOption, Unknown
from holdfast.market import SimulatedExchange, synthetic
from holdfast.testing.exchange import Fault, Options, SimulatedExchangeProcess, Witness
from holdfast.testing.exchange.__main__ import main
from holdfast.trading.candle import MINUTE
from tests.testing_exchange.builders import SERIES, T0, order


def ended(pid: int) -> bool:
    """Wait until a process is gone, or dead and waited for by nobody."""
    for _ in range(10_000):
        try:
            if "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text():
                return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


def test_a_trader_in_another_process() -> None:
    async def trade(url: str) -> None:
        async with SimulatedExchange(url) as exchange, SimulatedBroker(url) as broker:
            await broker.submit(order())
            assert await exchange.candles("X", "1m", T0 + 2 * MINUTE, 5) == [SERIES[2]]
            with pytest.raises(Unknown):
                await broker.submit(order("b"))

    with SimulatedExchangeProcess({"X": SERIES}, Options(warmup=2)) as sim:
        sim.harm(Fault(on="submit", do="drop_after", nth=2))
        asyncio.run(trade(sim.url))
        witness = sim.witness()
        assert (witness.orders, witness.doubled, witness.positions) == (2, {}, {"X": 2.0})
        assert [seen.status for seen in sim.requests(kind="submit")] == [200, 0]
        pid = sim.pid
    assert ended(pid)
    assert sim.pid == 0


def test_a_hundred_fresh_markets_in_no_time() -> None:
    with SimulatedExchangeProcess({"X": SERIES}) as sim:
        assert sim.start() == sim.url
        urls = {sim.reset(f"session-{number}", warmup=1 + number % 5) for number in range(100)}
        assert len(urls) == 100
        assert sim.witness("session-4").now == T0 + 5 * MINUTE
        assert sim.requests("session-4") == []
        with pytest.raises(InvalidOption, match="whole minute"):
            sim.reset("session-4", warmup=1_000)
        with pytest.raises(InvalidOption, match="no session"):
            sim.witness("session-101")


STARTER = """
import sys, time
from holdfast.market import synthetic
from holdfast.testing.exchange import SimulatedExchangeProcess
sim = SimulatedExchangeProcess({"X": synthetic(1, 10)}, detached=sys.argv[1] == "detached")
sim.start()
print(sim.url, sim.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("detached", [True, False])
def test_whether_it_outlives_its_starter(detached: bool) -> None:
    command = [sys.executable, "-c", STARTER, "detached" if detached else "attached"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        url, pid = starter.stdout.readline().split()
        starter.kill()
    if detached:
        with urlopen(f"{url}/witness") as response:
            assert msgspec.json.decode(response.read(), type=Witness).orders == 0
        os.kill(int(pid), signal.SIGTERM)
    assert ended(int(pid))


def test_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    rows = [f"{c.at},{c.open},{c.high},{c.low},{c.close},{c.volume}" for c in synthetic(3, 30)]
    path.write_text("\n".join(["time,open,high,low,close,volume", *rows]))
    argv = [sys.executable, "-m", "holdfast.testing.exchange", "--candles", str(path), "--symbol", "A"]
    argv += ["--synthetic", "B=7:60", "--warmup", "5", "--until-stdin-closes"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with urlopen(f"{url}/candles?symbol=A&since=0") as response:
            assert len(msgspec.json.decode(response.read())) == 5
        with urlopen(f"{url}/candles?symbol=B&interval=5m&since=0") as response:
            assert len(msgspec.json.decode(response.read())) == 1
        process.communicate()
        assert process.returncode == 0


def test_what_the_command_says(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended_with:
        main(["--help"])
    help_ = capsys.readouterr().out
    assert ended_with.value.code == 0
    assert all(word in help_ for word in ("--candles", "--synthetic", "--pace", "--dedupe", "witness"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "at least one symbol"),
        (["--candles", "nowhere.csv"], "needs its --symbol"),
        (["--candles", "nowhere.csv", "--symbol", "A"], "No such file"),
        (["--synthetic", "A=x"], "SYMBOL=SEED:MINUTES"),
        (["--synthetic", "A=1:10", "--speed", "0"], "speed"),
        (["--synthetic", "A=1:10", "--warmup", "0"], "whole minute"),
    ],
)
def test_what_makes_no_sense_is_said(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(options) == 2
    assert said in capsys.readouterr().err


def test_one_that_cannot_start_says_so() -> None:
    sim = SimulatedExchangeProcess({})
    with pytest.raises(HoldfastError, match="did not start"):
        sim.start()
    assert sim.pid == 0
